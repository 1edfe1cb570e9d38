import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { canonicalJson } from './canonical.ts'

const json = fc.jsonValue({ noUnicodeString: false }).filter((value) => JSON.stringify(value).isWellFormed())

describe('canonical JSON', () => {
  test('says the same as the value', () => {
    fc.assert(fc.property(json, (value) => expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))))
  })
  test('does not depend on the order of members', () => {
    const object = fc.dictionary(fc.string({ unit: 'grapheme' }).filter((key) => key.isWellFormed() && key !== '__proto__'), fc.integer(), { maxKeys: 8 })
    fc.assert(
      fc.property(object, (value) => {
        const reversed = Object.fromEntries(Object.entries(value).reverse())
        expect(canonicalJson(reversed)).toBe(canonicalJson(value))
      }),
    )
  })
  test.each([
    ['members by UTF-16 code units', { '\u20ac': 1, '\r': 2, '1': 3, '\u{1f600}': 4, '\ufb33': 5 }, '{"\\r":2,"1":3,"\u20ac":1,"\u{1f600}":4,"\ufb33":5}'],
    ['numbers as ECMAScript writes them', [1e21, 0.000001, 1e-7, -0, 100], '[1e+21,0.000001,1e-7,0,100]'],
    ['undefined members as absent', { a: undefined, b: null }, '{"b":null}'],
    ['control characters escaped the short way', '\b\t\n\f\r\u001f"\\', '"\\b\\t\\n\\f\\r\\u001f\\"\\\\"'],
  ])('writes %s', (_name, value, text) => expect(canonicalJson(value)).toBe(text))

  test.each([
    ['NaN', NaN],
    ['infinity', [Infinity]],
    ['a lone surrogate', { a: '\ud800' }],
    ['undefined in a list', [undefined]],
    ['a function', () => 1],
    ['a big integer', 1n],
  ])('refuses %s', (_name, value) => expect(() => canonicalJson(value)).toThrow(TypeError))
})
