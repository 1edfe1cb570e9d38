import { expect, test } from '@jest/globals'
import { agenda } from './agenda.ts'
import type { WorkloadFacts } from './facts.ts'
import { nothingSeen, observe, usualLooks, type WatchRules } from './observe.ts'

const now = 1_800_000_000_000
const rules: WatchRules = {
  dwellMs: { stuck_rollout: 0, crash_loop: 0, image_pull: 0, oom_killed: 0, never_ready: 0, stuck_pod: 0 },
  ...usualLooks, acts: () => true, majorityStopPercent: 0, requestsPerMinute: 1_000, isoTime: (ms) => new Date(ms).toISOString(),
}

const workload = (name: string, waiting: string | null, readAtMs = now): WorkloadFacts => ({
  cluster: 'main', namespace: 'shop', kind: 'Deployment', name, uid: name, ignored: false, desired: 1, readAtMs,
  rollout: { observed: true, paused: false, complete: true, stuckAtMs: null, revision: 'new', revisionId: 'new@1', startedAtMs: 0, hasEarlier: false },
  pods: [{
    name: `${name}-1`, uid: `${name}-1`, revision: 'new', phase: 'Running', createdAtMs: 0, terminating: false, ignored: false, onReadyNode: true,
    ready: waiting === null, unreadySinceMs: waiting === null ? null : now, wasReady: false,
    containers: [{ name: 'app', ready: waiting === null, running: waiting === null, restarts: 0, waiting, ended: null }],
  }],
})
const names = (given: WorkloadFacts[]) => given.map(({ name }) => name)

test('suspects are looked at afresh, healthy ones are not', () => {
  expect(names(agenda(nothingSeen, [workload('a', null), workload('b', 'ErrImagePull')], now, 10))).toEqual(['b'])
})

test('what is followed is looked at although the cached view shows it healthy', () => {
  const { state } = observe(nothingSeen, [workload('a', 'ErrImagePull')], now, rules)
  expect(names(agenda(state, [workload('a', null)], now + 2_000, 10))).toEqual(['a'])
})

test('a raised fault is looked at less often, until it may be over', () => {
  const seen = [0, 1, 2].reduce((state, look) => observe(state, [workload('a', 'ErrImagePull', now + look * 1_000)], now + look * 1_000, rules).state, nothingSeen)
  expect(seen.cases.get('watcher/main/a/image_pull/new@1')?.raisedAtMs).toBe(now + 2_000)
  expect(agenda(seen, [workload('a', 'ErrImagePull')], now + 4_000, 10)).toEqual([])
  expect(names(agenda(seen, [workload('a', 'ErrImagePull')], now + 12_000, 10))).toEqual(['a'])
  expect(names(agenda(seen, [workload('a', null)], now + 4_000, 10))).toEqual(['a'])
  const absent = observe(seen, [workload('a', null, now + 12_000)], now + 12_000, rules).state
  expect(names(agenda(absent, [workload('a', null)], now + 13_000, 10))).toEqual(['a'])
})

test('with more suspects than looks, each gets its turn', () => {
  const all = Array.from({ length: 10 }, (_, index) => `w${index}`)
  const counts = new Map<string, number>()
  let state = nothingSeen
  for (let tick = 0; tick < 20; tick++) {
    const atMs = now + tick * 2_000
    const cached = all.map((name) => workload(name, 'ErrImagePull', now - 60_000)) // the cached view itself is too old to count
    const looked = names(agenda(state, cached, atMs, 3))
    for (const name of looked) counts.set(name, (counts.get(name) ?? 0) + 1)
    state = observe(state, cached.map((one) => (looked.includes(one.name) ? { ...one, readAtMs: atMs } : one)), atMs, rules).state
  }
  expect(counts.size).toBe(10)
  expect(Math.min(...counts.values())).toBeGreaterThanOrEqual(3)
})
