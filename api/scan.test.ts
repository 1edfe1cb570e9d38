import fc from 'fast-check'
import { maxDepth, maxItems, maxMembers, scanJson } from './scan.ts'

const parses = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const keys = (count: number) => `{${Array.from({ length: count }, (_, at) => `"k${at}":1`).join(',')}}`
const items = (count: number) => `[${Array.from({ length: count }, () => '1').join(',')}]`
const nested = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`

test.each([
  ['a key given twice', '{"a":1,"a":1}', 'duplicate_key', 'a'],
  ['a key given twice, once in disguise', '{"b":{"a":1,"\\u0061":2}}', 'duplicate_key', 'b.a'],
  ['__proto__', '{"x":[{"__proto__":{"admin":true}}]}', 'prototype_key', 'x[0].__proto__'],
  ['__proto__ in disguise', '{"__pr\\u006fto__":1}', 'prototype_key', '__proto__'],
  ['constructor', '{"constructor":{"prototype":1}}', 'prototype_key', 'constructor'],
  ['prototype', '{"a":{"prototype":1}}', 'prototype_key', 'a.prototype'],
  ['one level too many', nested(maxDepth + 1), 'too_deep', '[0]'.repeat(maxDepth)],
  ['one key too many', `{"a":${keys(maxMembers + 1)}}`, 'too_many', `a.k${maxMembers}`],
  ['one item too many', items(maxItems + 1), 'too_many', `[${maxItems}]`],
  ['an integer past 2^53', '{"replicas":9007199254740993}', 'unsafe_number', 'replicas'],
  ['a number past every bound', '{"replicas":1e999}', 'unsafe_number', 'replicas'],
  ['a NUL', '{"reason":"a\\u0000b"}', 'bad_text', 'reason'],
  ['half of a surrogate pair', '["\\ud800"]', 'bad_text', '[0]'],
  ['a trailing comma', '{"a":1,}', 'malformed_json', ''],
  ['a second value', '{} {}', 'malformed_json', ''],
  ['a comment', '{} // no', 'malformed_json', ''],
  ['nothing', '', 'malformed_json', ''],
  ['a byte order mark', '\ufeff{}', 'malformed_json', ''],
])('%s is found and its place named', (_name, text, code, path) => {
  expect(scanJson(text)).toMatchObject({ code, path })
})

test.each([
  ['as deep as allowed', nested(maxDepth)],
  ['as many keys and items as allowed', `[${keys(maxMembers)},${items(maxItems)}]`],
  ['the same key in two objects', '[{"a":1},{"a":1}]'],
  ['a fraction', '{"a":-1.5e-3}'],
  ['the largest safe integer', '9007199254740991'],
  ['every escape', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"'],
  ['white space everywhere', ' { "a" : [ 1 , 2 ] } \n'],
])('%s passes', (_name, text) => expect(scanJson(text)).toBeUndefined())

test('whatever JSON.parse refuses is malformed, and the other way round', () => {
  const fragments = fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"b"', '1', '-0', '01', '1.', '.5', '1e5', 'true', 'nul', ' ', '"', '\\', '\t', 'e', '-')
  const texts = fc.oneof(
    fc.array(fragments, { maxLength: 12 }).map((parts) => parts.join('')),
    fc.tuple(fc.json({ maxDepth: 4 }), fc.nat(), fragments).map(([text, at, piece]) => {
      const place = at % (text.length + 1)
      return text.slice(0, place) + piece + text.slice(place)
    }),
  )
  fc.assert(
    fc.property(texts, (text) => {
      const finding = scanJson(text) // a double key may be found before what is malformed further on
      if (finding === undefined) expect(parses(text)).toBe(true)
      if (finding?.code === 'malformed_json') expect(parses(text)).toBe(false)
    }),
    { numRuns: 3000 },
  )
})

test('every document without doubtful keys, numbers or strings passes', () => {
  const keys = fc.string({ maxLength: 5 }).filter((key) => !['__proto__', 'constructor', 'prototype'].includes(key) && !key.includes('\u0000'))
  const leaves = fc.oneof(fc.string().filter((text) => !text.includes('\u0000')), fc.integer(), fc.boolean(), fc.constant(null), fc.double({ min: -1e15, max: 1e15, noNaN: true }))
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ depthSize: 'small' }, leaves, fc.array(tie('tree'), { maxLength: 4 }), fc.dictionary(keys, tie('tree'), { maxKeys: 4 })),
  }))
  fc.assert(fc.property(tree, (value) => expect(scanJson(JSON.stringify(value))).toBeUndefined()), { numRuns: 1000 })
})

test('a planted double is always found, at any depth', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 20 }), fc.stringMatching(/^[a-z]{1,8}$/), (depth, key) => {
      const inner = `{"${key}":1,"${key}":2}`
      const text = '{"in":'.repeat(depth) + inner + '}'.repeat(depth)
      expect(scanJson(text)?.path).toBe([...Array<string>(depth).fill('in'), key].join('.'))
    }),
  )
})

test('a body of the largest size, all escapes, is scanned without holding up others', () => {
  const largest = 2 * 1024 * 1024
  const fill = (piece: string) => piece.repeat(largest / piece.length)
  for (const text of [`[${fill('{"a":"\\u0061"},')}0]`, `"${fill('a')}"`, `"${fill('\\n')}"`, `"${fill('a')}`, fill('['), fill('1'), fill(' ')]) {
    const begun = performance.now()
    scanJson(text)
    expect(performance.now() - begun).toBeLessThan(1_000)
  }
})
