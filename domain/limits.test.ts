import fc from 'fast-check'
import { admit, type LimitEntry } from './limits.ts'

const rule = { limit: 2, windowMs: 1_000 }
const at = (effectAtMs: number | null, amount = 1): LimitEntry => ({ amount, effectAtMs })

test.each([
  ['an empty log admits', [], 1, { admitted: true }],
  ['room left admits', [at(900)], 1, { admitted: true }],
  ['a full window waits for its oldest effect', [at(100), at(900)], 1, { admitted: false, retryAfterMs: 100 }],
  ['an effect exactly one window ago holds nothing', [at(0), at(900)], 1, { admitted: true }],
  ['a pending effect holds room, and may come only now', [at(null), at(900)], 1, { admitted: false, retryAfterMs: 900 }],
  ['an act with its undo needs room for both', [at(900)], 2, { admitted: false, retryAfterMs: 900 }],
  ['two slots of one entry leave together', [at(500, 2)], 2, { admitted: false, retryAfterMs: 500 }],
  ['more than the limit ever gives waits a whole window', [], 3, { admitted: false, retryAfterMs: 1_000 }],
])('%s', (_name, entries, amount, expected) => expect(admit(entries, rule, amount, 1_000)).toEqual(expected))

/** One remediation in a made-up history: it asks, acts a while later or never, and its record may come later still. */
const remediation = fc.record({
  askAfterMs: fc.integer({ min: 0, max: 700 }),
  actsAfterMs: fc.option(fc.integer({ min: 0, max: 2_000 }), { nil: null }),
  recordedAfterMs: fc.integer({ min: 0, max: 500 }),
})
const asked = { limit: fc.integer({ min: 1, max: 6 }), windowMs: fc.integer({ min: 1, max: 3_000 }) }

test('no window of any length-W ever holds more effects than the limit, whatever is asked and when it lands', () => {
  fc.assert(
    fc.property(fc.array(remediation, { maxLength: 60 }), fc.record(asked), (story, limits) => {
      const effects = play(story, limits)
      for (const start of effects) {
        const inWindow = effects.filter((effect) => effect >= start && effect < start + limits.windowMs)
        expect(inWindow.length).toBeLessThanOrEqual(limits.limit)
      }
    }),
    { numRuns: 1_000 },
  )
})

test('waiting as long as it says is enough when nothing is pending', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 30 }), fc.record(asked), (times, limits) => {
      const entries = times.map((time) => at(time))
      const answer = admit(entries, limits, 1, 5_000)
      if (answer.admitted) return
      expect(answer.retryAfterMs).toBeGreaterThan(0)
      expect(admit(entries, limits, 1, 5_000 + answer.retryAfterMs)).toEqual({ admitted: true })
      expect(admit(entries, limits, 1, 5_000 + answer.retryAfterMs - 1).admitted).toBe(false)
    }),
  )
})

/** Plays the story in order of asking; returns the times of the effects of those admitted. */
function play(story: { askAfterMs: number; actsAfterMs: number | null; recordedAfterMs: number }[], limits: typeof rule) {
  const log: { acts: number | null; recorded: number | null }[] = []
  let now = 0
  for (const { askAfterMs, actsAfterMs, recordedAfterMs } of story) {
    now += askAfterMs
    // What the log shows now: an effect not recorded yet is pending; its record never precedes it.
    const seen = log.map(({ recorded }) => at(recorded !== null && recorded <= now ? recorded : null))
    if (!admit(seen, limits, 1, now).admitted) continue
    const acts = actsAfterMs === null ? null : now + actsAfterMs
    log.push({ acts, recorded: acts === null ? null : acts + recordedAfterMs })
  }
  return log.flatMap(({ acts }) => (acts === null ? [] : [acts]))
}
