import fc from 'fast-check'
import type { RolloutState, Settled } from './health.ts'
import type { Health } from './plan.ts'
import { judgeHealth, type Sample } from './verdict.ts'

const whole: Health = { desired: 3, updated: 3, ready: 3, available: 3, failing: 0, restarts: 0, faults: [] }
const stuck: Health = { ...whole, updated: 1, failing: 1, restarts: 3, faults: ['stuck_rollout'] }
const hanging: Health = { ...whole, ready: 2, available: 2, failing: 1, faults: ['stuck_pod'] }

const settleMs = 10_000
const timeoutMs = 60_000

/** One look a second, the last one now. */
function looks(...parts: [seconds: number, health: Partial<Health>, rollout?: RolloutState, podGone?: boolean | undefined][]): Sample[] {
  const settled = parts.flatMap(([seconds, health, rollout = 'complete', podGone]) =>
    Array.from({ length: seconds }, (): Settled => ({ health: { ...whole, ...health }, rollout, podGone: podGone ?? null })),
  )
  return settled.map((each, second) => ({ atMs: second * 1_000, settled: each }))
}

const judge = (baseline: Health, samples: Sample[], nowMs = samples.at(-1)?.atMs ?? 0) =>
  judgeHealth(baseline, samples, { settleMs, timeoutMs, startMs: 0, nowMs }).verdict

describe('before it can be said', () => {
  test.each<[string, Health, Sample[]]>([
    ['nothing was looked at', stuck, []],
    ['complete, but not for long enough', stuck, looks([10, {}])],
    ['the rollout moves', stuck, looks([30, { ready: 1, available: 1 }, 'progressing'])],
    ['complete, but the old pod is still there', hanging, looks([30, {}, 'complete', false])],
    ['complete, but containers restart', stuck, looks([8, {}], [8, { restarts: 1 }])],
    ['complete only since an interruption', stuck, looks([8, {}], [1, { available: 2 }, 'progressing'], [8, {}])],
    ['more failing pods, for a moment', whole, looks([5, { failing: 1 }, 'progressing'])],
    ['given up a moment ago', whole, looks([20, {}, 'progressing'], [5, { available: 2 }, 'exceeded'])],
  ])('%s', (_what, baseline, samples) => expect(judge(baseline, samples)).toBe('not_yet'))

  test('looks that lie too far apart do not join up', () => {
    const [first, last] = looks([1, {}], [1, {}])
    expect(judge(stuck, [first!, { ...last!, atMs: 30_000 }])).toBe('not_yet')
  })
})

describe('what it says', () => {
  test.each<[string, Health, Sample[], string]>([
    ['a stuck rollout is rolled back and complete', stuck, looks([3, { updated: 0 }, 'progressing'], [11, {}]), 'better'],
    ['a hanging pod is replaced', hanging, looks([2, hanging, 'progressing', false], [11, {}, 'complete', true]), 'better'],
    ['a healthy pod is replaced and all is well', whole, looks([11, {}, 'complete', true]), 'better'],
    ['scaled up from 3 to 5, all available', whole, looks([11, { desired: 5, updated: 5, ready: 5, available: 5 }]), 'better'],
    ['scaled down from 3 to 1', whole, looks([11, { desired: 1, updated: 1, ready: 1, available: 1 }]), 'better'],
    ['a restart early on, then quiet', stuck, looks([5, {}], [12, { restarts: 1 }]), 'better'],
    ['the rollout is complete and its pods still crash', { ...whole, failing: 2, faults: ['crash_loop'] }, looks([11, { failing: 2, faults: ['crash_loop'] }]), 'same'],
    ['one of two failing pods is cured', { ...whole, failing: 2, faults: ['crash_loop'] }, looks([11, { failing: 1, faults: ['crash_loop'] }]), 'better'],
    ['one fault gives way to another', { ...whole, failing: 1, faults: ['oom_killed'] }, looks([11, { failing: 1, faults: ['crash_loop'] }]), 'better'],
    ['new pods fail, which waiting does not cure', stuck, looks([2, {}, 'progressing'], [11, { failing: 2 }, 'progressing']), 'worse'],
    ['the rollout is given up that was not before', whole, looks([11, { failing: 0 }, 'exceeded']), 'worse'],
    ['given up before and given up now', stuck, looks([11, stuck, 'exceeded']), 'same'],
    ['given up before, and now with fewer pods', stuck, looks([11, { ...stuck, available: 2 }, 'exceeded']), 'worse'],
  ])('%s', (_what, baseline, samples, verdict) => expect(judge(baseline, samples)).toBe(verdict))
})

describe('at the timeout', () => {
  test.each<[string, Health, Sample[], string]>([
    ['fewer pods than before, all the time', whole, looks([62, { ready: 2, available: 2 }, 'progressing']), 'worse'],
    ['the replacement hangs as the old pod did', hanging, looks([62, hanging, 'progressing', true]), 'same'],
    ['not all of the new pods came, but some', whole, looks([62, { desired: 5, updated: 5, ready: 4, available: 4 }, 'progressing']), 'same'],
    ['the counts are still moving', hanging, looks([56, hanging, 'progressing'], [5, { ...hanging, restarts: 9 }, 'progressing']), 'unknown'],
    ['the old pod does not go', hanging, looks([62, hanging, 'progressing', false]), 'unknown'],
    ['the workload is gone', stuck, looks([62, { desired: 0, available: 0 }, 'missing']), 'unknown'],
  ])('%s', (_what, baseline, samples, verdict) => expect(judge(baseline, samples)).toBe(verdict))

  test('nobody could look', () => expect(judge(stuck, [], timeoutMs)).toBe('unknown'))
  test('the last look is long ago', () => expect(judge(stuck, looks([20, {}, 'progressing']), 120_000)).toBe('unknown'))
})

const health = fc.record({
  desired: fc.nat(5),
  updated: fc.nat(5),
  ready: fc.nat(5),
  available: fc.nat(5),
  failing: fc.nat(3),
  restarts: fc.nat(9),
  faults: fc.subarray(['stuck_rollout', 'crash_loop', 'stuck_pod'] as const).map((faults) => [...faults]),
})
const settled: fc.Arbitrary<Settled> = fc.record({
  health,
  rollout: fc.constantFrom<RolloutState>('complete', 'progressing', 'exceeded', 'missing'),
  podGone: fc.constantFrom(null, true, false),
})
const history = fc.array(fc.tuple(fc.integer({ min: 100, max: 5_000 }), settled), { maxLength: 40 }).map((steps) => {
  let atMs = 0
  return steps.map(([stepMs, one]): Sample => ({ atMs: (atMs += stepMs), settled: one }))
})

test('at the timeout there is always an answer', () => {
  fc.assert(fc.property(health, history, (baseline, samples) => expect(judge(baseline, samples, (samples.at(-1)?.atMs ?? 0) + timeoutMs)).not.toBe('not_yet')))
})

test('nothing is said before something has held for the settle time', () => {
  const brief = history.filter((samples) => (samples.at(-1)?.atMs ?? 0) - (samples[0]?.atMs ?? 0) < settleMs)
  fc.assert(fc.property(health, brief, (baseline, samples) => expect(judge(baseline, samples)).toBe('not_yet')), { numRuns: 60 })
})

const lasting = ({ health: held, rollout, podGone }: Settled) => looks([62, held, rollout, podGone ?? undefined])

test('what is lasting is never called better with fewer available or more failing pods', () => {
  fc.assert(
    fc.property(health, settled, (baseline, state) => {
      const verdict = judge(baseline, lasting(state))
      const loss = state.health.available < Math.min(baseline.available, state.health.desired) || state.health.failing > baseline.failing
      expect(loss && verdict === 'better').toBe(false)
    }),
    { numRuns: 1_000 },
  )
})

test('the evidence puts the last look beside the baseline', () => {
  const { evidence } = judgeHealth(hanging, looks([11, {}, 'complete', true]), { settleMs, timeoutMs, startMs: 0, nowMs: 11_000 })
  expect(evidence).toBe('rollout complete, the old pod is gone: 3 of 3 available, 0 failing (before: 2 of 3 available, 1 failing)')
})

describe('when there will be something to say', () => {
  const dueOf = (baseline: Health, samples: Sample[]) => judgeHealth(baseline, samples, { settleMs, timeoutMs, startMs: 0, nowMs: samples.at(-1)?.atMs ?? 0 }).dueMs

  test.each<[string, Health, Sample[], number | null]>([
    ['nothing was looked at', whole, [], null],
    ['the rollout moves', stuck, looks([5, { ready: 1, available: 1 }, 'progressing']), null],
    ['complete from the third look on', stuck, looks([2, {}, 'progressing'], [4, {}]), 2_000 + settleMs],
    ['complete again after an interruption', stuck, looks([3, {}], [1, {}, 'progressing'], [2, {}]), 4_000 + settleMs],
    ['complete, and the old pod goes later', hanging, looks([3, {}, 'complete', false], [2, {}, 'complete', true]), 3_000 + settleMs],
    ['complete, and a container restarts', stuck, looks([3, {}], [2, { restarts: 1 }]), 3_000 + settleMs],
    ['given up', whole, looks([3, {}, 'progressing'], [2, {}, 'exceeded']), 3_000 + settleMs],
    ['more failing pods, before the rollout is complete', whole, looks([1, {}, 'progressing'], [1, { failing: 1 }, 'progressing'], [2, { failing: 1 }]), 1_000 + settleMs],
  ])('%s', (_what, baseline, samples, due) => expect(dueOf(baseline, samples)).toBe(due))

  test('a look just then, if nothing has changed, decides', () => {
    fc.assert(
      fc.property(health, history, (baseline, samples) => {
        const [due, last] = [dueOf(baseline, samples), samples.at(-1)]
        if (due === null || !last) return
        expect(due).toBeGreaterThan(last.atMs)
        expect(judge(baseline, [...samples, { ...last, atMs: due }])).not.toBe('not_yet')
      }),
      { numRuns: 1_000 },
    )
  })
})

/** Verification looks every two seconds at most; between two looks that agree it takes the state for unchanged. */
test.each([500, 1_000, 2_000])('one look every %d ms says the same', (everyMs) => {
  const thinned = (samples: Sample[]) => samples.filter(({ atMs }) => atMs % everyMs === 0)
  expect(judge(stuck, thinned(looks([3, { updated: 0 }, 'progressing'], [14, {}])))).toBe('better')
  expect(judge(stuck, thinned(looks([8, {}], [2, { available: 2 }, 'progressing'], [8, {}])))).toBe('not_yet')
  expect(judge(whole, thinned(looks([2, {}, 'progressing'], [13, { failing: 2 }, 'progressing'])))).toBe('worse')
  expect(judge(stuck, thinned(looks([9, {}], [9, { restarts: 1 }])))).toBe('not_yet')
})
