import { describe, expect, test } from '@jest/globals'
import type { StoredPlan } from '../adapters/postgres/plans.ts'
import { deploymentSample } from '../domain/actions/fixtures/deployment.ts'
import { scaleDeployment } from '../domain/actions/scale_deployment.ts'
import { Failure } from '../domain/failure.ts'
import type { Door, RemediationRequest } from '../domain/remediation.ts'
import type { WorkloadFacts } from '../domain/watch/facts.ts'
import type { DecisionDeps } from './deps.ts'
import { lookAround } from './look-around.ts'

const guards = { disruption: { workloadPercent: 50, namespacePercent: 10, windowMs: 1_000 }, majorityPercent: 40, afterRolloutMs: 600_000, afterActionMs: 700_000 }
const old = { observed: true, paused: false, complete: true, stuckAtMs: null, revision: 'r', revisionId: 'r@1', startedAtMs: 0, hasEarlier: false }
const here = { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'cart', uid: 'd-1', ignored: false, desired: 3, rollout: old, pods: [], readAtMs: 0 } as WorkloadFacts

/** `to`: replicas, of three that are ready. */
function look(door: Door, to: number, crowd: () => Promise<WorkloadFacts[]>, namespaces = ['shop']) {
  let looks = 0
  const deps = { clusters: () => ({ crowd: () => (looks++, crowd()) }), settings: { namespaces, guards } } as unknown as DecisionDeps
  const stored = { plan: scaleDeployment.plan(deploymentSample, { replicas: to }, null), baseline: deploymentSample.health, terms: deploymentSample.terms } as StoredPlan
  return lookAround(deps, { door, target: deploymentSample.target } as RemediationRequest, stored).then((found) => ({ ...found, looks }))
}

describe('before it reserves, the decision side looks around', () => {
  test('for what nobody looked at first, and for what takes pods down', async () => {
    expect(await look('api', 4, async () => [here])).toEqual({ budgets: [], objection: null, afterActionMs: 0, looks: 0 })
    expect(await look('alert', 4, async () => [here])).toEqual({ budgets: [], objection: null, afterActionMs: 700_000, looks: 1 })
    expect(await look('api', 2, async () => [here])).toMatchObject({ budgets: [{ scope: 'workload', amount: 1, limit: 1 }, { scope: 'namespace', amount: 1, limit: 1 }], objection: null, looks: 1 })
  })

  test.each<[string, () => Promise<WorkloadFacts[]>, string[]]>([
    ['an empty answer', async () => [], ['shop']],
    ['an answer without the target', async () => [{ ...here, uid: 'other' }], ['shop']],
    ['an empty list of namespaces', async () => [here], []],
    ['no right to look', async () => Promise.reject(new Failure('forbidden', 'rbac', 'may not list pods')), ['shop']],
  ])('%s is an objection', async (_name, crowd, namespaces) => {
    expect((await look('watcher', 4, crowd, namespaces)).objection).toMatchObject({ guard: 'cluster_unreadable' })
  })

  test('without the right to look nobody takes pods down, people neither', async () => {
    expect((await look('api', 2, async () => Promise.reject(new Failure('forbidden', 'rbac', 'may not list pods')))).objection).toMatchObject({ guard: 'cluster_unreadable' })
  })

  test('a cluster that does not answer is asked again by the next attempt; until then nothing is reserved', async () => {
    await expect(look('alert', 4, async () => Promise.reject(new Failure('unavailable', 'cluster_down', 'no answer')))).rejects.toMatchObject({ kind: 'unavailable' })
  })
})
