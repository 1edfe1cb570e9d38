/** Values that a JSON Schema lets in, values one step away from those, and junk. */
import fc from 'fast-check'

type Schema = { [name: string]: unknown }
type Arb = fc.Arbitrary<unknown>

/** What stands in the tests' own database and settings, so that much of what is drawn is about something. */
const familiar = ['shop', 'main', 'edge', 'demo-a', 'cart', 'default', 'kube-system', 'ann', 'a', '0']
const texts = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...familiar) }, { weight: 2, arbitrary: fc.string({ maxLength: 20 }) }, { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }).filter((text) => text.isWellFormed() && !text.includes('\u0000')) })
const times = ['2026-01-31T12:00:00Z', '1970-01-01T00:00:00Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z', '2026-01-31T12:00:00+23:59', '2099-01-01T00:00:00.123456789Z']

/** Where these are asked for by name, they mostly come. */
const known: Record<string, readonly string[]> = { namespace: ['shop', 'demo-a'], cluster: ['main', 'edge'], kind: ['Deployment', 'Pod'], planDigest: [`sha256:${'d'.repeat(64)}`], name: ['cart', 'web-1'], podName: ['cart-1'], deploymentName: ['cart'] }

export function lettingIn(schema: Schema, depth = 0): Arb {
  const options = (schema['anyOf'] ?? schema['oneOf']) as Schema[] | undefined
  if (options) return fc.oneof(...options.map((one) => lettingIn(one, depth)))
  if ('const' in schema) return fc.constant(schema['const'])
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]))
  const read = byType[String(schema['type'])]
  return read ? read(schema, depth) : fc.oneof(texts, fc.integer(), fc.boolean(), fc.constant(null), depth > 2 ? fc.constant({}) : fc.dictionary(fc.string({ maxLength: 8 }), texts, { maxKeys: 3, noNullPrototype: true }))
}

const byType: Record<string, (schema: Schema, depth: number) => Arb> = {
  string: (schema) => stringOf(schema),
  integer: ({ minimum = 0, maximum = 1_000 }) => fc.integer({ min: Math.max(Number(minimum), -1_000), max: Math.min(Number(maximum), 1_000_000) }),
  number: ({ minimum = -1e6, maximum = 1e6 }) => fc.double({ min: Number(minimum), max: Number(maximum), noNaN: true }),
  boolean: () => fc.boolean(),
  null: () => fc.constant(null),
  array: ({ items = {}, minItems = 0, maxItems = 3 }, depth) => fc.array(lettingIn(items as Schema, depth + 1), { minLength: Number(minItems), maxLength: Math.max(Number(minItems), Math.min(Number(maxItems), 3)) }),
  object: (schema, depth) => objectOf(schema, depth),
}

function stringOf({ pattern, format, minLength = 0, maxLength = 40 }: Schema): Arb {
  if (format === 'uuid') return fc.oneof(fc.uuid(), fc.uuid({ version: 7 }))
  if (format === 'date-time') return fc.constantFrom(...times)
  if (typeof pattern === 'string') return matching(pattern)
  const [least, most] = [Number(minLength), Math.min(Number(maxLength), 300)]
  return fc.oneof(texts.filter((text) => text.trim().length >= least && text.length <= most), fc.string({ minLength: Math.max(least, 1), maxLength: Math.max(least, most) }))
}

/** Look-aheads are beyond fast-check: then what is familiar has to do. */
function matching(pattern: string): Arb {
  const fitting = familiar.filter((word) => new RegExp(pattern).test(word))
  const known: Arb[] = fitting.length > 0 ? [fc.constantFrom(...fitting)] : []
  const short = new RegExp(pattern.replace(/\{(\d),\d{2,}\}/g, '{$1,9}')) // as long as it may be it says no more
  const drawn: Arb[] = /\(\?[!=<]/.test(pattern) ? [] : [fc.stringMatching(short)]
  const all = [...known, ...drawn]
  return all.length > 0 ? fc.oneof(...all) : fc.constant('x')
}

function objectOf({ properties = {}, required = [], additionalProperties }: Schema, depth: number): Arb {
  const members = Object.entries(properties as Record<string, Schema>).map(([name, one]) => [name, member(name, one, depth)] as const)
  if (members.length === 0 && typeof additionalProperties === 'object') return fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }).filter((key) => !['__proto__', 'constructor', 'prototype'].includes(key)), lettingIn(additionalProperties as Schema, depth + 1), { maxKeys: 3, noNullPrototype: true })
  return fc.record(Object.fromEntries(members), { requiredKeys: required as never[], noNullPrototype: true })
}

function member(name: string, schema: Schema, depth: number): Arb {
  const drawn = lettingIn(schema, depth + 1)
  const { const: only, enum: some, pattern = '' } = schema
  const fitting = (known[name] ?? []).filter((value) => only === undefined && some === undefined && new RegExp(String(pattern)).test(value))
  return fitting.length > 0 ? fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...fitting) }, { weight: 1, arbitrary: drawn }) : drawn
}

export const junk: Arb = fc.oneof(
  fc.constantFrom<unknown>(null, true, 0, -1, 1.5, 1e300, Number.MAX_SAFE_INTEGER, '', ' ', '\u0000', '\ud800', '😀', '𝕊'.repeat(200), 'x'.repeat(5_000), [], {}, [[]], { a: { b: { c: {} } } }, '0000-00-00T00:00:00Z', '-infinity', '../..', "'", '%00', '{{7*7}}', '${x}', '\r\nX: y'),
  fc.anything({ maxDepth: 3 }).filter((value) => value !== undefined),
)

/** The value with one part, chosen by the numbers, put in, taken out or changed for something else. */
export function spoiled(value: unknown, way: readonly number[], other: unknown): unknown {
  const [step = 0, ...rest] = way
  if (typeof value !== 'object' || value === null || way.length === 0) return other
  const copy: Record<string, unknown> = Array.isArray(value) ? ([...value] as unknown as Record<string, unknown>) : { ...value }
  const names = [...Object.keys(value), 'unknown']
  const name = names[step % names.length]!
  if (rest.length === 0 && step % 3 === 0) delete copy[name]
  else copy[name] = spoiled(copy[name], rest, other)
  return copy
}

/** Let in, one step away, junk: two of the first for one of each other. */
export const around = (schema: Schema): Arb => {
  const good = lettingIn(schema)
  return fc.oneof({ weight: 2, arbitrary: good }, fc.tuple(good, fc.array(fc.nat(30), { minLength: 1, maxLength: 4 }), junk).map(([value, way, other]) => spoiled(value, way, other)), junk)
}
