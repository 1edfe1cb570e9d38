import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { compileCel } from '../../adapters/policies/cel.ts'
import { wallClock, zoneExists } from '../../adapters/policies/zones.ts'
import { playsAll } from '../../tests/helpers/draw.ts'
import { bounds } from './bounds.ts'
import { pathText } from './check.ts'
import { decide } from './decide.ts'
import type { PolicyDocument } from './document.ts'
import type { PolicyInput } from './input.ts'
import { parsePolicy } from './parse.ts'
import { compileSnapshot } from './snapshot.ts'
import { anyLeaf, documentWith, input, policies, read } from './testing/arbitraries.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const compile = (documents: readonly PolicyDocument[]) => compileSnapshot(documents, { sha256, wallClock, compileCel })
const runs = { numRuns: playsAll ? 20_000 : 1_000 }

const nested = (depth: number): unknown => Array.from({ length: depth }).reduce<unknown>((inner) => ({ not: inner }), { attr: 'context.x', op: 'exists' })
const circular: Record<string, unknown> = {}
circular['self'] = circular
const keys = fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'then', 'toJSON', '', 'a', 'when', 'attr', 'cel', '\ud800')
const values: fc.Arbitrary<unknown> = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withSparseArray: true, withNullPrototype: true, withTypedArray: true }),
  fc.constantFrom<unknown>(undefined, null, NaN, Infinity, -0, 1n, '\ud800', 'x'.repeat(1_000_000), Array(100_000).fill('a'), nested(20_000), circular, Symbol('s'), () => 'f', new Proxy({}, { ownKeys: () => { throw new Error('no keys') } })),
  fc.constantFrom<unknown>(
    { get attr() { throw new Error('not to be read') } }, { attr: 'context.__proto__.x', op: 'exists' }, { attr: 'context["constructor"]', op: 'eq', value: 'a' }, { attr: 'context.x', op: 'glob', value: `${'a*'.repeat(127)}b` },
    { cel: 'context.all(x, context.all(y, true))' }, { cel: '('.repeat(1000) }, { all: Array(1000).fill({ any: [] }) }, nested(7), { time: { zone: '__proto__', windows: [] } },
  ),
  fc.dictionary(keys, fc.anything()),
  fc.tuple(keys, fc.anything()).map(([key, value]) => JSON.parse(`{${JSON.stringify(key)}: ${JSON.stringify(value) ?? 'null'}}`) as unknown),
)

/** The value with one part, chosen by the numbers, replaced or added. */
function spoiled(value: unknown, way: readonly number[], key: string, poison: unknown): unknown {
  const [step = 0, ...rest] = way
  if (typeof value !== 'object' || value === null || way.length === 0) return poison
  const names = [...Object.keys(value), key]
  const name = names[step % names.length]!
  const copy: Record<string, unknown> = Array.isArray(value) ? (([...value] as unknown) as Record<string, unknown>) : { ...value }
  const own = Object.hasOwn(copy, name) ? copy[name] : undefined
  Object.defineProperty(copy, name, { value: spoiled(own, rest, key, poison), enumerable: true, writable: true, configurable: true })
  return copy
}
const poisoned = <T>(whole: fc.Arbitrary<T>) => fc.tuple(whole, fc.array(fc.nat(30), { maxLength: 5 }), keys, values).map(([value, way, key, poison]) => spoiled(value, way, key, poison))

test('whatever a document holds, reading it never throws: it is a policy, or every problem has its place and reason', () => {
  const seen = { read: 0, refused: 0 }
  fc.assert(
    fc.property(fc.oneof({ weight: 5, arbitrary: poisoned(documentWith(anyLeaf).map((one) => ({ ...one, id: 'p' }))) }, values), input, (value, request) => {
      const { policy, problems } = parsePolicy(value, { zoneExists, compileCel })
      if (policy) {
        seen.read += 1
        expect(decide(compile([policy]), request).code).not.toBe('engine_error')
        return
      }
      seen.refused += 1
      expect(problems.length).toBeGreaterThan(0)
      expect(problems.length).toBeLessThanOrEqual(bounds.problems)
      for (const { path, message } of problems) expect([pathText(path).length > 0, message.length > 0]).toEqual([true, true])
    }),
    runs,
  )
  expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(runs.numRuns / 50)
})

/** The ledger keeps decisions as JSON, which knows one zero. */
function withoutNegativeZero(value: unknown): unknown {
  if (typeof value === 'number') return value + 0
  if (typeof value !== 'object' || value === null) return value
  return Array.isArray(value) ? value.map(withoutNegativeZero) : Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutNegativeZero(one)]))
}

test('whatever a request holds, deciding it never throws, and what cannot be read is denied', () => {
  const seen: Record<string, number> = {}
  fc.assert(
    fc.property(policies, poisoned(input), (documents, request) => {
      const snapshot = compile([...documents, read({ apiVersion: 'aegis.dev/policy/v1', effect: 'allow', actions: ['*'], resources: ['**'] }, 'all')])
      const decision = decide(snapshot, request as PolicyInput)
      expect(decision.code).not.toBe('engine_error')
      if (decision.code === 'malformed_request') expect(decision).toMatchObject({ effect: 'deny', determining: [], validUntil: null })
      expect(JSON.parse(JSON.stringify(decision))).toEqual(withoutNegativeZero(decision))
      seen[decision.code] = (seen[decision.code] ?? 0) + 1
    }),
    runs,
  )
  expect(seen['malformed_request']).toBeGreaterThan(runs.numRuns / 50)
  expect(seen['allowed']).toBeGreaterThan(runs.numRuns / 50)
})

describe('the dearest documents that are read', () => {
  const list = Array.from({ length: bounds.listItems }, (_, at) => `item-${at}`)
  const leaves = (leaf: unknown) => ({ all: Array(bounds.conditionNodes - 2).fill(leaf) })
  const least = { apiVersion: 'aegis.dev/policy/v1', id: 'p', effect: 'allow', actions: ['*'], resources: ['**'] }
  const long = Array.from({ length: 5000 }, (_, at) => `item-${at % bounds.listItems}`)
  const request = fc.sample(input, 1)[0]!

  test.each<[string, object, PolicyInput['context']]>([
    ['lists against lists', { when: { not: { not: { all: Array(6).fill({ attr: 'context.list', op: 'containsAll', value: list }) } } } }, { list: long }],
    ['members of lists', { when: { all: Array(6).fill({ attr: 'context.list', op: 'subsetOf', value: list }) } }, { list: long }],
    ['globs of stars', { when: leaves({ attr: 'context.text', op: 'glob', value: `${'a*'.repeat(60)}b` }) }, { text: 'a'.repeat(100_000) }],
    ['globs across segments', { when: leaves({ attr: 'context.text', op: 'glob', value: `${'**/a/'.repeat(40)}b` }) }, { text: 'a/'.repeat(10_000) }],
    ['resources', { resources: Array(60).fill(`k8s:**/${'a*'.repeat(60)}b/**`) }, {}],
    ['windows', { when: { any: Array(9).fill({ time: { zone: 'Europe/Berlin', windows: Array(bounds.windows).fill({ from: '01:00', to: '01:01' }) } }) } }, {}],
    ['expressions', { when: { not: { any: Array(bounds.expressions).fill({ cel: 'context.list.all(x, x in context.list) && action == "never"' }) } } }, { list: long }],
  ])('%s cost less than 300 ms of processor time a decision', (_name, change, context) => {
    const { policy, problems } = parsePolicy({ ...least, ...change }, { zoneExists, compileCel })
    expect(problems).toBeUndefined()
    const snapshot = compile([policy!])
    decide(snapshot, request) // compiled by the runtime before it is measured
    const before = process.cpuUsage()
    expect(decide(snapshot, { ...request, context }).code).not.toBe('engine_error')
    expect(process.cpuUsage(before).user).toBeLessThan(300_000)
  })
})
