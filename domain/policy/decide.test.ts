import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { wallClock, zoneExists } from '../../adapters/policies/zones.ts'
import { decide, decideBy, refusal } from './decide.ts'
import type { Approval, PolicyInput } from './input.ts'
import { capByMode } from './mode.ts'
import { noObligations, unknownObligations } from './obligations.ts'
import { parsePolicy } from './parse.ts'
import { compileSnapshot } from './snapshot.ts'
import type { WallClock } from './time.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

function snapshotOf(policies: object[], clock: WallClock = wallClock) {
  const documents = policies.map((policy, at) => {
    const { policy: read, problems } = parsePolicy({ apiVersion: 'aegis.dev/policy/v1', id: `p${at}`, actions: ['*'], resources: ['**'], ...policy }, { zoneExists })
    if (!read) throw new Error(JSON.stringify(problems))
    return read
  })
  return compileSnapshot(documents, { sha256, wallClock: clock })
}

const noon = Date.UTC(2026, 5, 3, 12) // a Wednesday
const base: PolicyInput = {
  principal: { id: 'watcher', kind: 'service', owner: 'ann', roles: ['service'] },
  action: 'deployment:scale',
  resource: 'k8s:prod/shop/deployment/web',
  type: 'self_healing',
  context: { severity: 'high', ip: '10.1.2.3', labels: { 'app.kubernetes.io/name': 'web' } },
  request: { replicas: 4, percentOfReady: 30 },
  target: { ready: 3 },
  history: { sinceLastActionMs: 60_000, workload: { '5m': { effects: 2 } } },
  approvals: [],
  now: noon,
  tzdata: 'test',
}
const yes = (owner: string, change: Partial<Approval> = {}): Approval =>
  ({ principalId: owner, owner, roles: ['approver'], groups: [], at: noon - 1000, ...change })
const ask = (policies: object[], change: Partial<PolicyInput> = {}) => decide(snapshotOf(policies), { ...base, ...change })

const allow = { effect: 'allow' }
const question = (obligations: object = {}) => ({ effect: 'require_approval', obligations })

describe('what a decision says', () => {
  test('the first by priority speaks; the losers are named', () => {
    const decision = ask([allow, { effect: 'deny', id: 'later', message: 'not now' }, { effect: 'deny', id: 'guard', priority: 200, message: 'peak hours' }])
    expect(decision).toMatchObject({ effect: 'deny', code: 'explicit_deny', reason: 'peak hours', message: 'denied by policy `guard`: peak hours' })
    expect(decision.primary).toMatch(/^guard@[0-9a-f]{12}$/)
    expect(decision.determining.map(({ id }) => id)).toEqual(['guard', 'later'])
    expect(decision.overridden).toEqual([expect.stringMatching(/^p0@/)])
  })

  test('a deny that cannot be evaluated denies, and says what was missing', () => {
    const decision = ask([allow, { effect: 'deny', when: { attr: 'context.team', op: 'eq', value: 'x' } }])
    expect(decision).toMatchObject({ effect: 'deny', code: 'deny_indeterminate' })
    expect(decision.message).toBe('denied by policy `p1`, which could not be evaluated: context.team is missing, wanted eq "x" (when)')
    expect(decision.determining[0]).toMatchObject({ truth: 'unknown', unknown: [{ path: 'when', actual: 'context.team is missing', expected: 'eq "x"' }] })
  })

  test('an approval policy that cannot be evaluated asks where something would be allowed', () => {
    const unsure = { ...question(), when: { attr: 'context.team', op: 'eq', value: 'x' } }
    expect(ask([allow, unsure])).toMatchObject({ effect: 'require_approval', code: 'approval_indeterminate' })
    expect(ask([unsure])).toMatchObject({ effect: 'deny', code: 'no_policy_matched' })
  })

  test('a near miss names the leaf, the value that was there, and the one it wanted', () => {
    const decision = ask([
      { ...allow, when: { all: [{ attr: 'context.severity', op: 'lt', value: 'high' }, { time: { zone: 'Europe/Berlin', windows: [{ days: ['sat'], from: '22:00', to: '06:00' }] } }] } },
      { ...allow, unless: { not: { attr: 'target.ready', op: 'gte', value: 5 } } },
      { ...allow, validity: { notAfter: '2026-01-01T00:00:00Z' } },
    ])
    expect(decision.nearMisses.map(({ failed }) => failed)).toEqual([
      [
        { path: 'when.all[0]', actual: 'context.severity is "high"', expected: 'lt "high"' },
        { path: 'when.all[1].time', actual: 'Wed 2026-06-03 14:00 Europe/Berlin', expected: 'sat 22:00-06:00 Europe/Berlin' },
      ],
      [{ path: 'unless.not', actual: 'target.ready is 3', expected: 'gte 5' }],
      [{ path: 'validity.notAfter', actual: 'over', expected: '2026-01-01T00:00:00Z' }],
    ])
    expect(decision.message).toBe('denied: no policy allows `deployment:scale` on `k8s:prod/shop/deployment/web`; nearest is `p0`: context.severity is "high", wanted lt "high"')
  })

  test('shadow policies are told apart and do not count', () => {
    expect(ask([allow, { effect: 'deny', enforcement: 'shadow', id: 'trial' }])).toMatchObject({ effect: 'allow', shadow: [{ id: 'trial', effect: 'deny', truth: true }] })
  })

  test('the strictest of all that might permit binds, and the sources are named', () => {
    const decision = ask([
      { ...allow, id: 'a', mode: 'approve', obligations: { maxReplicas: 9, notify: ['x'] } },
      { ...allow, id: 'b', when: { attr: 'context.team', op: 'eq', value: 'x' }, obligations: { maxReplicas: 5, cooldown: '30s', rollbackOnFailure: true } },
    ])
    expect(decision.binding).toEqual([{ id: 'a', mode: 'approve' }, { id: 'b', mode: 'auto' }])
    expect(decision).toMatchObject({ effect: 'allow', mode: 'approve', obligations: { maxReplicas: 5, notify: ['x'], cooldownMs: 30_000, undoOn: ['same'] } })
    expect(Object.keys(decision.obligationSources)).toEqual(['maxReplicas', 'cooldownMs', 'undoOn', 'notify'])
    expect(decision.obligationSources.maxReplicas).toHaveLength(2)
  })

  test.each([
    ['context.ip', 'cidr', '10.0.0.0/8'],
    ['context.ip', 'cidr', '::ffff:10.1.0.0/112'],
    ['context.ip', 'cidr', '::ffff:10.1.0.0/16', false],
    ['context.labels["app.kubernetes.io/name"]', 'eq', 'web'],
    ['history.workload["5m"].effects', 'lt', 3],
    ['action', 'eq', 'deployment:scale'],
    ['principal.roles', 'contains', 'service'],
  ])('%s %s %s is answered', (attr, op, value, readable = true) => {
    const policy = { effect: 'allow', when: { attr, op, value } }
    if (readable) expect(ask([policy])).toMatchObject({ effect: 'allow' })
    if (!readable) expect(() => ask([policy])).toThrow('is no network')
  })
})

test.each(['api:/api/v1/admin/users', '/api/v1/admin/users', 'api:api/v1/admin/users'])('however a request spells it, `%s` is the resource that conditions are asked of', (resource) => {
  const admin = { effect: 'deny', when: { attr: 'resource', op: 'prefix', value: 'api:/api/v1/admin' } }
  const decision = ask([allow, admin], { type: 'api_access', action: 'user:delete', resource })
  expect([decision.code, decision.determining[0]?.id]).toEqual(['explicit_deny', 'p1'])
})

test.each([
  ['eq', 'high'], ['ne', 'high'], ['in', ['high']], ['nin', ['high']], ['gte', 'info'], ['between', ['info', 'critical']],
  ['prefix', 'hi'], ['suffix', 'gh'], ['contains', 'high'], ['glob', '*igh*'], ['containsAny', ['high']], ['subsetOf', ['high']],
])('a severity off the scale is unknown to `%s`', (op, value) => {
  const off = ['highest', 'tonight', ['high'], 3].map((severity) => ask([allow, { effect: 'deny', when: { attr: 'context.severity', op, value } }], { context: { severity } }).code)
  expect(off).toEqual(Array(4).fill('deny_indeterminate'))
})

test.each<[string, object]>([
  ['a text that is no address, to `cidr`', { attr: 'context.labels.team', op: 'cidr', value: '10.0.0.0/8' }],
  ['a number, to `contains`', { attr: 'request.replicas', op: 'contains', value: 'a' }],
  ['a text, asked whether it contains a number', { attr: 'context.labels.team', op: 'contains', value: 3 }],
  ['a list of objects, to `containsAny`', { attr: 'context.things', op: 'containsAny', value: ['a'] }],
  ['a list of objects, to `contains`', { attr: 'context.things', op: 'contains', value: 'a' }],
])('unknown, and so a deny holds: %s', (_what, when) => {
  expect(ask([allow, { effect: 'deny', when }], { context: { labels: { team: 'web' }, things: [{ a: 1 }] } }).code).toBe('deny_indeterminate')
})

test('only own members are facts', () => {
  expect(ask([{ ...allow, when: { attr: 'context.toString', op: 'exists' } }]).code).toBe('no_policy_matched')
})

test('a policy holds from `notBefore` on, that instant included, and the decision before it ends there', () => {
  const policies = [{ ...allow, validity: { notBefore: '2026-06-03T12:00:00Z' } }]
  expect([-1, 0].map((ms) => ask(policies, { now: noon + ms }).code)).toEqual(['no_policy_matched', 'allowed'])
  expect(ask(policies, { now: noon - 1 }).validUntil).toBe(noon)
})

test('the shortest ttl of all that bind is kept', () => {
  const { obligations } = ask([question({ ttl: '5m', approvalTtl: '10m' }), question({ ttl: '1m', approvalTtl: '2h' })])
  expect([obligations.ttlMs, obligations.approvalTtlMs]).toEqual([60_000, 600_000])
})

test('a near miss names what its `unless` could not answer', () => {
  expect(ask([{ ...allow, unless: { attr: 'context.team', op: 'eq', value: 'x' } }]).nearMisses[0]?.failed).toEqual([{ path: 'unless', actual: 'context.team is missing', expected: 'not eq "x"' }])
})

test('stale policies decide nothing', () => {
  expect([false, true].map((stale) => decideBy({ snapshot: snapshotOf([allow]), stale }, base).code)).toEqual(['allowed', 'policy_stale'])
})

describe('approvals', () => {
  test.each<[string, object, Approval[], boolean]>([
    ['one other person', {}, [yes('bob')], true],
    ['nobody', {}, [], false],
    ['the requester', {}, [yes('ann')], false],
    ['the requester by another key', {}, [yes('ann', { principalId: 'key-7' })], false],
    ['someone without the role', {}, [yes('bob', { roles: ['user'] })], false],
    ['an admin', {}, [yes('bob', { roles: ['admin'] })], true],
    ['one person twice', { minApprovals: 2 }, [yes('bob'), yes('bob', { principalId: 'bob-key' })], false],
    ['two people', { minApprovals: 2 }, [yes('bob'), yes('eve')], true],
    ['the group is missing', { approverGroups: ['dba'] }, [yes('bob')], false],
    ['the group is there', { approverGroups: ['dba'] }, [yes('bob', { groups: ['dba'] })], true],
    ['the role is missing', { approverRoles: ['admin'] }, [yes('bob')], false],
    ['older than the ttl', { approvalTtl: '1m' }, [yes('bob', { at: noon - 60_000 })], false],
    ['not older than the ttl', { approvalTtl: '1m' }, [yes('bob', { at: noon - 59_999 })], true],
    ['an approver without a name of their own, by the requester’s id', {}, [yes('bob', { principalId: 'watcher' })], false],
    ['from the future', {}, [yes('bob', { at: noon + 1 })], false],
  ])('%s: %j', (_name, obligations, approvals, met) => {
    const decision = ask([allow, question(obligations)], { approvals })
    expect([decision.effect, decision.code]).toEqual(met ? ['allow', 'approved'] : ['require_approval', 'approval_required'])
    expect(decision.approvals.met).toBe(met)
  })

  test('by break-glass stand in the place of all others, the requester’s too, and the decision names whose it was', () => {
    const policies = [allow, question({ minApprovals: 3, approverGroups: ['dba'], approvalTtl: '5m' })]
    const glass = (owner: string, at = noon) => yes(owner, { breakGlass: true, at })
    const decision = ask(policies, { approvals: [glass('ann')] })
    expect(decision).toMatchObject({ effect: 'allow', code: 'break_glass', approvals: { met: true, needed: 3, given: 0, missingGroups: ['dba'], breakGlass: ['ann'] }, validUntil: noon + 300_000 })
    expect(decision.message).toMatch(/^allowed by the break-glass of `ann`, with 0 of 3 approvals asked for by policy/)
    expect(ask(policies, { approvals: [glass('ann', noon - 300_000)] }).code).toBe('approval_required')
    expect(ask([...policies, { effect: 'deny' }], { approvals: [glass('bob')] }).effect).toBe('deny')
    expect(capByMode(ask([{ ...allow, obligations: { maxReplicas: 3 } }, question()], { approvals: [glass('bob')] }), 'auto')).toMatchObject({ proceed: 'deny', code: 'obligation_unmet' })
    const byMode = (approvals: Approval[]) => capByMode(ask([allow], { approvals }), 'approve')
    expect(byMode([glass('ann')])).toMatchObject({ proceed: 'act', code: 'break_glass', message: expect.stringMatching(/^allowed by policy .*; the mode is `approve`, and the break-glass of `ann` stands in the place of a person$/) })
    expect(byMode([glass('ann'), yes('bob')])).toMatchObject({ proceed: 'act', code: 'allowed' })
    expect(['approve', 'suggest', 'observe'].map((mode) => capByMode(ask([allow], { approvals: [glass('ann')] }), mode as 'approve').proceed)).toEqual(['act', 'suggest', 'observe'])
  })

  test('do not outlive the turn of a time window', () => {
    const policies = [allow, { ...question(), when: { time: { zone: 'UTC', windows: [{ from: '08:00', to: '12:00' }, { from: '12:00', to: '18:00' }] } } },
      { ...question(), when: { time: { zone: 'UTC', windows: [{ from: '11:00', to: '12:30' }] } } }]
    const asked = ask(policies)
    expect(asked.validUntil).toBe(Date.UTC(2026, 5, 3, 12, 30))
    expect(ask(policies, { approvals: [yes('bob', { at: noon + 60_000 })], now: noon + 120_000 }).code).toBe('approved')
    expect(ask(policies, { approvals: [yes('bob', { at: noon + 60_000 })], now: asked.validUntil! }).code).toBe('approval_required')
  })

  test('bound how long an answer that stands on them holds: until the first lapses', () => {
    const policies = [allow, question({ approvalTtl: '5m', minApprovals: 2 })]
    const approvals = [yes('bob', { at: noon - 299_000 }), yes('eve', { at: noon - 60_000 })]
    const decision = ask(policies, { approvals })
    expect([decision.code, decision.validUntil]).toEqual(['approved', noon + 1000])
    expect(ask(policies, { approvals, now: decision.validUntil! - 1 }).code).toBe('approved')
    expect(ask(policies, { approvals, now: decision.validUntil! }).code).toBe('approval_required')
    expect(ask(policies, { approvals: [yes('bob', { at: noon - 1000 }), yes('eve', { at: noon + 1000 })] })).toMatchObject({ code: 'approval_required', validUntil: noon + 1000 })
  })

  test('under the mode `approve` bound it too: until a window turns', () => {
    const policies = [{ ...allow, mode: 'approve' }, { effect: 'deny', when: { time: { zone: 'UTC', windows: [{ from: '13:00', to: '14:00' }] } } }]
    const [before, after] = [noon, Date.UTC(2026, 5, 3, 14)].map((now) => ask(policies, { approvals: [yes('bob')], now }))
    expect([capByMode(before!, 'auto').proceed, before!.validUntil]).toEqual(['act', Date.UTC(2026, 5, 3, 13)])
    expect(capByMode(after!, 'auto').proceed).toBe('ask')
  })

  test('never outlive a new deny, a window or a ttl, whatever the times', () => {
    const minute = fc.integer({ min: 0, max: 600 })
    const policies = [allow, { ...question({ approvalTtl: '2h' }), when: { time: { zone: 'UTC', windows: [{ from: '12:00', to: '17:00' }] } } }]
    const [calm, frozen] = [snapshotOf(policies), snapshotOf([...policies, { effect: 'deny' }])]
    fc.assert(fc.property(minute, minute, (given, later) => {
      const input = { ...base, approvals: [yes('bob', { at: noon + given * 60_000 })], now: noon + (given + later) * 60_000 }
      const decision = decide(calm, input)
      if (decision.code === 'approved') expect(later < 120 && (given + later < 300 || given >= 300)).toBe(true)
      expect(decide(frozen, input).effect).toBe('deny')
    }))
  })
})

describe('the autonomy cap', () => {
  test.each<[object[], Parameters<typeof capByMode>[1], Approval[], string, string]>([
    [[allow], 'auto', [], 'act', 'allowed'],
    [[allow], 'approve', [], 'ask', 'mode_approve'],
    [[allow], 'approve', [yes('ann')], 'ask', 'mode_approve'],
    [[allow], 'approve', [yes('bob')], 'act', 'allowed'],
    [[allow], 'suggest', [yes('bob')], 'suggest', 'mode_suggest'],
    [[allow], 'observe', [], 'observe', 'mode_observe'],
    [[{ ...allow, mode: 'suggest' }], 'auto', [], 'suggest', 'mode_suggest'],
    [[question()], 'auto', [], 'ask', 'approval_required'],
    [[question()], 'auto', [yes('bob')], 'act', 'approved'],
    [[question()], 'observe', [], 'observe', 'mode_observe'],
    [[{ effect: 'deny' }], 'observe', [], 'deny', 'explicit_deny'],
    [[{ ...allow, obligations: { maxReplicas: 3 } }], 'auto', [], 'deny', 'obligation_unmet'],
    [[question({ maxPercent: 25 })], 'auto', [yes('bob')], 'deny', 'obligation_unmet'],
    [[{ ...allow, obligations: { cooldown: '2m' } }], 'auto', [], 'deny', 'obligation_unmet'],
    [[{ ...allow, obligations: { cooldown: '1m', maxReplicas: 4, maxPercent: 30 } }], 'auto', [], 'act', 'allowed'],
  ])('%j under %s with %j: %s', (policies, mode, approvals, proceed, code) => {
    expect(capByMode(ask(policies, { approvals }), mode)).toMatchObject({ proceed, code })
  })

  test('a bound whose fact is missing is broken', () => {
    const policy = { ...allow, obligations: { maxReplicas: 9, maxPercent: 50, cooldown: '1s' } }
    expect(ask([policy], { request: {}, history: {} }).breaches.map(({ obligation, actual }) => [obligation, actual])).toEqual([['maxReplicas', null], ['maxPercent', null], ['cooldownMs', null]])
    expect(ask([policy], { request: { replicas: 1, percentOfReady: 0 }, history: { sinceLastActionMs: null } }).breaches).toEqual([])
  })

  test('an obligation from a later version is not overlooked', () => {
    expect(unknownObligations({ ...noObligations, drainFirst: true })).toEqual(['drainFirst'])
  })
})

describe('a request that cannot be read is denied with its own code', () => {
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['no action', { ...base, action: '' }],
    ['a wildcard', { ...base, action: 'pod:*' }],
    ['half a resource', { ...base, resource: 'pod:web' }],
    ['a type of its own', { ...base, type: 'other' }],
    ['no clock', { ...base, now: Number.NaN }],
    ['no owner', { ...base, principal: { ...base.principal, owner: '' } }],
    ['a made-up role', { ...base, principal: { ...base.principal, roles: ['root'] } }],
    ['an approval without a time', { ...base, approvals: [{ ...yes('bob'), at: undefined }] }],
    ['what is no data', { ...base, context: { size: 10n } }],
    ['half a surrogate pair', { ...base, context: { name: '\ud800' } }],
  ])('%s', (_name, input) => {
    expect(decide(snapshotOf([allow]), input as PolicyInput)).toMatchObject({ effect: 'deny', code: 'malformed_request', inputDigest: null })
  })

  test('nothing makes the engine throw or allow what it cannot read', () => {
    const snapshot = snapshotOf([allow])
    const hostile = fc.record(Object.fromEntries(Object.entries(base).map(([key, value]) => [key, fc.oneof(fc.constant(value), fc.anything())])))
    fc.assert(fc.property(fc.oneof(fc.anything(), hostile), (input) => {
      const before = process.cpuUsage()
      expect(['allow', 'deny']).toContain(decide(snapshot, input as PolicyInput).effect)
      expect(process.cpuUsage(before).user).toBeLessThan(200_000)
    }), { numRuns: 1500 })
    const trap = new Proxy({}, { get: () => { throw new Error('secret') }, ownKeys: () => { throw new Error('secret') } }) as PolicyInput
    expect(JSON.stringify(decide(snapshot, trap))).not.toContain('secret')
  })

  test('a failure inside denies and does not repeat what failed', () => {
    const broken = snapshotOf([{ ...allow, when: { time: { zone: 'UTC', windows: [{ allDay: true }] } } }], () => { throw new Error('secret') })
    const decision = decide(broken, base)
    expect(decision).toMatchObject({ effect: 'deny', code: 'engine_error', now: noon, tzdata: 'test' })
    expect(JSON.stringify(decision)).not.toContain('secret')
  })

  test('a snapshot too old to trust denies in the same shape', () => {
    const snapshot = snapshotOf([allow])
    const stale = refusal(snapshot, base, 'policy_stale', 'the policies are 61 s old')
    expect(Object.keys(stale).toSorted()).toEqual(Object.keys(decide(snapshot, base)).toSorted())
    expect(capByMode(stale, 'auto')).toMatchObject({ proceed: 'deny', code: 'policy_stale' })
  })
})

test('two documents with one id or one name are no set', () => {
  expect(() => snapshotOf([{ id: 'a', effect: 'allow' }, { id: 'a', effect: 'deny' }])).toThrow('another policy already has the id `a`')
  expect(() => snapshotOf([{ name: 'a', effect: 'allow' }, { name: 'a', effect: 'deny' }])).toThrow('another policy already has the name `a`')
})

test('the snapshot hash follows content, not order or spelling', () => {
  const [one, two] = [{ id: 'a', effect: 'allow' }, { id: 'b', effect: 'deny' }]
  const { hash } = snapshotOf([one, two])
  expect(snapshotOf([two, { ...one, priority: 100, actions: ['*:*'] }]).hash).toBe(hash)
  expect(snapshotOf([two, { ...one, priority: 101 }]).hash).not.toBe(hash)
})
