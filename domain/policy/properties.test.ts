import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { wallClock } from '../../adapters/policies/zones.ts'
import { playsAll, printedSeed } from '../../tests/helpers/draw.ts'
import { strictestMode } from '../remediation.ts'
import { compileCondition } from './condition.ts'
import { decide } from './decide.ts'
import type { Decision } from './decision.ts'
import type { Condition, Effect, PolicyDocument } from './document.ts'
import type { PolicyInput } from './input.ts'
import { mergeObligations, noObligations, type Obligations } from './obligations.ts'
import { compileSnapshot } from './snapshot.ts'
import { anyLeaf, approvedInput, dayMs, documentWith, extra, input, monotonePolicies, policies, read, small, tree } from './testing/arbitraries.ts'
import { coversAction, referenceDecision } from './testing/reference.ts'
import { and, not, or, type Truth } from './truth.ts'

const seed = printedSeed('policies')

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const compile = (documents: readonly PolicyDocument[]) => compileSnapshot(documents, { sha256, wallClock })
const decided = (documents: readonly PolicyDocument[], input: PolicyInput) => decide(compile(documents), input)
/** `npm run test:long` looks twenty times as far. */
const scale = playsAll ? 20 : 1
const check = <T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>, numRuns = 1_000) => fc.assert(property, { numRuns: numRuns * scale, seed })

// --- Ways to compare ---

const laxness: Record<Effect, number> = { deny: 0, require_approval: 1, allow: 2 }
const ids = (decision: Decision) => decision.determining.map(({ id }) => id).toSorted()
/** `b` asks for everything `a` does. */
const atLeastAsStrict = (a: Obligations, b: Obligations) => expect(mergeObligations(a, b)).toEqual(b)
const overriddenIds = (decision: Decision) => decision.overridden.map((ref) => ref.replace(/@.*/, '')).toSorted()

function neverLooser(before: Decision, after: Decision): void {
  expect(laxness[after.effect]).toBeLessThanOrEqual(laxness[before.effect])
  if (after.effect === 'deny') return
  atLeastAsStrict(before.obligations, after.obligations)
  expect(strictestMode(before.mode, after.mode)).toBe(after.mode)
}

test('the index, the compiler and the engine agree with the rule as plainly said', () => {
  // 20,000 decisions, 1,000,000 in the long run: ten requests to a set.
  const seen: Record<string, number> = {}
  const requests = fc.array(approvedInput, { minLength: 10, maxLength: 10 })
  fc.assert(fc.property(policies, requests, (documents, inputs) => {
    const snapshot = compile(documents)
    const decisions = inputs.map((request) => decide(snapshot, request))
    const expected = inputs.map((request) => referenceDecision(documents, request, { wallClock, instant: Date.parse }))
    for (const { code } of decisions) seen[code] = (seen[code] ?? 0) + 1
    expect(decisions.map((one) => ({ effect: one.effect, code: one.code, determining: ids(one), overridden: overriddenIds(one), mode: one.mode, breaches: one.breaches.map(({ obligation }) => obligation), met: one.approvals.met }))).toEqual(expected)
  }), { numRuns: playsAll ? 100_000 : 2_000, seed })
  for (const code of ['allowed', 'approved', 'break_glass', 'approval_required', 'approval_indeterminate', 'explicit_deny', 'deny_indeterminate', 'no_policy_matched']) expect([code, seen[code]]).toEqual([code, expect.any(Number)])
})

test('the index leaves out only what does not match: without it every decision is the same, explanation and all', () => {
  const enforcements = fc.array(fc.constantFrom('enforce' as const, 'enforce' as const, 'shadow' as const, 'disabled' as const), { minLength: 8, maxLength: 8 })
  check(fc.property(policies, enforcements, approvedInput, (documents, words, request) => {
    const snapshot = compile(documents.map((one, at) => ({ ...one, enforcement: words[at]! })))
    const here = snapshot.policies.flatMap(({ document }, place) => (coversAction(document, request) ? [place] : []))
    const linear = { ...snapshot, index: new Map([[request.action, { next: new Map(), here }]]) }
    expect(decide(snapshot, request)).toEqual(decide(linear, request))
  }))
})

test('what no policy allows is denied, whatever else there is', () => {
  const silent = policies.map((all) => all.map((one) => (one.effect === 'allow' ? read({ ...one, when: { all: [one.when, { any: [] }] } } as Record<string, unknown>, one.id) : one)))
  check(fc.property(silent, input, (documents, request) => {
    const { effect, code } = decided(documents, request)
    expect(effect).not.toBe('allow')
    if (documents.every((one) => one.effect === 'allow')) expect([effect, code]).toEqual(['deny', 'no_policy_matched'])
  }))
})

test('the order of documents changes nothing, and a second copy of one changes no answer', () => {
  check(fc.property(policies, input, (documents, request) => {
    const decision = decided(documents, request)
    expect(decided(documents.toReversed(), request)).toEqual(decision)
    const copies = documents.map((one) => ({ ...one, id: `${one.id}-copy`, name: `${one.name} copy` }))
    expect(decided([...documents, ...copies], request)).toMatchObject({ effect: decision.effect, code: decision.code, obligations: decision.obligations })
  }))
})

test('priority changes neither the answer, nor who determined it, nor what it obliges', () => {
  check(fc.property(policies, input, fc.array(small, { minLength: 8, maxLength: 8 }), (documents, request, priorities) => {
    const before = decided(documents, request)
    const after = decided(documents.map((one, at) => ({ ...one, priority: priorities[at]! })), request)
    expect([after.effect, after.code, ids(after), after.obligations, after.mode]).toEqual([before.effect, before.code, ids(before), before.obligations, before.mode])
  }))
})

test('one more deny never loosens', () => {
  check(fc.property(policies, extra('deny'), approvedInput, (documents, deny, request) => neverLooser(decided(documents, request), decided([...documents, deny], request))))
})

test('a break-glass turns no deny into anything, mends no broken bound, and loosens nothing but what people are asked', () => {
  const seen = { denied: 0, opened: 0 }
  check(fc.property(policies, approvedInput, fc.constantFrom('ann', 'bob'), (documents, request, owner) => {
    const glass = { principalId: owner, owner, roles: ['approver' as const], groups: [], at: request.now, breakGlass: true }
    const before = decided(documents, request)
    const after = decided(documents, { ...request, approvals: [...request.approvals, glass] })
    expect([after.obligations, after.mode, after.breaches, ids(after)]).toEqual([before.obligations, before.mode, before.breaches, ids(before)])
    if (before.effect === 'require_approval') expect([after.effect, after.approvals.met]).toEqual(['allow', true])
    else expect([after.effect, after.approvals.met]).toEqual([before.effect, true])
    if (before.effect === 'deny') seen.denied += 1
    if (after.code === 'break_glass') seen.opened += 1
  }))
  expect(Math.min(seen.denied, seen.opened)).toBeGreaterThan(10)
})

test('one more allow never turns an allow into anything else, and only tightens what it obliges', () => {
  check(fc.property(policies, extra('allow'), input, (documents, allow, request) => {
    const before = decided(documents, request)
    const after = decided([...documents, allow], request)
    if (before.effect !== 'allow') return
    expect(after.effect).toBe('allow')
    atLeastAsStrict(before.obligations, after.obligations)
  }))
})

test('an allow rests on a sure allow, and no deny might have applied', () => {
  check(fc.property(policies, input, (documents, request) => {
    const { effect, determining } = decided(documents, request)
    if (effect !== 'allow') return
    expect(determining.length).toBeGreaterThan(0)
    expect(determining.every((one) => one.effect === 'allow' && one.truth === true)).toBe(true)
    expect(decided(documents.filter(({ effect: of }) => of === 'deny'), request).code).toBe('no_policy_matched')
  }))
})

test('losing an attribute never loosens, so an allow on part of the facts holds on all of them', () => {
  const dropped = fc.record({ context: fc.subarray(['severity', 'word', 'tags']), request: fc.subarray(['replicas']) })
  const without = (facts: PolicyInput['context'], names: string[]) => Object.fromEntries(Object.entries(facts).filter(([name]) => !names.includes(name)))
  check(fc.property(monotonePolicies, input, dropped, (documents, request, lost) => {
    const partial = { ...request, context: without(request.context, lost.context), request: without(request.request, lost.request) }
    neverLooser(decided(documents, request), decided(documents, partial))
  }))
})

test('shadow and disabled policies change nothing that counts', () => {
  const idle = fc.tuple(documentWith(anyLeaf), fc.constantFrom('shadow', 'disabled')).map(([one, enforcement]) => read({ ...one, enforcement }, 'idle'))
  check(fc.property(policies, idle, input, (documents, one, request) => {
    const { snapshot: _, policies: _count, candidates: _seen, shadow, ...before } = decided(documents, request)
    expect(decided([...documents, one], request)).toMatchObject(before)
    expect(shadow).toEqual([])
  }))
})

const merged: fc.Arbitrary<Obligations> = documentWith(anyLeaf, 'require_approval').map((one) => {
  const probe = { ...one, when: { all: [] }, unless: { any: [] }, actions: ['*'], resources: ['**'], type: ['self_healing'], validity: {} }
  return compile([read(probe, 'p')]).policies[0]!.obligations
})

test('merging obligations is commutative, associative and idempotent, and nothing is neutral', () => {
  check(fc.property(merged, merged, merged, (a, b, c) => {
    expect(mergeObligations(a, b)).toEqual(mergeObligations(b, a))
    expect(mergeObligations(mergeObligations(a, b), c)).toEqual(mergeObligations(a, mergeObligations(b, c)))
    expect(mergeObligations(a, a)).toEqual(a)
    expect(mergeObligations(a, noObligations)).toEqual(a)
  }))
})

test('De Morgan and double negation hold for unknowns too', () => {
  const truths: Truth[] = [true, false, 'unknown']
  for (const a of truths) {
    expect(not(not(a))).toBe(a)
    for (const b of truths) expect(not(and(a, b))).toBe(or(not(a), not(b)))
  }
  check(fc.property(fc.array(tree(anyLeaf), { maxLength: 3 }), input, (parts, request) => {
    const evaluate = (condition: unknown) => compileCondition(condition as Condition, 'when', { wallClock }).evaluate(request)
    expect(evaluate({ not: { all: parts } })).toBe(evaluate({ any: parts.map((part) => ({ not: part })) }))
    expect(evaluate({ not: { not: { any: parts } } })).toBe(evaluate({ any: parts }))
  }))
})

test('the determining policies alone give the same answer for the same reason', () => {
  check(fc.property(policies, input, (documents, request) => {
    const decision = decided(documents, request)
    const alone = decided(documents.filter(({ id }) => ids(decision).includes(id)), request)
    expect([alone.effect, alone.code, ids(alone), alone.primary]).toEqual([decision.effect, decision.code, ids(decision), decision.primary])
    const rest = decided(documents.filter(({ id }) => !ids(decision).includes(id)), request)
    // Without the whole of the winning class nothing is left that could answer as it did.
    if (ids(decision).length > 0) expect(rest.code).not.toBe(decision.code)
  }))
})

test('a policy read is a document again, and reads as itself', () => {
  check(fc.property(documentWith(anyLeaf), (one) => {
    const policy = read(one, 'p')
    expect(read(JSON.parse(JSON.stringify(policy)) as Record<string, unknown>, 'p')).toEqual(policy)
  }))
})

test('the same input under the same snapshot gives the same decision, bit for bit', () => {
  check(fc.property(policies, approvedInput, (documents, request) => {
    const stored = JSON.stringify(decided(documents, request))
    expect(JSON.stringify(decided(documents, JSON.parse(JSON.stringify(request)) as PolicyInput))).toBe(stored)
  }))
})

test('until validUntil the answer and its reasons stay as they are', () => {
  check(fc.property(policies, approvedInput, fc.double({ min: 0, max: 0.999, noNaN: true }), (documents, request, share) => {
    const before = decided(documents, request)
    const span = (before.validUntil ?? request.now + 8 * dayMs) - request.now
    const after = decided(documents, { ...request, now: Math.floor(request.now + share * span) })
    expect([after.effect, after.code, ids(after)]).toEqual([before.effect, before.code, ids(before)])
  }))
})
