import fc from 'fast-check'
import { parseStamps, stampOf, stampPhases, withStamp, type Stamp } from './stamp.ts'

const id = fc.string({ minLength: 1, maxLength: 64 })
const phase = fc.constantFrom(...stampPhases)
const stamps: fc.Arbitrary<Stamp[]> = fc.uniqueArray(fc.record({ id, phase }), { maxLength: 15, selector: (stamp) => stamp.id })

test('what was stamped last is found again, with its latest phase', () => {
  fc.assert(fc.property(stamps, id, phase, (existing, mine, latest) => expect(stampOf(parseStamps(withStamp(existing, mine, latest)), mine)).toBe(latest)))
})

test('at most ten are kept, the newest at the end, each remediation once', () => {
  fc.assert(
    fc.property(stamps, id, phase, (existing, mine, latest) => {
      const kept = parseStamps(withStamp(existing, mine, latest))
      expect(kept.length).toBeLessThanOrEqual(10)
      expect(kept.at(-1)).toEqual({ id: mine, phase: latest })
      expect(new Set(kept.map((stamp) => stamp.id)).size).toBe(kept.length)
      expect(kept.slice(0, -1)).toEqual(existing.filter((stamp) => stamp.id !== mine).slice(-9))
    }),
  )
})

test('an annotation stays small', () => {
  const long = Array.from({ length: 10 }, (_, index) => ({ id: `${index}`.padEnd(36, 'x'), phase: 'abandoned' as const }))
  expect(withStamp(long, 'y'.repeat(36), 'applied').length).toBeLessThan(1_000)
})

test('stamping never throws, whatever someone wrote there before', () => {
  fc.assert(fc.property(fc.string(), (text) => expect(stampOf(parseStamps(withStamp(parseStamps(text), 'mine', 'applied')), 'mine')).toBe('applied')))
  fc.assert(fc.property(fc.json(), (text) => expect(Array.isArray(parseStamps(text))).toBe(true)))
})

test.each([
  ['nothing', undefined],
  ['an empty text', ''],
  ['no JSON', 'applied'],
  ['no list', '{"id":"a","phase":"applied"}'],
  ['an unknown phase', '[{"id":"a","phase":"done"}]'],
  ['an id that is no text', '[{"id":7,"phase":"applied"}]'],
  ['an id too long to be ours', JSON.stringify([{ id: 'x'.repeat(65), phase: 'applied' }])],
  ['null', '[null]'],
])('%s counts as no stamp', (_what, text) => expect(parseStamps(text)).toEqual([]))

test('unknown members are dropped', () => {
  expect(parseStamps('[{"id":"a","phase":"undone","note":"x"}]')).toEqual([{ id: 'a', phase: 'undone' }])
})
