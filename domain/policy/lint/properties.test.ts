import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { wallClock } from '../../../adapters/policies/zones.ts'
import { playsAll, printedSeed } from '../../../tests/helpers/draw.ts'
import { compileLeaf } from '../operators.ts'
import { decide } from '../decide.ts'
import type { AttributeLeaf, PolicyDocument } from '../document.ts'
import { compileGlob } from '../glob.ts'
import type { PolicyInput } from '../input.ts'
import { evaluate } from '../ruling.ts'
import { compileSnapshot } from '../snapshot.ts'
import { anyLeaf, documentWith, input, newYear, policies, read } from '../testing/arbitraries.ts'
import { referenceDecision, slowGlob } from '../testing/reference.ts'
import { factCells } from './fact-cells.ts'
import type { Code, Finding } from './finding.ts'
import { lintPolicies } from './lint.ts'
import { commonShapes, concreteResource, globCovers, mayMeet } from './resources.ts'
import { beginsWith, endsWith, exactly, globPattern, includes, textCells } from './text-cells.ts'

const seed = printedSeed('lint')

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const compile = (documents: readonly PolicyDocument[]) => compileSnapshot(documents, { sha256, wallClock })
const nowMs = newYear + 90 * 86_400_000
const lint = (documents: readonly PolicyDocument[]) => lintPolicies(compile(documents), { nowMs, wallClock, tzdata: 'test', history: { unmatched: new Set() } }).findings
const check = <T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>, numRuns = 1_000) => fc.assert(property, { numRuns: numRuns * (playsAll ? 20 : 1), seed })

/** Policies that are nearly each other, so that some cover others: one changed a little, or once more with a longer `when`. */
const related = fc.tuple(policies, fc.array(fc.tuple(fc.nat(7), fc.nat(3), documentWith(anyLeaf)), { minLength: 1, maxLength: 4 })).map(([all, changes]) => {
  const made = changes.flatMap(([of, how, other], at) => {
    const one = all[of % Math.max(1, all.length)]
    if (!one) return []
    const id = `near-${at}`
    const { obligations: _none, mode: _auto, ...bare } = one
    if (how === 0) return [read({ ...one, id, name: id, when: { all: [one.when, other['when'] ?? { all: [] }] } }, id)]
    if (how === 1) return [read({ ...bare, id, name: id, effect: 'deny' }, id)]
    if (how === 2) return [read({ ...one, id, name: id, actions: other['actions'], resources: other['resources'] }, id)]
    return [read({ ...one, id, name: id }, id)]
  })
  return [...all, ...made]
})

const flagged = (findings: readonly Finding[], ...codes: Code[]) => findings.filter(({ code }) => codes.includes(code))
const effectOf = (documents: readonly PolicyDocument[], id: string | null) => documents.find((one) => one.id === id)?.effect

/** Requests of chance, and those the policies' own boundaries suggest: what lint shows, and its neighbours. */
function asked(findings: readonly Finding[], drawn: readonly PolicyInput[]): PolicyInput[] {
  const shown = findings.flatMap(({ witness }) => witness ?? []).slice(0, 8)
  const moved = shown.flatMap((one) => drawn.map((other) => ({ ...one, context: other.context, request: other.request })))
  return [...drawn, ...shown, ...moved, ...shown.flatMap((one) => drawn.map(({ now }) => ({ ...one, now })))]
}

test('every witness is confirmed by engine and reference; dead and redundant policies change no decision; impossible ones are never true', () => {
  const seen = new Map<string, number>()
  check(fc.property(related, fc.array(input, { minLength: 4, maxLength: 8 }), (documents, drawn) => {
    const findings = lint(documents)
    for (const { code, severity } of findings) seen.set(`${code} ${severity}`, (seen.get(`${code} ${severity}`) ?? 0) + 1)
    const requests = asked(findings, drawn)
    for (const finding of findings) confirmed(documents, finding)
    unchangedWithout(documents, findings, requests)
    neverTrue(documents, findings, requests)
  }))
  // A property of nothing would hold as well.
  expect([...seen].filter(([, count]) => count >= 20).map(([kind]) => kind)).toEqual(expect.arrayContaining(['L1 error', 'L2 warning', 'L3 warning', 'L4 error', 'L8 error', 'L13 notice']))
})

function confirmed(documents: readonly PolicyDocument[], { code, policy, others, witness }: Finding): void {
  if (!witness) return
  const snapshot = compile(documents)
  const decision = decide(snapshot, witness)
  const plain = referenceDecision(documents, witness, { wallClock, instant: Date.parse })
  expect({ effect: plain.effect, code: plain.code, determining: plain.determining }).toEqual({
    effect: decision.effect, code: decision.code, determining: decision.determining.map(({ id }) => id).toSorted(),
  })
  const own = snapshot.policies.find(({ document }) => document.id === policy)
  const truth = own && evaluate(own, witness).truth
  if (code === 'L1' || code === 'L3') {
    expect(truth).toBe(true)
    expect(plain.effect).toBe('deny')
    expect(plain.determining).toContain(others[0])
    expect(plain.overridden).toContain(policy)
  }
  if (code === 'L2') expect(truth).toBe(true)
  if (code === 'L5') expect([truth, plain.code]).toEqual(['unknown', effectOf(documents, policy) === 'deny' ? 'deny_indeterminate' : 'approval_indeterminate'])
  if (code === 'L8') expect([plain.code, plain.determining.includes(policy!)]).toEqual(['allowed', true])
  if (code === 'L13') expect(plain.code).toBe('no_policy_matched')
}

function unchangedWithout(documents: readonly PolicyDocument[], findings: readonly Finding[], requests: readonly PolicyInput[]): void {
  const gone = new Set(flagged(findings, 'L1', 'L2').map(({ policy }) => policy))
  if (gone.size === 0) return
  const [before, after] = [compile(documents), compile(documents.filter(({ id }) => !gone.has(id)))]
  for (const request of requests) {
    const [was, is] = [before, after].map((snapshot) => {
      const { effect, code, obligations, mode } = decide(snapshot, request)
      return { effect, code, obligations, mode }
    })
    expect(is).toEqual(was)
  }
}

function neverTrue(documents: readonly PolicyDocument[], findings: readonly Finding[], requests: readonly PolicyInput[]): void {
  const never = new Set(flagged(findings, 'L4').filter(({ severity }) => severity === 'error').map(({ policy }) => policy))
  for (const policy of compile(documents.filter(({ id }) => never.has(id))).policies) {
    for (const request of requests) expect(evaluate(policy, request).truth).not.toBe(true)
  }
}

test('the same policies in another order give the same findings', () => {
  check(fc.property(related, (documents) => expect(lint(documents.toReversed())).toEqual(lint(documents))), 100)
})

// --- The algebra below ---

const letters = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 6 })
const fewLetters = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 4 }).map((text) => text.replaceAll(/\*+/g, '*'))
const glob = fc.array(fc.oneof({ weight: 3, arbitrary: fewLetters }, fc.constant('**')), { minLength: 1, maxLength: 4 })

test('every way in which texts meet patterns has its sample', () => {
  const pattern = fc.oneof(
    fc.tuple(fc.constantFrom('prefix', 'suffix', 'contains', 'eq'), fc.string({ unit: fc.constantFrom('a', 'b', '/'), minLength: 1, maxLength: 3 })),
    fc.tuple(fc.constant('glob'), glob.map((segments) => segments.join('/'))),
  )
  const make: Record<string, (text: string) => ReturnType<typeof exactly>> = { prefix: beginsWith, suffix: endsWith, contains: includes, eq: exactly, glob: (text) => globPattern(text)! }
  check(fc.property(fc.array(pattern, { minLength: 1, maxLength: 4 }), letters, (all, text) => {
    if (all.some(([op, value]) => op === 'glob' && value.split('/').filter((segment) => segment === '**').length > 3)) return
    const tests = all.map(([op, value]) => compileLeaf({ attr: 'context.x', op, value } as AttributeLeaf))
    const answers = (of: string) => tests.map((test) => test(of)).join()
    const samples = textCells(all.map(([op, value]) => make[op]!(value)))
    if (samples) expect(samples.map(answers)).toContain(answers(text))
  }))
})

test('every way in which values answer leaves has its sample', () => {
  const scalar = fc.oneof(fc.integer({ min: -2, max: 3 }), fc.constantFrom('a', 'b', 'ab'), fc.boolean())
  const one = (type: string) => scalar.filter((value) => typeof value === type)
  const list = fc.constantFrom('number', 'string').chain((type) => fc.array(one(type), { minLength: 1, maxLength: 2 }))
  const leaf = fc.oneof(
    fc.tuple(fc.constantFrom('eq', 'ne', 'contains'), scalar),
    fc.tuple(fc.constantFrom('in', 'nin', 'containsAny', 'containsAll', 'subsetOf'), list),
    fc.tuple(fc.constantFrom('gt', 'gte', 'lt', 'lte'), one('number')),
    fc.tuple(fc.constantFrom('prefix', 'suffix', 'glob'), fc.constantFrom('a', 'b', 'ab')),
    fc.tuple(fc.constantFrom('exists', 'absent'), fc.constant(undefined)),
  ).map(([op, value]) => ({ attr: 'context.x', op, ...(value === undefined ? {} : { value }) }) as AttributeLeaf)
  const value = fc.oneof(scalar, fc.double({ min: -3, max: 4, noNaN: true }), fc.array(scalar, { maxLength: 3 }), fc.constantFrom(undefined, null, {}, [null]))
  check(fc.property(fc.array(leaf, { minLength: 1, maxLength: 4 }), value, (leaves, given) => {
    const { samples, opaque } = factCells('context.x', leaves)
    const tests = leaves.filter((one) => !opaque.has(one)).map(compileLeaf)
    const answers = (of: unknown) => tests.map((test) => test(of)).join()
    expect(samples.map(answers)).toContain(answers(given))
  }), 2_000)
})

test('a glob covers another exactly where it matches all that the other does', () => {
  const segments = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 5 })
  check(fc.property(glob, glob, fc.array(segments, { minLength: 30, maxLength: 30 }), (a, b, texts) => {
    const [outer, inner] = [compileGlob('outer', a), compileGlob('inner', b)]
    const both = texts.filter((text) => slowGlob(b, text))
    if (globCovers(outer, inner)) for (const text of both) expect(slowGlob(a, text)).toBe(true)
    if (texts.some((text) => slowGlob(a, text) && slowGlob(b, text))) expect(mayMeet(outer, inner)).toBe(true)
  }), 3_000)
})

test('a resource two globs share is matched by both', () => {
  const places = fc.tuple(...['main', 'shop', 'pod', 'web'].map((word) => fc.constantFrom('*', word, `${word[0]}*`, `*${word.at(-1)}`)))
  check(fc.property(places, places, (a, b) => {
    const globs = [a, b].map((parts) => compileGlob('x', ['k8s', ...parts]))
    const met = concreteResource(commonShapes(globs), globs, (place) => `f${place}`)
    const expected = a.every((part, at) => part === '*' || b[at] === '*' || slowGlob([part], [b[at]!.replace('*', 'x')]) || slowGlob([b[at]!], [part.replace('*', 'x')]) || (part.includes('*') && b[at]!.includes('*')))
    expect(met !== undefined).toBe(expected)
    if (met) for (const { segments } of globs) expect(slowGlob([...segments], met)).toBe(true)
  }))
})
