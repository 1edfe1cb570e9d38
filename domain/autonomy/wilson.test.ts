import fc from 'fast-check'
import { playsAll, printedSeed } from '../../tests/helpers/draw.ts'
import { wilsonLowerBound } from './wilson.ts'

const seed = printedSeed('confidence')

const numRuns = playsAll ? 20_000 : 1_000
const counts = fc.integer({ min: 1, max: 1_000_000 }).chain((total) => fc.tuple(fc.integer({ min: 0, max: total }), fc.constant(total)))
const holds = (predicate: (successes: number, total: number) => void) =>
  fc.assert(fc.property(counts, ([successes, total]) => predicate(successes, total)), { numRuns, seed })

// By the closed form for all or none, and by tables of the interval for the rest.
test.each([
  [0, 0, 0],
  [0, 10, 0],
  [1, 1, 0.2065],
  [1, 10, 0.0179],
  [5, 10, 0.2366],
  [9, 10, 0.5958],
  [10, 10, 0.7225],
  [15, 15, 0.7961],
  [16, 16, 0.8064],
  [24, 25, 0.8046],
  [81, 263, 0.2553],
])('%i of %i vouch for %f', (successes, total, bound) => {
  expect(wilsonLowerBound(successes, total)).toBeCloseTo(bound, 4)
})

test('it lies between none and all, and never above the plain share', () => {
  holds((successes, total) => {
    const bound = wilsonLowerBound(successes, total)
    expect(bound).toBeGreaterThanOrEqual(0)
    expect(bound).toBeLessThanOrEqual(successes / total)
  })
})

test('one more success raises it', () => {
  holds((successes, total) => {
    if (successes < total) expect(wilsonLowerBound(successes + 1, total)).toBeGreaterThan(wilsonLowerBound(successes, total))
  })
})

test('the same share of more trials vouches for more', () => {
  holds((successes, total) => {
    if (successes > 0) expect(wilsonLowerBound(2 * successes, 2 * total)).toBeGreaterThan(wilsonLowerBound(successes, total))
  })
})
