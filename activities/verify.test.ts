import { describe, expect, test } from '@jest/globals'
import type { Settled } from '../domain/health.ts'
import type { Health, Plan } from '../domain/plan.ts'
import type { WatchTimes } from '../adapters/postgres/plans.ts'
import type { VerificationRow } from '../adapters/postgres/verifications.ts'
import type { ExecutionDeps } from './deps.ts'
import { lookEveryMs, verify } from './verify.ts'

const id = '01900000-0000-7000-8000-000000000001'
const target = { cluster: 'main', namespace: 'shop', kind: 'Deployment' as const, name: 'checkout', uid: 'u1' }
const plan: Plan = {
  action: 'scale_deployment',
  target: { ...target, generation: 4 },
  workload: target,
  replicas: { from: 3, to: 5 },
  templateHash: 'sha256:t',
  undo: { replicas: { from: 5, to: 3 } },
}
const baseline: Health = { desired: 3, updated: 3, ready: 3, available: 3, failing: 0, restarts: 0, faults: [] }
const wanted: Health = { ...baseline, desired: 5, updated: 5, ready: 5, available: 5 }
const complete: Settled = { health: wanted, rollout: 'complete', podGone: null }
const progressing: Settled = { health: { ...wanted, available: 3, ready: 3 }, rollout: 'progressing', podGone: null }

const startMs = 1_000_000
type Told = { settleMs: number; timeoutMs?: number; askedMs?: number; watch?: WatchTimes | null; begunMs?: number; earlyMs?: number; state(sinceMs: number): Settled }

/** Runs a verification on a clock of its own; times are counted from the start. */
async function watched({ settleMs, timeoutMs = 60_000, askedMs = startMs, watch = null, begunMs = 0, earlyMs = 0, state }: Told) {
  let clockMs = startMs + begunMs
  const looks: number[] = []
  const rows: VerificationRow[] = []
  const deps = {
    db: {},
    store: { beginVerifying: async () => ({ plan, baseline, watch, sentAtMs: startMs }), saveVerification: async (_db: unknown, row: VerificationRow) => void rows.push(row) },
    cluster: {
      async health() {
        looks.push(clockMs - startMs)
        return state(clockMs - startMs)
      },
    },
    sleep: async (ms: number) => void (clockMs += ms - (ms > earlyMs ? earlyMs : 0)),
    nowMs: () => clockMs,
  } as unknown as ExecutionDeps
  const { verdict } = await verify(deps)({ id, cluster: 'main', digest: 'd', startMs: askedMs, settleMs, timeoutMs })
  expect(rows.map((row) => row.verdict)).toEqual([verdict])
  return { verdict, looks, tookMs: clockMs - startMs }
}

test.each([[1, 500], [500, 500], [2_000, 500], [4_000, 1_000], [10_000, 2_000], [600_000, 2_000]])('a settle time of %d ms is looked at every %d ms', (settleMs, everyMs) => {
  expect(lookEveryMs(settleMs)).toBe(everyMs)
})

describe('a scale that goes well', () => {
  test('needs two looks where it is done at the first one', async () => {
    expect(await watched({ settleMs: 500, state: () => complete })).toMatchObject({ verdict: 'better', looks: [500, 1_005] })
  })

  test('needs three where the first one sees it under way', async () => {
    const { verdict, looks } = await watched({ settleMs: 500, state: (sinceMs) => (sinceMs < 700 ? progressing : complete) })
    expect([verdict, looks]).toEqual(['better', [500, 1_000, 1_505]])
  })

  test('in production needs one look every two seconds, and the last just when the settle time is over', async () => {
    const { verdict, looks } = await watched({ settleMs: 10_000, state: (sinceMs) => (sinceMs < 3_000 ? progressing : complete) })
    expect([verdict, looks]).toEqual(['better', [2_000, 4_000, 6_000, 8_000, 10_000, 12_000, 14_005]])
    const odd = await watched({ settleMs: 5_000, state: () => complete })
    expect(odd.looks).toEqual([1_250, 2_500, 3_750, 5_000, 6_255])
    expect((await watched({ settleMs: 700, state: () => complete })).looks).toEqual([500, 1_000, 1_205])
  })

  test('needs no look more when timers fire a moment early', async () => {
    const { verdict, looks } = await watched({ settleMs: 500, earlyMs: 1, state: () => complete })
    expect([verdict, looks]).toEqual(['better', [499, 1_003]])
  })

  test('is seen through a settle time that has more looks in it than are kept', async () => {
    const { verdict, tookMs } = await watched({ settleMs: 7_200_000, timeoutMs: 20_000_000, state: () => complete })
    expect(verdict).toBe('better')
    expect(tookMs).toBeLessThan(7_300_000)
  })
})

test('who takes over from a lost worker looks at once', async () => {
  expect((await watched({ settleMs: 10_000, begunMs: 30_000, state: () => complete })).looks[0]).toBe(30_000)
})

test('a clock that is behind whoever started waits no longer than one interval', async () => {
  expect((await watched({ settleMs: 10_000, begunMs: -60_000, state: () => complete })).looks[0]).toBe(-58_000)
})

test('the last look comes when the time is over, not an interval later', async () => {
  const { verdict, looks } = await watched({ settleMs: 10_000, timeoutMs: 21_000, state: () => progressing })
  expect(verdict).toBe('same')
  expect(looks.slice(-2)).toEqual([20_000, 21_005])
})

test('a task that asks for less than was committed with the plan, or for a start before the change, is watched as committed', async () => {
  const forged = { settleMs: 0, timeoutMs: 0, askedMs: 0, watch: { settleMs: 2_000, timeoutMs: 10_000 } }
  const { verdict, looks } = await watched({ ...forged, state: (sinceMs) => (sinceMs < 700 ? { ...complete, health: { ...wanted, failing: 5, available: 0 } } : complete) })
  expect([verdict, looks]).toEqual(['better', [500, 1_000, 1_500, 2_000, 2_505]])
})
