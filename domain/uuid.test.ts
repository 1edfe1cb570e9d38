import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { deterministicUuid, isUuidV7, uuidTimeMs, uuidv7 } from './uuid.ts'

const ms = fc.integer({ min: 0, max: 2 ** 48 - 1 })
const bytes = fc.uint8Array({ minLength: 10, maxLength: 10 })

test('an id has the form of version 7 and gives its time back', () => {
  fc.assert(
    fc.property(ms, bytes, (now, random) => {
      const id = uuidv7(now, random)
      expect(isUuidV7(id)).toBe(true)
      expect(uuidTimeMs(id)).toBe(now)
    }),
  )
})

test('later ids sort after earlier ones', () => {
  fc.assert(
    fc.property(ms, ms, bytes, bytes, (a, b, x, y) => {
      fc.pre(a !== b)
      expect(uuidv7(a, x) < uuidv7(b, y)).toBe(a < b)
    }),
  )
})

test('every random bit that fits is used', () => {
  expect(uuidv7(0, new Uint8Array(10))).toBe('00000000-0000-7000-8000-000000000000')
  expect(uuidv7(2 ** 48 - 1, new Uint8Array(10).fill(255))).toBe('ffffffff-ffff-7fff-bfff-ffffffffffff')
})

test('the same instant and hash give the same id, another hash another one', () => {
  const hash = (text: string) => createHash('sha256').update(text).digest('hex')
  expect(deterministicUuid(5, hash('a'))).toBe(deterministicUuid(5, hash('a')))
  expect(deterministicUuid(5, hash('a'))).not.toBe(deterministicUuid(5, hash('b')))
  expect(deterministicUuid(5, 'f'.repeat(64))).toBe('00000000-0005-7fff-bfff-ffffffffffff')
})

test.each([
  ['too few random bytes', () => uuidv7(0, new Uint8Array(9))],
  ['a time before 1970', () => uuidv7(-1, new Uint8Array(10))],
  ['half a millisecond', () => uuidv7(0.5, new Uint8Array(10))],
  ['a short hash', () => deterministicUuid(0, 'abc')],
])('%s is refused', (_what, make) => expect(make).toThrow(RangeError))

test('another version has no time', () => {
  expect(uuidTimeMs('6ba7b810-9dad-41d1-80b4-00c04fd430c8')).toBeUndefined()
})
