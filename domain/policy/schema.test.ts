import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { compileCel } from '../../adapters/policies/cel.ts'
import { policyFiles } from '../../adapters/policies/files.ts'
import { readYaml } from '../../adapters/policies/yaml.ts'
import { zoneExists } from '../../adapters/policies/zones.ts'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { playsAll } from '../../tests/helpers/draw.ts'
import { isException } from './parse-exception.ts'
import { parsePolicy } from './parse.ts'
import { policySchema } from './schema.ts'
import { anyLeaf, documentWith } from './testing/arbitraries.ts'

const fits = new Ajv2020({ strict: true, strictTypes: false, allowUnionTypes: true, strictRequired: false }).compile(policySchema)
const problemsOf = (value: unknown) => parsePolicy(value, { zoneExists, compileCel }).problems ?? []
const runs = { numRuns: playsAll ? 20_000 : 1_000 }
const documents = documentWith(anyLeaf).map((one) => ({ ...one, id: 'p' }))

test('whatever is read satisfies the schema, as it was written and with its defaults filled in', () => {
  fc.assert(
    fc.property(documents, (document) => {
      const { policy } = parsePolicy(document, { zoneExists, compileCel })
      expect([fits(document), fits.errors]).toEqual([true, null])
      expect([fits(policy), fits.errors]).toEqual([true, null])
    }),
    runs,
  )
})

test.each(['policies', 'policies/starter', 'policies/demo'])('the policies in %s satisfy it', async (directory) => {
  const files = (await policyFiles(`${checkout}/${directory}`)).filter(({ name }) => !name.endsWith('.test.yaml'))
  const values = files.flatMap(({ name, text }) => readYaml(name, text).documents.map(({ value }) => value)).filter((value) => !isException(value))
  expect(values.length).toBeGreaterThan(0)
  for (const value of values) expect([fits(value), fits.errors]).toEqual([true, null])
})

/** What a schema does not say. */
const besides = [
  /no fact/, /expected one of info, low/, /mixes types/, /lowest comes first/, /no network/, /only be a whole segment/, /no resource/, /no action/, /time zone/, /the expression /,
  /no time of day/, /equals/, /no local time/, /must be before/, /no duration/, /no instant/, /nested deeper/, /expected a number, found/, /more than \d+ (conditions|globs|expressions)/, /characters/, /cannot be a label/, /larger than/, /expected text/, /not plain data/,
]

const poison = fc.oneof(
  fc.constantFrom<unknown>(null, true, 0, -1, 1.5, '', 'x', [], ['x'], {}, { all: [] }, { attr: 'context.x', op: 'eq' }, { attr: 'context.x', op: 'exists', value: 1 }, { cel: 'true', attr: 'x' }, { time: {} }, 'x'.repeat(300), Array(300).fill('a')),
  fc.jsonValue(),
)
const keys = fc.constantFrom('when', 'unless', 'effect', 'mode', 'enforcement', 'obligations', 'validity', 'labels', 'type', 'priority', 'extra', 'actions', 'all', 'attr', 'op', 'value', 'minApprovals', 'days', 'allDay', 'windows')

function spoiled(value: unknown, way: readonly number[], key: string, bad: unknown): unknown {
  const [step = 0, ...rest] = way
  if (typeof value !== 'object' || value === null || way.length === 0) return bad
  const names = [...Object.keys(value), key]
  const name = names[step % names.length]!
  const copy: Record<string, unknown> = Array.isArray(value) ? (([...value] as unknown) as Record<string, unknown>) : { ...value }
  copy[name] = spoiled(Object.hasOwn(copy, name) ? copy[name] : undefined, rest, key, bad)
  return copy
}

test('what the schema refuses is not read, and what it lets pass is refused only for what no schema says', () => {
  const seen = { neither: 0, besides: 0 }
  fc.assert(
    fc.property(documents, fc.array(fc.nat(30), { minLength: 1, maxLength: 5 }), keys, poison, (document, way, key, bad) => {
      const value = JSON.parse(JSON.stringify(spoiled(document, way, key, bad))) as unknown
      const problems = problemsOf(value)
      if (!fits(value)) {
        expect(problems.length).toBeGreaterThan(0)
        seen.neither += 1
      } else if (problems.length > 0) {
        for (const { message } of problems) expect(besides.some((known) => known.test(message)) ? 'known' : message).toBe('known')
        seen.besides += 1
      }
    }),
    runs,
  )
  expect(seen.neither).toBeGreaterThan(runs.numRuns / 10)
})
