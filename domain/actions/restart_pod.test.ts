import type { PodObservation } from './observation.ts'
import { restartPod } from './restart_pod.ts'
import type { AttemptRead } from './situation.ts'

const workload = { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'cart', uid: 'd-1' }
const pod: PodObservation = {
  kind: 'Pod',
  target: { cluster: 'main', namespace: 'shop', kind: 'Pod', name: 'cart-abc' },
  uid: 'p-1',
  resourceVersion: '7',
  workload,
  ignored: false,
  health: { desired: 3, updated: 3, ready: 2, available: 2, failing: 1, restarts: 0, faults: ['stuck_pod'] },
  labels: { workload: {}, namespace: {} },
  terms: { errorBudgetExhausted: false, minAvailable: null, maxUnavailable: null },
  stamps: [],
  terminating: false,
  phase: 'Running',
  ready: false,
  controlled: true,
  static: false,
}
const plan = {
  action: 'restart_pod' as const,
  target: { cluster: 'main', namespace: 'shop', kind: 'Pod' as const, name: 'cart-abc', uid: 'p-1', generation: null },
  workload,
  podReady: false,
  undo: null,
}

test('the pod is pinned by its UID, and there is no undo', () => {
  expect(restartPod.plan(pod, {}, 'stuck_pod')).toEqual(plan)
})

test.each<[string, Partial<PodObservation>, string, string]>([
  ['on its way out', { terminating: true }, 'no_action_needed', 'already_terminating'],
  ['succeeded', { phase: 'Succeeded' }, 'no_action_needed', 'already_finished'],
  ['failed for good', { phase: 'Failed' }, 'no_action_needed', 'already_finished'],
  ['ready, whatever else of its workload hangs', { ready: true }, 'no_action_needed', 'pod_ready'],
  ['ignored', { ignored: true }, 'blocked', 'ignored'],
  ['a bare pod', { controlled: false }, 'blocked', 'not_controlled'],
  ['a mirror of a static pod', { controlled: false, static: true }, 'blocked', 'static_pod'],
])('a pod that is %s is left alone', (_what, change, outcome, reason) => {
  expect(restartPod.plan({ ...pod, ...change }, {}, 'stuck_pod')).toMatchObject({ outcome, reason })
})

const read: AttemptRead = { exists: true, kind: 'Pod', uid: 'p-1', resourceVersion: '9', stamps: [], terminating: false, ready: false }

test.each<[string, AttemptRead, string]>([
  ['is there', read, 'ready'],
  ['does not exist', { exists: false }, 'gone'],
  ['has passed its name on', { ...read, uid: 'p-2' }, 'gone'],
  ['is terminating', { ...read, terminating: true }, 'gone'],
  ['carries our fence', { ...read, stamps: [{ id: 'r-1', phase: 'abandoned' }] }, 'stopped'],
  ['carries the fence of another remediation', { ...read, stamps: [{ id: 'r-2', phase: 'abandoned' }] }, 'ready'],
])('the pod %s', (_what, seen, is) => expect(restartPod.situation(plan, 'act', 'r-1', seen)).toMatchObject({ is }))
