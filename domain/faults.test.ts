import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { classify } from './faults.ts'
import type { ContainerFacts, PodFacts, RolloutFacts, WorkloadFacts } from './watch/facts.ts'

const now = 1_800_000_000_000
const minutes = (count: number) => count * 60_000

const runs: ContainerFacts = { name: 'app', ready: true, running: true, restarts: 0, waiting: null, ended: null }
const healthy: PodFacts = {
  name: 'web-1', uid: 'pod-1', revision: 'new', phase: 'Running', createdAtMs: now - minutes(30), terminating: false, ignored: false,
  onReadyNode: true, ready: true, unreadySinceMs: null, wasReady: false, containers: [runs],
}
const unready: Partial<PodFacts> = { ready: false, unreadySinceMs: now - minutes(2) }
const waits = (waiting: string, restarts = 0): ContainerFacts => ({ ...runs, ready: false, running: false, waiting, restarts })
const ended = (reason: string, exitCode: number) => ({ reason, exitCode, atMs: now - minutes(1) })

const crashing: Partial<PodFacts> = { ...unready, containers: [{ ...waits('CrashLoopBackOff', 4), ended: ended('Error', 1) }] }
const outOfMemory: Partial<PodFacts> = { ...unready, containers: [{ ...waits('CrashLoopBackOff', 4), ended: ended('OOMKilled', 137) }] }
const noImage: Partial<PodFacts> = { ...unready, phase: 'Pending', containers: [waits('ImagePullBackOff')] }
const hanging: Partial<PodFacts> = { ...unready, wasReady: true, containers: [{ ...runs, ready: false }] }
const starting: Partial<PodFacts> = { ...unready, containers: [{ ...runs, ready: false }] }

const pods = (...given: Partial<PodFacts>[]): PodFacts[] => given.map((pod, index) => ({ ...healthy, name: `web-${index + 1}`, uid: `pod-${index + 1}`, ...pod }))
const settled: RolloutFacts = { observed: true, paused: false, complete: true, stuckAtMs: null, revision: 'new', revisionId: 'new@2', startedAtMs: now - minutes(300), hasEarlier: true }
const rolling: RolloutFacts = { ...settled, complete: false, startedAtMs: now - minutes(3) }
const overdue: RolloutFacts = { ...rolling, startedAtMs: now - minutes(12), stuckAtMs: now - minutes(2) }
const justDone: RolloutFacts = { ...settled, startedAtMs: now - minutes(8) }
const first = { hasEarlier: false }

const workload = (rollout: RolloutFacts, given: PodFacts[], rest: Partial<WorkloadFacts> = {}): WorkloadFacts => ({
  cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'web', uid: 'web-uid', ignored: false, desired: 3, rollout, pods: given, readAtMs: now, ...rest,
})
const old = { revision: 'old' }

const found = (given: WorkloadFacts) => classify(given, now).map(({ fault, afterRollout }) => (afterRollout ? `${fault} after rollout` : fault))

test.each<[string, RolloutFacts, PodFacts[], string[]]>([
  ['a healthy workload has no fault', settled, pods({}, {}, {}), []],
  ['a rollout under way is expected change', rolling, pods(old, old, starting), []],
  ['a slow start within the deadline is expected change', { ...rolling, ...first }, pods(starting, starting, starting), []],
  ['a rollout nobody has looked at yet is expected change', { ...overdue, observed: false }, pods(crashing, old, old), []],
  ['a rollout a person has paused is theirs', { ...overdue, paused: true }, pods(crashing, old, old), []],
  ['an old revision on its way out may fail', rolling, pods({ ...old, ...crashing }, starting, old), []],
  ['a passed deadline is a stuck rollout', overdue, pods(old, old, starting), ['stuck_rollout after rollout']],
  ['a passed deadline without any new pod is one too', overdue, pods(old, old, old), ['stuck_rollout after rollout']],
  ['a new revision that crashes is a stuck rollout before its deadline', rolling, pods(old, old, crashing), ['stuck_rollout after rollout']],
  ['a new revision without an image is a stuck rollout', rolling, pods(old, old, noImage), ['stuck_rollout after rollout']],
  ['a new revision that runs out of memory is a stuck rollout', rolling, pods(old, old, outOfMemory), ['stuck_rollout after rollout']],
  ['one bad pod among new ones that came up waits for the deadline', rolling, pods({}, {}, {}, crashing), []],
  ['a new pod that came up after an OOM kill does not stop the rollout', rolling, pods(old, { containers: [{ ...runs, restarts: 1, ended: ended('OOMKilled', 137) }] }), []],
  ['a first revision that crashes has nothing to go back to', { ...rolling, ...first }, pods(crashing, crashing, crashing), ['crash_loop']],
  ['a first revision without an image is told at once', { ...rolling, ...first }, pods(noImage, noImage, noImage), ['image_pull']],
  ['a first revision past its deadline was never ready', { ...overdue, ...first }, pods(starting, starting, starting), ['never_ready']],
  ['a first revision that got no pod was never ready', { ...overdue, ...first }, pods(), ['never_ready']],
  ['a crash loop soon after its rollout is blamed on it', justDone, pods(crashing, crashing, {}), ['crash_loop after rollout']],
  ['a crash loop long after its rollout is not', settled, pods(crashing, {}, {}), ['crash_loop']],
  ['a lost image soon after the rollout is blamed on it', justDone, pods(noImage, {}, {}), ['image_pull after rollout']],
  ['an OOM kill names the crash loop it causes', settled, pods(outOfMemory, crashing, {}), ['oom_killed']],
  ['an OOM kill shows after the restart as well', settled, pods({ containers: [{ ...runs, restarts: 1, ended: ended('OOMKilled', 143) }] }), ['oom_killed']],
  ['an OOM kill of yesterday is over', settled, pods({ containers: [{ ...runs, restarts: 1, ended: { reason: 'OOMKilled', exitCode: 137, atMs: now - minutes(1440) } }] }), []],
  ['137 without a reason is a probe or a person', settled, pods({ containers: [{ ...runs, restarts: 1, ended: ended('Error', 137) }] }), []],
  ['a first crash is no loop', settled, pods({ ...unready, containers: [{ ...waits('CrashLoopBackOff', 1), ended: ended('Error', 1) }] }, {}, {}), ['never_ready']],
  ['a loop shows between two back-offs', settled, pods({ ...unready, containers: [{ ...runs, ready: false, restarts: 5, ended: ended('Error', 1) }] }, {}, {}), ['crash_loop']],
  ['a pod that hangs among healthy ones is stuck', settled, pods(hanging, {}, {}), ['stuck_pod']],
  ['a lone pod that hangs is stuck', settled, pods(hanging), ['stuck_pod']],
  ['most pods unready at once is no stuck pod', settled, pods(hanging, hanging, {}), ['never_ready']],
  ['a pod that hangs while others crash is not restarted', settled, pods(hanging, crashing, {}), ['crash_loop']],
  ['a pod that hangs during a rollout is left alone', rolling, pods({ ...old, ...hanging }, old, starting), []],
  ['a pod that was never ready is not restarted', settled, pods(starting, {}, {}), ['never_ready']],
  ['a pod on a node that went silent is the node\'s fault', settled, pods({ ...hanging, onReadyNode: false }, {}, {}), []],
  ['a pod on its way out is no fault', settled, pods({ ...hanging, terminating: true }, {}, {}), []],
  ['a pod to be ignored is ignored', settled, pods({ ...crashing, ignored: true }, {}, {}), []],
  ['an evicted pod that lies around is no fault', settled, pods({ ...unready, phase: 'Failed' }, {}, {}), []],
])('%s', (_name, rollout, given, expected) => {
  expect(found(workload(rollout, given, { desired: given.length || 3 }))).toEqual(expected)
})

test('an ignored workload and one scaled to nothing have no fault', () => {
  expect(found(workload(overdue, pods(crashing), { ignored: true }))).toEqual([])
  expect(found(workload(overdue, pods(crashing), { desired: 0 }))).toEqual([])
})

test('a stateful set is judged by its pods, and never blamed on a rollout', () => {
  const rollout = { ...rolling, revision: null, hasEarlier: false }
  const own = { revision: null }
  expect(found(workload(rollout, pods({ ...own, ...crashing }, own), { kind: 'StatefulSet' }))).toEqual(['crash_loop'])
  expect(found(workload(rollout, pods({ ...own, ...starting }, own), { kind: 'StatefulSet' }))).toEqual([])
})

const shapes = [{}, crashing, outOfMemory, noImage, hanging, starting, { terminating: true }]
const anyPods = fc.array(fc.tuple(fc.constantFrom(...shapes), fc.constantFrom('new', 'old')), { maxLength: 8 })
  .map((drawn) => pods(...drawn.map(([shape, revision]) => ({ ...shape, revision }))))
const anyRollout = fc.constantFrom(settled, rolling, overdue, justDone, { ...rolling, ...first }, { ...overdue, ...first })

test('the order of pods is irrelevant', () => {
  fc.assert(fc.property(anyRollout, anyPods, fc.func(fc.integer()), (rollout, given, weigh) => {
    const shuffled = [...given].sort((a, b) => weigh(a.uid) - weigh(b.uid))
    expect(classify(workload(rollout, shuffled), now)).toEqual(classify(workload(rollout, given), now))
  }))
})

test('a rollout within its deadline whose new pods do not fail raises nothing', () => {
  const calm = fc.array(fc.constantFrom<Partial<PodFacts>>({}, starting, old, { ...old, ...crashing }, { ...old, ...hanging }, { ...old, terminating: true }), { maxLength: 8 })
  fc.assert(fc.property(calm, (drawn) => expect(classify(workload(rolling, pods(...drawn)), now)).toEqual([])))
})

test('no class is found twice on one workload', () => {
  fc.assert(fc.property(anyRollout, anyPods, (rollout, given) => {
    const classes = found(workload(rollout, given))
    expect(new Set(classes).size).toBe(classes.length)
  }))
})
