import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { wallClock, zoneExists } from '../../adapters/policies/zones.ts'
import { strictestMode } from '../remediation.ts'
import { compileCondition } from './condition.ts'
import { decide } from './decide.ts'
import type { Decision } from './decision.ts'
import { days, effects, type Condition, type Effect, type PolicyDocument } from './document.ts'
import type { PolicyInput } from './input.ts'
import { mergeObligations, noObligations, type Obligations } from './obligations.ts'
import { parsePolicy } from './parse.ts'
import { compileSnapshot } from './snapshot.ts'
import { referenceDecision } from './testing/reference.ts'
import { and, not, or, type Truth } from './truth.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const compile = (documents: readonly PolicyDocument[]) => compileSnapshot(documents, { sha256, wallClock })
const decided = (documents: readonly PolicyDocument[], input: PolicyInput) => decide(compile(documents), input)
const check = <T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>, numRuns = 400) => fc.assert(property, { numRuns })

// --- What policies and requests are made of: few words, so that they often meet. ---

const severity = fc.constantFrom('info', 'low', 'medium', 'high', 'critical')
const word = fc.constantFrom('a', 'b', 'c')
const small = fc.integer({ min: 0, max: 6 })
const leafOf = (attr: string, op: string, value?: fc.Arbitrary<unknown>) =>
  (value ?? fc.constant(undefined)).map((given) => ({ attr, op, ...(given === undefined ? {} : { value: given }) }))
const list = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 3 })
const pair = fc.tuple(small, small).map(([a, b]) => [Math.min(a, b), Math.max(a, b)])

const hour = fc.integer({ min: 0, max: 23 }).map((h) => `${String(h).padStart(2, '0')}:00`)
const window = fc
  .record({ days: fc.uniqueArray(fc.constantFrom(...days), { minLength: 1 }), from: hour, to: hour })
  .filter(({ from, to }) => from !== to)
const time = fc.record({ time: fc.record({ zone: fc.constantFrom('Europe/Berlin', 'UTC', 'America/New_York'), windows: list(window) }) })

/** Leaves whose answer is unknown when their attribute is missing. */
const monotoneLeaf: fc.Arbitrary<unknown> = fc.oneof(
  ...['eq', 'ne', 'gt', 'gte', 'lt', 'lte'].map((op) => leafOf('context.severity', op, severity)),
  ...['in', 'nin'].map((op) => leafOf('context.severity', op, list(severity))),
  ...['gt', 'lte', 'eq', 'ne'].map((op) => leafOf('request.replicas', op, small)),
  leafOf('request.replicas', 'between', pair),
  ...['eq', 'prefix', 'suffix', 'contains'].map((op) => leafOf('context.word', op, word)),
  leafOf('context.word', 'glob', fc.constantFrom('a*', '*b', '*', 'a/**')),
  ...['containsAny', 'containsAll', 'subsetOf'].map((op) => leafOf('context.tags', op, list(word))),
  leafOf('context.tags', 'contains', word),
  time,
)
const anyLeaf = fc.oneof(monotoneLeaf, ...['exists', 'absent'].flatMap((op) => ['context.severity', 'context.word'].map((attr) => leafOf(attr, op))))

const tree = (leaf: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      leaf,
      fc.record({ all: fc.array(tie('node'), { maxLength: 3 }) }),
      fc.record({ any: fc.array(tie('node'), { maxLength: 3 }) }),
      fc.record({ not: tie('node') }),
    ),
  })).node

const permission = {
  maxReplicas: small, maxPercent: small, ttl: fc.constantFrom('1m', '2h'), cooldown: fc.constantFrom('30s', '5m'),
  dryRunFirst: fc.boolean(), verifyAfter: fc.boolean(), rollbackOnFailure: fc.boolean(), notify: list(word),
}
const question = {
  ...permission, minApprovals: fc.integer({ min: 1, max: 3 }), approverGroups: list(word),
  approverRoles: list(fc.constantFrom('admin', 'approver')), approvalTtl: fc.constantFrom('5m', '1h'),
}
const obligations = (effect: Effect) =>
  effect === 'deny' ? fc.constant({}) : fc.record(effect === 'allow' ? permission : question, { requiredKeys: [] })

const newYear = Date.UTC(2026, 0, 1)
const dayMs = 86_400_000
const instant = fc.integer({ min: 0, max: 365 * 24 }).map((h) => new Date(newYear + h * 3_600_000).toISOString())

const documentWith = (leaf: fc.Arbitrary<unknown>, effect?: Effect): fc.Arbitrary<Record<string, unknown>> =>
  (effect ? fc.constant(effect) : fc.constantFrom(...effects)).chain((chosen) =>
    fc.record(
      {
        apiVersion: fc.constant('aegis.dev/policy/v1'),
        effect: fc.constant(chosen),
        actions: list(fc.constantFrom('pod:restart', 'deployment:scale', 'deployment:*', '*:scale', '*', 'restart_pod')),
        resources: list(fc.constantFrom('k8s:**', 'k8s:prod/**', 'k8s:*/shop/**', 'k8s:prod/shop/deployment/web', 'k8s:*/sh*/deployment/*', 'k8s:prod/**/web', '**')),
        when: tree(leaf),
        unless: tree(leaf),
        obligations: obligations(chosen),
        priority: fc.integer({ min: 0, max: 3 }),
        type: list(fc.constantFrom('self_healing', 'api_access')),
        validity: fc.oneof({ weight: 4, arbitrary: fc.constant({}) }, fc.record({ notAfter: instant })),
        message: fc.constant('because'),
        ...(chosen === 'deny' ? {} : { mode: fc.constantFrom('observe', 'suggest', 'approve', 'auto') }),
      },
      { requiredKeys: ['apiVersion', 'effect', 'actions', 'resources'] },
    ),
  )

function read(value: Record<string, unknown>, id: string): PolicyDocument {
  const { policy, problems } = parsePolicy({ ...value, id }, { zoneExists })
  if (!policy) throw new Error(JSON.stringify(problems))
  return policy
}
const policiesOf = (leaf: fc.Arbitrary<unknown>) => fc.array(documentWith(leaf), { maxLength: 8 }).map((all) => all.map((one, at) => read(one, `p${at}`)))
const policies = policiesOf(anyLeaf)
const monotonePolicies = policiesOf(monotoneLeaf)
const extra = (effect: Effect) => documentWith(anyLeaf, effect).map((one) => read(one, 'extra'))

const input: fc.Arbitrary<PolicyInput> = fc.record({
  principal: fc.constant({ id: 'watcher', kind: 'service' as const, owner: 'ann', roles: ['service' as const] }),
  action: fc.constantFrom('pod:restart', 'deployment:scale', 'deployment:rollback'),
  resource: fc.constantFrom('k8s:prod/shop/deployment/web', 'k8s:test/shop/deployment/web', 'k8s:prod/blog/pod/web'),
  type: fc.constantFrom('self_healing' as const, 'api_access' as const),
  context: fc.record(
    { severity: fc.oneof({ weight: 5, arbitrary: severity }, fc.constantFrom('odd', 3, null)), word: fc.oneof(fc.constantFrom('a', 'ab', 'a/b', 'cab'), small), tags: fc.array(word, { maxLength: 3 }) },
    { requiredKeys: [] },
  ),
  request: fc.record({ replicas: fc.oneof({ weight: 5, arbitrary: small }, fc.constant('many')) }, { requiredKeys: [] }),
  target: fc.constant({}),
  history: fc.constant({ sinceLastActionMs: null }),
  approvals: fc.constant([]),
  now: fc.integer({ min: 0, max: 365 * 1440 }).map((minute) => newYear + minute * 60_000),
  tzdata: fc.constant('test'),
})

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
  check(fc.property(policies, input, (documents, request) => {
    const decision = decided(documents, request)
    const expected = referenceDecision(documents, request, { wallClock, instant: Date.parse })
    expect({ effect: decision.effect, code: decision.code, determining: ids(decision), overridden: overriddenIds(decision) }).toEqual(expected)
  }), 2000)
})

test('what no policy allows is denied', () => {
  check(fc.property(input, (request) => expect(decided([], request)).toMatchObject({ effect: 'deny', code: 'no_policy_matched' })), 50)
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
  check(fc.property(policies, extra('deny'), input, (documents, deny, request) => neverLooser(decided(documents, request), decided([...documents, deny], request))))
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
  }), 800)
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
    const evaluate = (condition: unknown) => compileCondition(condition as Condition, 'when', wallClock).evaluate(request)
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
    if (decision.primary !== null) expect(rest.primary).not.toBe(decision.primary)
  }))
})

test('a policy read is a document again, and reads as itself', () => {
  check(fc.property(documentWith(anyLeaf), (one) => {
    const policy = read(one, 'p')
    expect(read(JSON.parse(JSON.stringify(policy)) as Record<string, unknown>, 'p')).toEqual(policy)
  }))
})

test('the same input under the same snapshot gives the same decision, bit for bit', () => {
  check(fc.property(policies, input, (documents, request) => {
    const stored = JSON.stringify(decided(documents, request))
    expect(JSON.stringify(decided(documents, JSON.parse(JSON.stringify(request)) as PolicyInput))).toBe(stored)
  }))
})

test('until validUntil the answer and its reasons stay as they are', () => {
  check(fc.property(policies, input, fc.double({ min: 0, max: 0.999, noNaN: true }), (documents, request, share) => {
    const before = decided(documents, request)
    const span = (before.validUntil ?? request.now + 8 * dayMs) - request.now
    const after = decided(documents, { ...request, now: Math.floor(request.now + share * span) })
    expect([after.effect, after.code, ids(after)]).toEqual([before.effect, before.code, ids(before)])
  }), 800)
})
