import { scaleDeployment } from '../actions/scale_deployment.ts'
import { rollbackDeployment } from '../actions/rollback_deployment.ts'
import { deploymentSample } from '../actions/fixtures/deployment.ts'
import { doors } from '../remediation.ts'
import type { Plan } from '../plan.ts'
import type { PodFacts, WorkloadFacts } from '../watch/facts.ts'
import { isAutomatic, objectionAround, readyPodsIn } from './surroundings.ts'

const now = Date.UTC(2026, 5, 3, 12)
const rules = { majorityPercent: 40, afterRolloutMs: 600_000 }
const plan = scaleDeployment.plan(deploymentSample, { replicas: 5 }, null) as Plan
const rollback = rollbackDeployment.plan(deploymentSample, {}, null) as Plan

const pod = (over: Partial<PodFacts> = {}): PodFacts => ({
  name: 'p', uid: 'p', revision: 'r', phase: 'Running', createdAtMs: 0, terminating: false, ignored: false, onReadyNode: true, ready: true,
  unreadySinceMs: null, wasReady: false, containers: [], ...over,
})
const crashing = pod({ ready: false, unreadySinceMs: now - 300_000, containers: [{ name: 'app', ready: false, running: false, restarts: 9, waiting: 'CrashLoopBackOff', ended: { reason: 'Error', exitCode: 1, atMs: now - 1_000 } }] })
const facts = (uid: string, over: Partial<WorkloadFacts> = {}): WorkloadFacts => ({
  cluster: 'main', namespace: 'shop', kind: 'Deployment', name: uid, uid, ignored: false, desired: 1, pods: [pod()], readAtMs: now,
  rollout: { observed: true, paused: false, complete: true, stuckAtMs: null, revision: 'r', revisionId: 'r@1', startedAtMs: now - 86_400_000, hasEarlier: false },
  ...over,
})
const target = facts('d-1')
const failing = (uid: string) => facts(uid, { pods: [crashing] })
const rolledOut = (agoMs: number) => facts('d-1', { rollout: { ...target.rollout, startedAtMs: now - agoMs } })
const guardOf = (of: Plan, workloads: WorkloadFacts[], over: Partial<typeof rules> = {}) => objectionAround(of, workloads, now, { ...rules, ...over })?.guard ?? null

test.each<[string, WorkloadFacts[], string | null]>([
  ['calm', [target, facts('b'), facts('c')], null],
  ['two of five', [target, failing('b'), failing('c'), facts('d'), facts('e')], 'majority_unhealthy'],
  ['one of three', [target, failing('b'), facts('c')], null],
  ['two of two, which say nothing', [failing('d-1'), failing('b')], null],
  ['what is ignored or scaled to nothing is no crowd', [target, failing('b'), facts('c', { ignored: true }), facts('d', { desired: 0 })], null],
  ['nothing at all seen', [], 'cluster_unreadable'],
  ['the target not seen', [facts('b'), facts('c'), facts('d')], 'cluster_unreadable'],
])('%s', (_name, workloads, guard) => expect(guardOf(plan, workloads)).toBe(guard))

test('a majority says how many, of how many, and whose call it is', () => {
  expect(objectionAround(plan, [target, failing('b'), failing('c')], now, rules)?.message).toMatch(/^2 of 3 workloads fail at once, and at 40 % or more .*a person may act/)
})

test.each<[string, Plan, number, string | null]>([
  ['within ten minutes of a rollout', plan, 599_999, 'after_rollout'],
  ['ten minutes after it', plan, 600_000, null],
  ['to take that same rollout back', rollback, 1_000, null],
])('%s', (_name, of, agoMs, guard) => expect(guardOf(of, [rolledOut(agoMs)])).toBe(guard))

test('0 switches a guard off', () => {
  expect(guardOf(plan, [rolledOut(0)], { afterRolloutMs: 0 })).toBeNull()
  expect(guardOf(plan, [target, failing('b'), failing('c')], { majorityPercent: 0 })).toBeNull()
})

test('only doors where nobody looks first are automatic', () => {
  expect(doors.filter((door) => !isAutomatic(door))).toEqual(['api', 'executor'])
})

test('ready pods of one namespace, less those on their way out', () => {
  const two = facts('a', { pods: [pod(), pod({ ready: false }), pod({ terminating: true })] })
  expect(readyPodsIn('shop', [two, facts('b'), facts('c', { namespace: 'bank' })])).toBe(2)
})
