import { recent } from './recent.ts'

test('a key is known until its time is over, and from then on not', () => {
  let nowMs = 0
  const keys = recent(10_000, 9, () => nowMs)
  expect(keys.has('a')).toBe(false)
  keys.note('a')
  nowMs = 9_999
  expect(keys.has('a')).toBe(true)
  nowMs = 10_000
  expect(keys.has('a')).toBe(false)
  keys.note('a')
  expect(keys.has('a')).toBe(true)
})

test('the oldest makes room', () => {
  const keys = recent(10_000, 2, () => 0)
  for (const key of ['a', 'b', 'a', 'c']) keys.note(key)
  expect(['a', 'b', 'c'].filter((key) => keys.has(key))).toEqual(['a', 'c'])
})
