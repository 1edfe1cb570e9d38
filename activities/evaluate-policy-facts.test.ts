import { expect, test } from '@jest/globals'
import { compileFiles } from '../adapters/policies/files.ts'
import type { DecisionRow } from '../adapters/postgres/decisions.ts'
import type { Plan } from '../domain/plan.ts'
import type { PolicyInput } from '../domain/policy/input.ts'
import type { DecisionDeps } from './deps.ts'
import { evaluatePolicy } from './evaluate-policy.ts'

const nowMs = Date.UTC(2026, 5, 3, 12)
const at = (ms: number) => new Date(nowMs + ms).toISOString()
const health = (ready: number) => ({ desired: 4, updated: 4, ready, available: ready, failing: 0, restarts: 0, faults: [] })
const target = { cluster: 'main', namespace: 'shop', kind: 'Pod', name: 'web-1' } as const
const plan = {
  action: 'restart_pod', target: { ...target, uid: 'u1', generation: null }, podReady: true, undo: null,
  workload: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'web', uid: 'w1' },
} as Plan

const policy = (effect: string) => `
apiVersion: aegis.dev/policy/v1
id: few
effect: ${effect}
actions: ['pod:restart']
resources: ['k8s:**']
when: { attr: request.percentOfReady, op: lte, value: 25 }
owner: tests`

type Told = { observedAt?: string; seen?: object | undefined; effect?: string; deadlineAt?: string; askedUntil?: Date | null }

/** The plan saw four ready pods; `seen` is what is there now. */
async function asked({ observedAt = at(-60_000), seen, effect = 'allow', deadlineAt = at(1_800_000), askedUntil = null }: Told) {
  const rows: DecisionRow[] = []
  const stored = { plan, digest: 'sha256:p', baseline: health(4), labels: { workload: { tier: 'planned' }, namespace: {} }, terms: { errorBudgetExhausted: false, minAvailable: null, maxUnavailable: null }, observedAt }
  const request = { id: 'r1', door: 'watcher', principal: { id: 'w', kind: 'service', owner: 'platform', roles: ['service'] }, action: 'restart_pod', target, severity: 'high', fault: null, attempt: 1, deadlineAt }
  const deps = {
    db: {},
    store: {
      factsForDecision: async () => ({ request, plan: stored, now: new Date(nowMs), approvals: [], askedUntil, rungs: [] }),
      historyCounts: async () => ({ sinceLastActionMs: null, workload: [], namespace: [], action: [] }),
      saveDecision: async (_db: unknown, row: DecisionRow) => void rows.push(row),
    },
    clusters: () => ({ observe: async () => seen }),
    policies: { current: () => ({ snapshot: compileFiles([{ name: 'few.yaml', text: policy(effect) }]).snapshot!, stale: false }) },
    freshId: () => 'd1',
    settings: { modeOf: () => 'auto', policyTrialMs: 0, isProduction: () => false, approvalTimeoutMs: 900_000, tzdata: '2025b' },
  }
  const result = await evaluatePolicy(deps as unknown as DecisionDeps)({ id: 'r1', cluster: 'main', digest: 'sha256:p' })
  const [row] = rows
  return { result, input: row!.input as PolicyInput, answerBy: row!.answerBy?.toISOString() }
}

const podNow = (ready: number, over: object = {}) => ({ kind: 'Pod', uid: 'u1', ready: true, health: health(ready), labels: { workload: { tier: 'now' }, namespace: {} }, terms: { errorBudgetExhausted: true, minAvailable: null, maxUnavailable: null }, ...over })

test('a plan that was just made is judged by its own look', async () => {
  const { result, input } = await asked({ observedAt: at(-5_000), seen: podNow(1) })
  expect(result).toMatchObject({ proceed: 'act' })
  expect(input).toMatchObject({ request: { percentOfReady: 25 }, target: { ready: 4, errorBudget: 'unsaid' }, context: { labels: { tier: 'planned' } } })
})

test('one that waited is judged by what is there now: a bound counts the pods that are still ready', async () => {
  const { result, input } = await asked({ seen: podNow(1) })
  expect(input).toMatchObject({ request: { percentOfReady: 100 }, target: { ready: 1, errorBudget: 'exhausted' }, context: { labels: { tier: 'now' } } })
  expect(result).toMatchObject({ proceed: 'stop', ending: { outcome: 'denied' } })
  expect((await asked({ seen: podNow(1, { ready: false }) })).result).toMatchObject({ proceed: 'act' })
})

test.each([['gone', undefined], ['another under the same name', podNow(4, { uid: 'u2' })]])('of a target that is %s nothing is known, so no bound is kept', async (_what, seen) => {
  const { result, input } = await asked({ seen })
  expect(input.request).toEqual({ undo: 'none' })
  expect(input.target).toEqual({})
  expect(result).toMatchObject({ proceed: 'stop', ending: { outcome: 'denied' } })
})

test.each<[string, Told, string]>([
  ['the time for answers', {}, at(900_000)],
  ['the deadline, where that comes first', { deadlineAt: at(60_000) }, at(60_000)],
  ['the end of the wait that is on', { askedUntil: new Date(nowMs + 30_000) }, at(30_000)],
])('people are told to answer by %s', async (_what, told, expected) => {
  expect((await asked({ seen: podNow(4), effect: 'require_approval', ...told })).answerBy).toBe(expected)
})
