import { parse, plan, type CelInput } from '@bufbuild/cel'
import fc from 'fast-check'
import { celEnvironment } from '../../adapters/policies/cel.ts'
import { meteredFacts } from '../../adapters/policies/cel-facts.ts'
import { wallClock } from '../../adapters/policies/zones.ts'
import { playsAll, printedSeed } from '../../tests/helpers/draw.ts'
import { asCel } from './cel.ts'
import { compileCondition } from './condition.ts'
import type { PolicyInput } from './input.ts'
import { anyLeaf, completeInput, documentWith, read, tree, word } from './testing/arbitraries.ts'
import { and, not, type Truth } from './truth.ts'

const seed = printedSeed('rendered CEL')

const rendered = (when: unknown, unless: unknown = { any: [] }) => asCel(read({ apiVersion: 'aegis.dev/policy/v1', effect: 'allow', actions: ['*'], resources: ['**'], when: when as object, unless: unless as object }, 'p'), wallClock)

/** What CEL makes of the text: an error is unknown. */
function asked(text: string): (input: PolicyInput) => Truth {
  const program = plan(celEnvironment, parse(text)) as (variables: Record<string, CelInput>) => unknown
  return (input) => {
    const { variables, meter } = meteredFacts(input)
    meter.left = Infinity
    const answer = program(variables)
    return typeof answer === 'boolean' ? answer : 'unknown'
  }
}

const leaf = (attr: string, op: string, value: unknown) => fc.constant({ attr, op, value })
const dotted = fc.constantFrom('a.b', 'a+b', 'a/b.c', 'x', 'a.bb', 'a\nb', 'a"b', 'a\\b')
/** Besides the leaves of the other properties: keys in brackets, what patterns must escape, booleans, fixed spans. */
const moreLeaves = fc.oneof(
  ...['eq', 'prefix', 'contains'].flatMap((op) => [dotted.chain((value) => leaf('context.labels["example.com/name"]', op, value))]),
  fc.constantFrom('a.b', '**/a.b', 'a+*', '**', '**/**', 'a/**/b.c', '*\\*', '**/b*/**').chain((value) => leaf('context.labels["example.com/name"]', 'glob', value)),
  ...['exists', 'absent'].flatMap((op) => ['context.labels["example.com/name"]', 'context.workload.namespace', 'context.labels'].map((attr) => fc.constant({ attr, op }))),
  fc.constantFrom(0.5, -3, 1e21, 12345678901234567000, 2).chain((value) => leaf('request.share', 'lte', value)),
  leaf('request.undo', 'eq', true), leaf('context.severity', 'prefix', 'h'), leaf('context.severity', 'contains', 'high'), leaf('context.severity', 'between', ['low', 'high']),
  fc.constant({ time: { zone: 'Europe/Berlin', from: '2026-03-29T02:30', to: '2026-10-25T02:30' } }),
  fc.constant({ time: { zone: 'America/New_York', windows: [{ days: ['sun'], from: '01:15', to: '02:45' }, { days: ['sat'], allDay: true }, { days: ['mon', 'sun'], from: '22:30', to: '01:00' }] } }),
)
const missing = fc.subarray(['severity', 'word', 'tags', 'note', 'labels', 'workload'])
const typedInput = fc
  .record({ base: completeInput, label: dotted, share: fc.constantFrom(0.5, 2, 3, 1e21), undo: fc.boolean(), name: word, missing, offScale: fc.boolean() })
  .map(({ base, label, share, undo, name, missing: lost, offScale }): PolicyInput => {
    const context = { ...base.context, ...(offScale ? { severity: 'odd' } : {}), labels: { 'example.com/name': label }, workload: { namespace: name } }
    return { ...base, context: Object.fromEntries(Object.entries(context).filter(([key]) => !lost.includes(key))), request: { ...base.request, share, undo } }
  })

test('the rendered CEL is true, false or an error exactly where the condition is true, false or unknown, of facts that are missing or of their type', () => {
  const seen: Record<string, number> = { true: 0, false: 0, unknown: 0 }
  const leaves = fc.oneof(anyLeaf, moreLeaves)
  const condition = fc.oneof(leaves, tree(leaves))
  fc.assert(
    fc.property(condition, fc.oneof(fc.constant({ any: [] }), condition), fc.array(typedInput, { minLength: 10, maxLength: 10 }), (when, unless, inputs) => {
      const document = read({ apiVersion: 'aegis.dev/policy/v1', effect: 'allow', actions: ['*'], resources: ['**'], when, unless }, 'p')
      const [holds, except] = (['when', 'unless'] as const).map((key) => compileCondition(document[key], key, { wallClock }))
      const text = asCel(document, wallClock)
      const inCel = asked(text)
      for (const input of inputs) {
        const truth = and(holds!.evaluate(input), not(except!.evaluate(input)))
        if (inCel(input) !== truth) expect([text, inCel(input)]).toEqual([text, truth])
        seen[String(truth)]! += 1
      }
    }),
    { numRuns: playsAll ? 20_000 : 1_000, seed },
  )
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(200)
})

test('every policy that can be read can be rendered, and its text is CEL', () => {
  fc.assert(fc.property(documentWith(anyLeaf), (one) => void parse(asCel(read(one, 'p'), wallClock))), { numRuns: 300 })
})

test.each<[unknown, string]>([
  [{ all: [] }, 'true'],
  [{ any: [] }, 'false'],
  [{ all: [{ attr: 'request.replicas', op: 'lte', value: 6 }, { attr: 'context.labels["app/name"]', op: 'ne', value: 'web' }] }, '(request.replicas <= 6 && context.labels["app/name"] != "web")'],
  [{ attr: 'context.severity', op: 'gte', value: 'high' }, '{"info": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}[context.severity] >= 3'],
  [{ not: { attr: 'principal.roles', op: 'containsAny', value: ['admin'] } }, '!(principal.roles.exists(item, item in ["admin"]))'],
  [{ attr: 'context.workload.kind', op: 'exists' }, '(has(context.workload) && has(context.workload.kind))'],
  [{ attr: 'context.namespace', op: 'glob', value: 'prod-*' }, 'context.namespace.matches("^prod-[^/]*$")'],
  [{ attr: 'context.in', op: 'eq', value: 'a\n"' }, 'context["in"] == "a\\n\\""'],
  [{ attr: 'context.address', op: 'cidr', value: '10.0.0.0/8' }, 'cidr("10.0.0.0/8").containsIP(context.address)'],
  [{ time: { zone: 'Europe/Berlin', windows: [{ days: ['mon', 'fri'], from: '09:00', to: '18:00' }] } }, '(now.getDayOfWeek("Europe/Berlin") in [1, 5] && now.getHours("Europe/Berlin") >= 9 && now.getHours("Europe/Berlin") < 18)'],
  [{ time: { zone: 'UTC', from: '2026-12-24T18:00', to: '2027-01-02T08:00' } }, '(now >= timestamp("2026-12-24T18:00:00Z") && now < timestamp("2027-01-02T08:00:00Z"))'],
])('%j reads as %s', (when, text) => expect(rendered(when)).toBe(text))

test('an exception reads as what must not be', () => {
  const leafOf = (value: number) => ({ attr: 'request.replicas', op: 'eq', value })
  expect(rendered(leafOf(1), leafOf(2))).toBe('request.replicas == 1 && !(request.replicas == 2)')
  expect(rendered({ all: [] }, { any: [leafOf(2), leafOf(3)] })).toBe('!(request.replicas == 2 || request.replicas == 3)')
})
