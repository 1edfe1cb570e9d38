import fc from 'fast-check'
import { playsAll, seed } from '../tests/helpers/draw.ts'
import { slidingLog } from './sliding-log.ts'

test('takes up to the limit, says how long to wait, and has room when the oldest has left', () => {
  const log = slidingLog({ limit: 2, windowMs: 1_000 })
  expect([log.take('a', 0), log.take('a', 400), log.take('a', 500), log.take('b', 500)]).toEqual([0, 0, 500, 0])
  expect([log.waitMs('a', 999), log.waitMs('a', 1_000), log.take('a', 1_000), log.take('a', 1_001)]).toEqual([1, 0, 0, 399])
})

test('a limit of 0 lets nothing in', () => expect(slidingLog({ limit: 0, windowMs: 1_000 }).take('a', 0)).toBe(1_000))

test('no window holds more than the limit, and nothing is refused that has room', () => {
  const asks = fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.integer({ min: 0, max: 400 })), { maxLength: 200 })
  const rate = fc.record({ limit: fc.integer({ min: 1, max: 5 }), windowMs: fc.integer({ min: 1, max: 1_000 }) })
  fc.assert(
    fc.property(asks, rate, (story, limit) => {
      const log = slidingLog(limit)
      const taken: Record<string, number[]> = { a: [], b: [] }
      let now = 0
      for (const [key, afterMs] of story) {
        now += afterMs
        const inWindow = taken[key]!.filter((at) => at + limit.windowMs > now).length
        const waitMs = log.take(key, now)
        expect(waitMs === 0).toBe(inWindow < limit.limit)
        if (waitMs === 0) taken[key]!.push(now)
      }
    }),
    { numRuns: playsAll ? 20_000 : 1_000, seed },
  )
})

test('more keys than it remembers share one log, until some are forgotten', () => {
  const log = slidingLog({ limit: 1, windowMs: 1_000 }, 2)
  expect([log.take('a', 0), log.take('b', 0), log.take('c', 0), log.take('d', 0)]).toEqual([0, 0, 0, 1_000])
  expect(log.take('a', 10)).toBe(990) // who was known stays so
  expect([log.take('d', 1_000), log.take('e', 1_000)]).toEqual([0, 0])
})
