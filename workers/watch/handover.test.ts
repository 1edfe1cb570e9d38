import { expect, test } from '@jest/globals'
import { Failure } from '../../domain/failure.ts'
import type { WorkloadFacts } from '../../domain/watch/facts.ts'
import type { Incident } from '../../domain/watch/incident.ts'
import { nothingSeen, observe, usualLooks, type WatchRules } from '../../domain/watch/observe.ts'
import { handOverAll, type Handover } from './handover.ts'

const rules: WatchRules = {
  dwellMs: { stuck_rollout: 0, crash_loop: 0, image_pull: 0, oom_killed: 0, never_ready: 0, stuck_pod: 0 },
  ...usualLooks, acts: () => true, majorityStopPercent: 0, requestsPerMinute: 30, isoTime: (ms) => new Date(ms).toISOString(),
}

const workload = (name: string, waiting: string | null, readAtMs: number): WorkloadFacts => ({
  cluster: 'main', namespace: 'shop', kind: 'Deployment', name, uid: name, ignored: false, desired: 1, readAtMs,
  rollout: { observed: true, paused: false, complete: true, stuckAtMs: null, revision: 'new', revisionId: 'new@1', startedAtMs: 0, hasEarlier: false },
  pods: [{
    name: `${name}-1`, uid: `${name}-1`, revision: 'new', phase: 'Pending', createdAtMs: 0, terminating: false, ignored: false, onReadyNode: true,
    ready: waiting === null, unreadySinceMs: waiting === null ? null : 0, wasReady: false,
    containers: [{ name: 'app', ready: waiting === null, running: waiting === null, restarts: 0, waiting, ended: null }],
  }],
})

/** Looks every two seconds at three workloads, which fail during the given looks; the database is away during others. */
async function story(looks: number, fails: (look: number) => boolean, isAway: (look: number) => boolean) {
  let state = nothingSeen
  let now = 0
  let calls = 0
  const handed: string[] = []
  const give = (what: string) => async (incident: Incident) => {
    calls += 1
    if (isAway(now)) throw new Failure('unavailable', 'database_unreachable', 'the database does not answer')
    handed.push(`${what} ${incident.workload.name}`)
  }
  const to: Handover = { raise: give('raise'), remind: give('remind'), clear: give('clear') }
  for (; now < looks; now++) {
    const nowMs = Date.now() + now * 2_000
    const facts = ['a', 'b', 'c'].map((name) => workload(name, fails(now) ? 'ErrImagePull' : null, nowMs))
    state = await handOverAll(to, observe(state, facts, nowMs, rules), () => undefined)
  }
  return { handed, calls }
}

test('each incident is handed over once, and its end once', async () => {
  const { handed } = await story(12, (look) => look < 6, () => false)
  expect(handed).toEqual(['raise a', 'raise b', 'raise c', 'clear a', 'clear b', 'clear c'])
})

test('a database that is away loses no incident and no end, and is asked once a look', async () => {
  const { handed, calls } = await story(24, (look) => look < 10, (look) => look < 7 || (look > 9 && look < 18))
  expect(handed).toEqual(['raise a', 'raise b', 'raise c', 'clear a', 'clear b', 'clear c'])
  const [looksInVainAtFirst, looksInVainAtTheEnd] = [5, 6]
  expect(calls).toBe(handed.length + looksInVainAtFirst + looksInVainAtTheEnd)
})

test('a fault that ends before the database is back was never handed over', async () => {
  const { handed } = await story(14, (look) => look < 6, (look) => look < 10)
  expect(handed.filter((line) => line.startsWith('raise'))).toEqual([])
})
