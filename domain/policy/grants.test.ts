import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { wallClock } from '../../adapters/policies/zones.ts'
import { playsAll, seed } from '../../tests/helpers/draw.ts'
import { strictestMode, type Mode } from '../remediation.ts'
import { decide } from './decide.ts'
import type { PolicyDocument } from './document.ts'
import { grantsMore } from './grants.ts'
import type { ExceptionDocument } from './exception.ts'
import type { PolicyInput } from './input.ts'
import { capByMode, proceeds } from './mode.ts'
import { mergeObligations } from './obligations.ts'
import { compileSnapshot, type PolicySnapshot } from './snapshot.ts'
import { anyLeaf, documentWith, extra, input, newYear, policies, read } from './testing/arbitraries.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const compile = (documents: readonly PolicyDocument[]) => compileSnapshot(documents, { sha256, wallClock })
const grants = (before: readonly PolicyDocument[], after: readonly PolicyDocument[], effort?: number) =>
  grantsMore(compile(before), compile(after), { nowMs: newYear, wallClock, tzdata: 'test', ...(effort === undefined ? {} : { effort }) })
/** Enough for nearly all of the small sets below. */
const effort = 30_000
const check = <T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>, numRuns = 1_000) => fc.assert(property, { numRuns: numRuns * (playsAll ? 20 : 1), seed })

/** The engine's own word on one request, compared in so many words. */
function letsMore(sets: readonly [PolicySnapshot, PolicySnapshot], request: PolicyInput): boolean {
  const [was, is] = sets.map((snapshot) => decide(snapshot, request)) as [ReturnType<typeof decide>, ReturnType<typeof decide>]
  const [from, to] = [was, is].map((decision) => proceeds.indexOf(capByMode(decision, 'auto').proceed)) as [number, number]
  if (from !== to) return to > from
  if (to < proceeds.indexOf('ask')) return false
  const [old, now] = [was, is].map(({ obligations, approvals }) => (to === proceeds.indexOf('ask') ? { ...obligations, minApprovals: approvals.needed } : obligations)) as [typeof was.obligations, typeof is.obligations]
  return JSON.stringify(mergeObligations(old, now)) !== JSON.stringify(mergeObligations(now, now))
}

type Edit = { before: PolicyDocument[]; after: PolicyDocument[] }

/** Edits as people make them: more, fewer, other policies, or one that is changed in one of its parts. */
const edits: fc.Arbitrary<Edit> = fc.tuple(policies, fc.array(fc.tuple(fc.nat(7), fc.nat(6), documentWith(anyLeaf)), { minLength: 1, maxLength: 2 })).map(([before, changes]) => {
  let after = [...before]
  for (const [of, how, other] of changes) {
    const at = of % Math.max(1, after.length)
    const one = after[at]
    if (!one || how === 0) after.push(read(other, `new-${after.length}`))
    else if (how === 1) after = after.filter((_, place) => place !== at)
    else after[at] = changed(one, how, other)
  }
  return { before, after }
})

function changed(one: PolicyDocument, how: number, other: Record<string, unknown>): PolicyDocument {
  if (how === 2) return read(other, one.id)
  if (how === 3) return read({ ...one, when: { all: [one.when, other['when'] ?? { all: [] }] } }, one.id)
  if (how === 4) return read({ ...one, when: { any: [one.when, other['when'] ?? { any: [] }] } }, one.id)
  if (how === 5) return read({ ...one, actions: other['actions'], resources: other['resources'] }, one.id)
  return read({ ...one, unless: { any: [one.unless, other['when'] ?? { any: [] }] } }, one.id)
}

test('whatever a search by chance finds let through is claimed, and every claim is confirmed by the engine', () => {
  const seen = { none: 0, shown: 0, unshown: 0, found: 0 }
  check(fc.property(edits, fc.array(input, { minLength: 40, maxLength: 40 }), ({ before, after }, requests) => {
    const grant = grants(before, after, effort)
    const sets = [compile(before), compile(after)] as const
    const found = requests.some((request) => letsMore(sets, request))
    if (found) expect(grant).not.toBeNull()
    if (grant?.witness) expect(letsMore(sets, grant.witness)).toBe(true)
    seen[grant ? (grant.witness ? 'shown' : 'unshown') : 'none'] += 1
    seen.found += found ? 1 : 0
  }))
  // A property of nothing would hold as well, and so would one of an answer that is always the same.
  expect(Math.min(seen.none, seen.shown)).toBeGreaterThan(200)
  expect(seen.found).toBeGreaterThan(50)
  expect(seen.unshown).toBeLessThan(seen.shown / 20)
})

test('what had to be given up counts as granting, whatever it is', () => {
  let given = 0
  check(fc.property(edits, fc.array(input, { minLength: 40, maxLength: 40 }), ({ before, after }, requests) => {
    const grant = grants(before, after, 20)
    if (grant && !grant.witness) {
      expect(grant.why).toContain('too much to compare, so the change counts as letting more happen')
      given += 1
    }
    const sets = [compile(before), compile(after)] as const
    if (requests.some((request) => letsMore(sets, request))) expect(grant).not.toBeNull()
  }), 300)
  expect(given).toBeGreaterThan(30)
})

test('one more deny never grants', () => {
  check(fc.property(policies, extra('deny'), (documents, deny) => expect(grants(documents, [...documents, deny])).toBeNull()), 300)
})

/** What an allow asks for, or how low it caps the mode, binds others as well. */
const free = documentWith(anyLeaf, 'allow').map(({ obligations: _none, mode: _auto, ...one }) => read(one, 'extra'))

test('taking back an allow that binds nobody never grants', () => {
  check(fc.property(policies, free, (documents, allow) => expect(grants([...documents, allow], documents)).toBeNull()), 300)
})

test('tighter bounds, a lower mode, a question instead of an allow and a deny instead of either never grant', () => {
  const bounds = fc.record({ maxReplicas: fc.nat(6), maxPercent: fc.nat(6), minApprovals: fc.integer({ min: 1, max: 3 }), mode: fc.constantFrom('observe', 'suggest', 'approve', 'auto') })
  check(fc.property(policies, extra('require_approval'), fc.constantFrom('allow', 'require_approval'), fc.constantFrom('allow', 'require_approval', 'deny'), bounds, (documents, one, from, to, { mode, minApprovals, ...least }) => {
    const { minApprovals: _asked, approverGroups: _groups, approverRoles: _roles, approvalTtl: _ttl, ...permission } = one.obligations
    const before = read({ ...one, effect: from, obligations: permission }, one.id)
    const tighter = { ...permission, ...Object.fromEntries(Object.entries(least).map(([key, value]) => [key, Math.min(value, permission[key as 'maxReplicas'] ?? value)])) }
    const after = to === 'deny' ? { effect: to, obligations: {}, mode: 'auto' } : { effect: to, obligations: { ...tighter, ...(to === 'require_approval' ? { minApprovals } : {}) }, mode: strictestMode(before.mode, mode as Mode) }
    if (from === 'require_approval' && to === 'allow') return
    expect(grants([...documents, before], [...documents, read({ ...one, ...after }, one.id)])).toBeNull()
  }), 300)
})

test('the same policies in another order, and other words, numbers and owners, grant nothing', () => {
  check(fc.property(policies, (documents) => {
    const told = documents.map((one) => ({ ...one, priority: one.priority + 1, message: 'other', owner: 'b', labels: { a: 'b' } }))
    expect(grants(documents, told.toReversed())).toBeNull()
  }), 100)
})

const policy = (id: string, changes: object = {}) => read({ apiVersion: 'aegis.dev/policy/v1', effect: 'allow', actions: ['deployment:scale'], resources: ['k8s:main/shop/**'], ...changes }, id)
const upTo = (value: number) => ({ when: { attr: 'request.replicas', op: 'lte', value } })

describe('by example', () => {
  const small = policy('small', upTo(4))
  test.each<[string, PolicyDocument[], PolicyDocument[], object | null]>([
    ['a wider bound', [small], [policy('small', upTo(6))], { request: { replicas: expect.any(Number) as number } }],
    ['another place', [small], [policy('small', { ...upTo(4), resources: ['k8s:main/shop/**', 'k8s:main/bank/**'] })], { resource: expect.stringMatching('^k8s:main/bank/') as string }],
    ['one more of what is allowed', [small], [small, policy('again', upTo(3))], null],
    ['an allow for a past that is over', [], [policy('old', { validity: { notAfter: '2025-12-31T00:00:00Z' } })], null],
    ['an allow for a future', [], [policy('soon', { validity: { notBefore: '2026-06-01T00:00:00Z' } })], { now: Date.UTC(2026, 5, 1) }],
    ['an allow in the shadow', [], [policy('dark', { enforcement: 'shadow' })], null],
    ['one out of the shadow', [policy('dark', { enforcement: 'shadow' })], [policy('dark')], {}],
    ['an allow where a deny stays', [policy('no', { effect: 'deny' })], [policy('no', { effect: 'deny' }), small], null],
    ['a deny that is gone where another covers it', [small, policy('no', { effect: 'deny' }), policy('nor', { effect: 'deny', ...upTo(1) })], [small, policy('no', { effect: 'deny' })], null],
    ['a deny that is gone', [small, policy('nor', { effect: 'deny', ...upTo(1) })], [small], { request: { replicas: 0 } }],
    ['fewer approvals', [policy('q', { effect: 'require_approval', obligations: { minApprovals: 2 } })], [policy('q', { effect: 'require_approval', obligations: { minApprovals: 1 } })], {}],
    ['a bound that others had from an allow that is gone', [small, policy('bound', { obligations: { maxReplicas: 2 } })], [small], {}],
    ['a higher mode', [policy('m', { mode: 'suggest' })], [policy('m', { mode: 'approve' })], {}],
    ['a bound that is wider than any request the conditions leave', [policy('b', { when: { attr: 'request.replicas', op: 'gt', value: 9 }, obligations: { maxReplicas: 3 } })], [policy('b', { when: { attr: 'request.replicas', op: 'gt', value: 9 }, obligations: { maxReplicas: 5 } })], null],
  ])('%s', (_what, before, after, witness) => {
    const grant = grants(before, after)
    if (witness === null) expect(grant).toBeNull()
    else expect(grant?.witness).toMatchObject(witness)
    if (grant?.witness) expect(letsMore([compile(before), compile(after)], grant.witness)).toBe(true)
  })

  test('an exception is more of what its policy denies, or asks about', () => {
    const documents = [small, policy('no', { effect: 'deny' })]
    const exception: ExceptionDocument = {
      apiVersion: 'aegis.dev/policy-exception/v1', id: 'e', policy: 'no', actions: ['*:*'], resources: ['k8s:main/shop/deployment/cart'], when: { all: [] },
      notBefore: '2026-02-01T00:00:00Z', expiresAt: '2026-02-08T00:00:00Z', reason: 'r', author: 'a', approvedBy: 'b',
    }
    const excepted = compileSnapshot(documents, { sha256, wallClock, exceptions: [exception] })
    const options = { nowMs: newYear, wallClock, tzdata: 'test' }
    expect(grantsMore(compile(documents), excepted, options)).toMatchObject({ witness: { resource: 'k8s:main/shop/deployment/cart' }, why: '`deployment:scale` on `k8s:main/shop/deployment/cart` would be `act` instead of `deny`' })
    expect(grantsMore(excepted, compile(documents), options)).toBeNull()
  })

  test('one change in a set of a thousand', () => {
    const many = Array.from({ length: 1_000 }, (_, at) => policy(`p${at}`, { resources: [`k8s:main/team-${at % 100}/deployment/app-${at}`], ...upTo(at % 7) }))
    const [tighter, wider] = [3, 5].map((value) => [...many.slice(1), policy('p0', { resources: ['k8s:main/team-0/**'], ...upTo(value) })])
    expect(grants(tighter!, wider!)?.witness).toMatchObject({ request: { replicas: expect.any(Number) as number } })
    expect(grants(wider!, tighter!)).toBeNull()
  })
})

const two = (n: number) => String(n).padStart(2, '0')
const clock = (minute: number) => `${two(Math.floor(minute / 60))}:${two(minute % 60)}`
const windowed = (id: string, more: object) => read({ apiVersion: 'aegis.dev/policy/v1', effect: 'allow', actions: ['pod:restart'], resources: ['k8s:main/**'], ...more }, id)

describe('a moment is found among any number of windows', () => {
  test.each([0, 1, 2, 8])('of %d other teams', (teams) => {
    const denies = Array.from({ length: teams }, (_, at) => windowed(`team-${at}`, { effect: 'deny', resources: [`k8s:main/team-${at}/**`], when: { time: { zone: 'UTC', windows: [{ from: `22:${two(at * 5 + 1)}`, to: `22:${two(at * 5 + 3)}` }] } } }))
    const nights = windowed('nights', { when: { time: { zone: 'UTC', windows: [{ from: '22:00', to: '06:00' }] } }, unless: { time: { zone: 'Asia/Tokyo', windows: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], allDay: true }] } } })
    expect(grants(denies, [...denies, nights])?.witness).toMatchObject({ action: 'pod:restart' })
  })

  test('of its own', () => {
    const minutes = Array.from({ length: 21 }, (_, at) => ({ days: ['mon'], from: `00:${two(at * 2)}`, to: `00:${two(at * 2 + 1)}` }))
    const allow = windowed('many', { when: { time: { zone: 'UTC', windows: [...minutes, { days: ['sat'], from: '10:00', to: '12:00' }] } }, unless: { time: { zone: 'Africa/Abidjan', windows: [{ days: ['mon'], allDay: true }] } } })
    expect(grants([], [allow])?.witness).toMatchObject({ action: 'pod:restart' })
  })
})

test('times that were not all tried count as granting', () => {
  // A minute apart, by whole hours, whatever the season.
  const minutes = (zone: string, from: number) => ({ time: { zone, windows: Array.from({ length: 32 }, (_, at) => ({ from: clock(from + 44 * at), to: clock(from + 44 * at + 1) })) } })
  const never = windowed('never', { when: { all: [minutes('Europe/Berlin', 0), minutes('America/New_York', 1)] } })
  expect(grants([], [never])).toMatchObject({ witness: null, why: expect.stringMatching(/too much to compare/) })
})

test('a path of an API is compared however long it is', () => {
  const allow = read({ apiVersion: 'aegis.dev/policy/v1', effect: 'allow', actions: ['*'], resources: ['api:/a/b/c/d/e/f/g/h/i/j/**'] }, 'long')
  const deny = read({ apiVersion: 'aegis.dev/policy/v1', effect: 'deny', actions: ['*'], resources: ['api:/a/**/f/**/j', 'api:/a/**/k'] }, 'some')
  expect(grants([], [allow])?.witness?.resource).toMatch(/^api:\/a\/b\/c\/d\/e\/f\/g\/h\/i\/j/)
  expect(grants([deny], [deny, allow])?.witness?.resource).toMatch(/^api:\/a\/b\/c\/d\/e\/f\/g\/h\/i\/j\/(?!k$)/)
  expect(grants([deny], [deny, read({ ...allow, resources: ['api:/a/b/c/d/e/f/g/h/i/j'] }, 'long')])).toBeNull()
})

test('places that are too many to tell apart count as granting', () => {
  const alike = Array.from({ length: 40 }, (_, at) => windowed(`team-${at}`, { effect: 'deny', resources: [`k8s:main/*${two(at)}*x*${two(at)}*/**`] }))
  const wall = windowed('wall', { effect: 'deny', resources: ['k8s:**'] })
  const allow = windowed('new', { resources: ['k8s:main/*/pod/*'] })
  expect(grants([wall], [wall, allow])).toBeNull()
  expect(grants([wall, ...alike], [wall, ...alike, allow])).toMatchObject({ witness: null, why: expect.stringMatching(/too much to compare/) })
})

test('a policy from which an exception stands is not taken back or narrowed by one person, for then nobody is asked', () => {
  // The exception covers all that the policy denies, for as long as it does.
  const place = { resources: ['k8s:main/shop/**'], validity: { notAfter: '2026-01-10T00:00:00Z' } }
  const [allow, deny, narrowed] = [windowed('all', { resources: place.resources }), windowed('wall', { effect: 'deny', ...place }), windowed('wall', { effect: 'deny', ...place, resources: ['k8s:main/shop/pod/*'] })]
  const exception: ExceptionDocument = {
    apiVersion: 'aegis.dev/policy-exception/v1', id: 'e', policy: 'wall', actions: ['*:*'], resources: ['k8s:main/shop/**'], when: { all: [] },
    notBefore: '2025-12-20T00:00:00Z', expiresAt: '2026-01-15T00:00:00Z', reason: 'r', author: 'a', approvedBy: 'b',
  }
  const excepted = (documents: PolicyDocument[], exceptions: ExceptionDocument[]) => compileSnapshot(documents, { sha256, wallClock, exceptions })
  const at = (before: PolicySnapshot, after: PolicySnapshot) => grantsMore(before, after, { nowMs: newYear, wallClock, tzdata: 'test' })
  const before = excepted([allow, deny], [exception])
  for (const documents of [[allow], [allow, narrowed]]) expect(at(before, excepted(documents, [exception]))).toMatchObject({ why: expect.stringMatching(/`e` from `wall` stands/) })
  expect(at(before, excepted([allow, deny], []))).toBeNull()
})
