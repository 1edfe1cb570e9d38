import { compiling, reading } from '../../../adapters/policies/means.ts'
import { wallClock } from '../../../adapters/policies/zones.ts'
import { decide } from '../decide.ts'
import { compileSnapshot } from '../snapshot.ts'
import { parsePolicy } from '../parse.ts'
import type { Code } from './finding.ts'
import type { ExceptionDocument } from '../exception.ts'
import { lintPolicies } from './lint.ts'

/** A Thursday; the clocks of Berlin go forward on 2026-03-29. */
const nowMs = Date.UTC(2026, 0, 15, 12)

type Given = Record<string, unknown>
const policy = (given: Given): Given => ({ apiVersion: 'aegis.dev/policy/v1', actions: ['deployment:scale'], resources: ['k8s:prod/shop/**'], owner: 'sre', ...given })
const allow = (given: Given = {}) => policy({ effect: 'allow', ...given })
const deny = (given: Given = {}) => policy({ effect: 'deny', ...given })
const ask = (given: Given = {}) => policy({ effect: 'require_approval', ...given })
const when = (...all: unknown[]) => ({ when: all.length === 1 ? all[0] : { all } })
const leaf = (attr: string, op: string, value?: unknown) => ({ attr, op, ...(value === undefined ? {} : { value }) })
const severity = (op: string, value: unknown) => leaf('context.severity', op, value)
const window = (from: string, to: string, days?: string[], zone = 'Europe/Berlin') => ({ time: { zone, windows: [{ ...(days ? { days } : {}), from, to }] } })

const read = (one: Given, id: string) => parsePolicy({ ...one, id }, reading).policy!
const compiled = (policies: Given[]) => compileSnapshot(policies.map((one, at) => read(one, `p${at}`)), compiling)
const lint = (policies: Given[]) => lintPolicies(compiled(policies), { nowMs, wallClock, tzdata: 'test', history: { unknown: 'nobody looked' } })
const found = (code: Code, policies: Given[]) => lint(policies).findings.filter((one) => one.code === code)

type Row = [what: string, policies: Given[], policy: string | null, path?: string]

const examples: Partial<Record<Code, { told: Row[]; untold: [what: string, policies: Given[]][] }>> = {
  L1: {
    told: [
      ['a deny of everything there', [allow(), deny({ resources: ['k8s:prod/**'] })], 'p0', 'document'],
      ['a deny of the lower severities as well', [allow(when(severity('gte', 'high'))), deny(when(severity('gte', 'low')))], 'p0'],
      ['a deny that says in two parts what the allow says in one', [allow(when(leaf('request.replicas', 'lt', 9))), deny(when({ any: [leaf('request.replicas', 'lte', 3), leaf('request.replicas', 'gt', 3)] }))], 'p0'],
      ['a deny whose window holds the allow’s', [allow(when(window('10:00', '11:00', ['mon']))), deny(when(window('09:00', '18:00')))], 'p0'],
      ['a deny with a wider glob', [allow({ resources: ['k8s:prod/shop/deployment/w*b'] }), deny({ resources: ['k8s:*/sh*/**/*b'] })], 'p0'],
      ['a deny of text that begins so', [allow(when(leaf('context.labels.team', 'eq', 'shop-a'))), deny(when(leaf('context.labels.team', 'glob', 'shop-*')))], 'p0'],
      ['a deny that lists may include', [allow(when(leaf('principal.roles', 'containsAll', ['admin', 'user']))), deny(when(leaf('principal.roles', 'containsAny', ['user', 'service'])))], 'p0'],
      ['a shadow allow, before it is enforced', [allow({ enforcement: 'shadow' }), deny()], 'p0'],
    ],
    untold: [
      ['a deny of another cluster', [allow(), deny({ resources: ['k8s:test/**'] })]],
      ['a deny that leaves one severity', [allow(when(severity('gte', 'high'))), deny(when(severity('gt', 'high')))]],
      ['a deny that is sure of nothing where the fact is missing', [allow(when(severity('gte', 'low'))), deny(when(leaf('context.severity', 'exists'), severity('gte', 'low')))]],
      ['a deny that leaves one minute', [allow(when(window('10:00', '11:01'))), deny(when(window('10:00', '11:00')))]],
      ['a deny with an exception', [allow(), deny({ unless: leaf('principal.roles', 'contains', 'admin') })]],
      ['a shadow deny', [allow(), deny({ enforcement: 'shadow' })]],
      ['a deny by an expression', [allow(), deny({ when: { cel: 'true' } })]],
      ['a deny that is over one day', [allow(), deny({ validity: { notAfter: '2027-01-01T00:00:00Z' } })]],
    ],
  },
  L2: {
    told: [
      ['the same twice: the later stays out', [allow(), allow()], 'p1', 'document'],
      ['a narrower allow', [allow(when(severity('eq', 'high'))), allow(when(severity('gte', 'medium')))], 'p0'],
      ['a narrower deny', [deny({ resources: ['k8s:prod/shop/deployment/web'] }), deny()], 'p0'],
      ['one that asks for less', [ask(), ask({ obligations: { minApprovals: 2 } })], 'p0'],
      ['a shadow policy beside an enforced one, and not the other way round', [allow({ priority: 1 }), allow({ enforcement: 'shadow', priority: 900 })], 'p1'],
      ['one with the weaker mode beside a stronger cap', [allow(), allow({ mode: 'approve' })], 'p0'],
    ],
    untold: [
      ['one that asks for more', [allow({ obligations: { maxReplicas: 3 }, ...when(severity('eq', 'high')) }), allow()]],
      ['one with the stricter mode', [allow({ mode: 'approve', resources: ['k8s:prod/shop/deployment/web'] }), allow()]],
      ['one that may bind where the other is false', [allow(when(severity('gte', 'low'))), allow(when(leaf('context.severity', 'exists')))]],
      ['one that is sure where the other cannot tell', [allow(when(leaf('context.severity', 'exists'))), allow(when(severity('gte', 'info')))]],
      ['another effect', [ask(), allow()]],
    ],
  },
  L3: {
    told: [['an allow above a deny of some of it', [allow({ priority: 200 }), deny({ ...when(severity('eq', 'critical')), priority: 100 })], 'p0', 'priority']],
    untold: [
      ['a deny above', [allow({ priority: 100 }), deny({ ...when(severity('eq', 'critical')), priority: 200 })]],
      ['never at once', [allow({ ...when(severity('lt', 'critical')), priority: 200 }), deny(when(severity('eq', 'critical')))]],
      ['on no resource at once', [allow({ priority: 200, resources: ['k8s:prod/shop/deployment/w*'] }), deny({ resources: ['k8s:*/*/deployment/a*'] })]],
    ],
  },
  L4: {
    told: [
      ['two ends that do not meet', [allow(when(leaf('request.replicas', 'gt', 5), leaf('request.replicas', 'lt', 3)))], 'p0', 'when'],
      ['a window of two days at once', [allow(when(window('09:00', '10:00', ['mon']), window('09:00', '10:00', ['tue'])))], 'p0', 'when'],
      ['an empty any', [deny(when({ any: [] }))], 'p0', 'when'],
      ['an empty all deep inside', [allow(when({ any: [{ all: [] }, severity('eq', 'high')] }))], 'p0', 'when.any[0]'],
      ['an exception from everything', [deny({ unless: { all: [] } })], 'p0', 'unless'],
      ['an exception of what it is about', [deny({ ...when(severity('gte', 'high')), unless: severity('gte', 'medium') })], 'p0', 'document'],
      ['an exception that never comes', [deny({ unless: { all: [severity('eq', 'low'), severity('eq', 'high')] } })], 'p0', 'unless'],
      ['a list with all of none', [allow(when(leaf('context.labels.a', 'prefix', 'x'), leaf('context.labels.a', 'eq', 'ab')))], 'p0', 'when'],
      ['a span outside its validity', [allow({ ...when({ time: { zone: 'UTC', from: '2026-03-01T00:00', to: '2026-03-02T00:00' } }), validity: { notAfter: '2026-02-01T00:00:00Z' } })], 'p0', 'document'],
    ],
    untold: [
      ['two ends that meet in one', [allow(when(leaf('request.replicas', 'gte', 5), leaf('request.replicas', 'lte', 5)))]],
      ['windows that share an hour', [allow(when(window('09:00', '11:00', ['mon']), window('10:00', '12:00')))]],
      ['nothing written', [allow()]],
      ['globs that may both match', [allow(when(leaf('context.labels.a', 'glob', 'x*'), leaf('context.labels.a', 'glob', '*y')))]],
    ],
  },
  L5: {
    told: [
      ['a deny by a label', [deny(when(leaf('context.labels.team', 'eq', 'x')))], 'p0', 'when'],
      ['a deny by replicas of a restart', [deny({ actions: ['pod:restart'], ...when(leaf('request.replicas', 'gt', 3)) })], 'p0', 'when'],
      ['an exception by what happened last', [deny({ unless: leaf('history.sinceLastActionMs', 'gt', 60_000) })], 'p0', 'unless'],
      ['an approval policy beside an allow', [ask(when(leaf('context.labels.team', 'eq', 'x'))), allow(when(leaf('request.replicas', 'lt', 9)))], 'p0', 'when'],
    ],
    untold: [
      ['asked for first', [deny(when(leaf('context.labels.team', 'exists'), leaf('context.labels.team', 'eq', 'x')))]],
      ['replicas of a scale', [deny(when(leaf('request.replicas', 'gt', 3)))]],
      ['a severity', [deny({ actions: ['*'], ...when(severity('eq', 'info')) })]],
      ['an allow', [allow(when(leaf('context.labels.team', 'eq', 'x')))]],
      ['an approval policy with nothing to ask about', [ask(when(leaf('context.labels.team', 'eq', 'x')))]],
      ['for callers of the API alone', [deny({ type: ['api_access'], ...when(leaf('context.labels.team', 'eq', 'x')) })]],
    ],
  },
  L6: {
    told: [
      ['an action nobody has', [allow({ actions: ['deploymnt:scale'], resources: ['k8s:prod/shop/deployment/web'] })], 'p0', 'actions[0]'],
      ['a misspelt fact', [allow(when(leaf('context.severty', 'eq', 'high')))], 'p0', 'when'],
      ['a fault that is none', [allow(when({ any: [leaf('context.fault', 'in', ['crash_loop', 'crashloop']), severity('eq', 'high')] }))], 'p0', 'when.any[0]'],
      ['a door that is none', [deny({ unless: leaf('context.door', 'eq', 'webhook') })], 'p0', 'unless'],
      ['a number asked as text', [allow(when(leaf('request.replicas', 'eq', '4')))], 'p0', 'when'],
      ['a list asked as text', [allow(when(leaf('principal.roles', 'eq', 'admin')))], 'p0', 'when'],
      ['a kind in capitals', [allow(when(leaf('context.workload.kind', 'eq', 'Deployment')))], 'p0', 'when'],
      ['a role that is none', [allow(when(leaf('principal.roles', 'containsAny', ['oncall'])))], 'p0', 'when'],
      ['an undo that is neither', [allow(when(leaf('request.undo', 'eq', 'yes')))], 'p0', 'when'],
      ['an alias where policies see the action', [allow({ unless: leaf('action', 'eq', 'scale_deployment') })], 'p0', 'unless'],
      ['a kind in capitals behind any number of segments', [deny({ resources: ['k8s:**/Deployment/web'] })], 'p0', 'resources[0]'],
      ['more segments than an object has', [deny({ resources: ['k8s:a/b/deployment/d/e/**'] })], 'p0', 'resources[0]'],
      ['a misspelt kind', [deny({ resources: ['k8s:**', 'k8s:*/*/deploymnt/*'] })], 'p0', 'resources[1]'],
      ['a kind that the action is not done to', [deny({ resources: ['k8s:*/*/pod/*'] })], 'p0', 'resources[0]'],
      ['less than an object', [deny({ resources: ['k8s:prod/shop'] })], 'p0', 'resources[0]'],
      ['a resource as no policy sees it', [deny(when(leaf('resource', 'prefix', '/api/v1/admin')))], 'p0', 'when'],
      ['a count over no such window', [allow(when(leaf('history.workload["10m"].effects', 'lt', 3)))], 'p0', 'when'],
    ],
    untold: [
      ['every fact of the table', [allow(when(leaf('context.fault', 'eq', 'none'), leaf('context.labels["a/b"]', 'eq', 'x'), leaf('history.workload["5m"].effects', 'lt', 3), leaf('target.failing', 'gt', 0)))]],
      ['patterns that a deployment fits', [allow({ resources: ['**', 'k8s:**', 'k8s:**/web', 'k8s:*/shop/**/web', 'k8s:prod/shop/dep*/**', 'k8s:prod/**/deployment/web', 'api:/api/v1/**'] })]],
      ['one of two kinds', [deny({ actions: ['pod:restart', 'deployment:*'], resources: ['k8s:*/*/pod/*', 'k8s:*/*/deployment/*'] })]],
      ['the beginning of a resource', [deny(when(leaf('resource', 'prefix', 'k8s:prod/')))]],
      ['an alias in actions', [allow({ actions: ['restart_pod', 'delete_pod'] })]],
      ['for callers of the API alone', [allow({ type: ['api_access'], actions: ['user:delete'], ...when(leaf('context.team', 'eq', 'x')) })]],
    ],
  },
  L7: {
    told: [
      ['a window in the skipped hour', [allow(when(window('02:00', '03:00', ['sun'])))], 'p0', 'when.time.windows[0]'],
      ['every day of the week', [allow(when(window('02:15', '02:45')))], 'p0', 'when.time.windows[0]'],
    ],
    untold: [
      ['a window that goes on after it', [allow(when(window('02:00', '03:30', ['sun'])))]],
      ['on another day', [allow(when(window('02:00', '03:00', ['sat'])))]],
      ['in a zone that skips nothing', [allow(when(window('02:00', '03:00', ['sun'], 'Asia/Kolkata')))]],
    ],
  },
  L8: {
    told: [
      ['a rollback anywhere', [allow({ actions: ['deployment:rollback'], resources: ['k8s:**'] })], 'p0', 'actions'],
      ['everything, of one namespace', [allow({ actions: ['*'] })], 'p0'],
      ['a scale to any number, anywhere', [allow({ resources: ['k8s:*/shop/**'] })], 'p0'],
      ['a node, whatever is done to it', [allow({ actions: ['node:*'] })], 'p0'],
      ['a bound on the number that something else settles', [allow({ resources: ['k8s:**'], ...when({ any: [leaf('request.replicas', 'lte', 5), leaf('context.severity', 'exists')] }) })], 'p0'],
      ['a number that is never negative', [allow({ resources: ['k8s:**'], ...when(leaf('request.replicas', 'gte', 0)) })], 'p0'],
      ['a look at the request that bounds nothing', [allow({ resources: ['k8s:**'], ...when(leaf('request.undo', 'exists')) })], 'p0'],
      ['the largest number there is', [allow({ resources: ['k8s:**'], obligations: { maxReplicas: 1000 } })], 'p0'],
      ['the whole of the ready pods', [allow({ resources: ['k8s:**'], obligations: { maxPercent: 100 } })], 'p0'],
      ['a bound downwards alone', [allow({ resources: ['k8s:**'], obligations: { maxPercent: 50 } })], 'p0'],
      ['a rollback of all', [allow({ actions: ['deployment:rollback'], resources: ['k8s:**'], obligations: { maxPercent: 100 } })], 'p0'],
      ['where a guard keeps the last replica', [allow({ resources: ['k8s:*/shop/**'] }), deny({ resources: ['k8s:**'], ...when(leaf('request.replicas', 'lt', 1)) })], 'p0'],
    ],
    untold: [
      ['bounded by the request', [allow({ resources: ['k8s:**'], ...when(leaf('request.replicas', 'between', [2, 6])) })]],
      ['bounded by obligations', [allow({ resources: ['k8s:**'], obligations: { maxPercent: 50, maxReplicas: 20 } })]],
      ['bounded by one of each', [allow({ resources: ['k8s:**'], obligations: { maxReplicas: 20 } }), deny({ resources: ['k8s:**'], ...when(leaf('request.percentOfReady', 'gt', 50)) })]],
      ['a rollback that can be undone', [allow({ actions: ['deployment:rollback'], resources: ['k8s:**'], ...when(leaf('request.undo', 'eq', 'planned')) })]],
      ['a rollback of half at most', [allow({ actions: ['deployment:rollback'], resources: ['k8s:**'], obligations: { maxPercent: 50 } })]],
      ['of one namespace, by name', [allow({ actions: ['deployment:rollback'] })]],
      ['a restart', [allow({ actions: ['pod:restart'], resources: ['k8s:**'] })]],
      ['with a person’s yes', [allow({ actions: ['deployment:rollback'], resources: ['k8s:**'] }), ask({ actions: ['*'], resources: ['k8s:**'] })]],
      ['in a mode that asks', [allow({ actions: ['deployment:rollback'], resources: ['k8s:**'], mode: 'approve' })]],
    ],
  },
  L9: {
    told: [['an allow of nobody', [allow({ owner: null })], 'p0', 'owner']],
    untold: [['an allow of somebody', [allow()]], ['a deny of nobody', [deny({ owner: null })]]],
  },
  L10: {
    told: [
      ['over', [allow({ validity: { notAfter: '2026-01-01T00:00:00Z' } })], 'p0', 'validity.notAfter'],
      ['over in two weeks', [allow({ validity: { notAfter: '2026-01-29T12:00:00Z' } })], 'p0', 'validity.notAfter'],
      ['not begun for long', [allow({ validity: { notBefore: '2026-03-01T00:00:00Z' } })], 'p0', 'validity.notBefore'],
      ['a span that is over', [allow(when({ time: { zone: 'UTC', from: '2025-12-24T00:00', to: '2026-01-02T00:00' } }))], 'p0', 'when'],
    ],
    untold: [
      ['over in three weeks', [allow({ validity: { notAfter: '2026-02-05T00:00:00Z' } })]],
      ['begun', [allow({ validity: { notBefore: '2026-01-01T00:00:00Z' } })]],
      ['a span to come', [allow(when({ time: { zone: 'UTC', from: '2026-12-24T00:00', to: '2027-01-02T00:00' } }))]],
    ],
  },
  L12: {
    told: [
      ['a quarter by obligation', [allow({ actions: ['pod:restart'], obligations: { maxPercent: 25 } })], 'p0', 'obligations.maxPercent'],
      ['nothing by obligation', [allow({ actions: ['pod:restart'], obligations: { maxPercent: 0 } })], 'p0', 'obligations.maxPercent'],
      ['next to nothing', [allow({ actions: ['pod:restart'], obligations: { maxPercent: 0.4 } })], 'p0', 'obligations.maxPercent'],
      ['a third, nearly', [allow({ actions: ['pod:restart'], ...when(leaf('request.percentOfReady', 'lte', 33)) })], 'p0', 'when'],
      ['a deny of more than half', [allow({ actions: ['pod:restart'] }), deny({ actions: ['pod:restart'], ...when(leaf('request.percentOfReady', 'gt', 50)) })], 'p1', 'when'],
    ],
    untold: [
      ['the whole', [allow({ actions: ['pod:restart'], obligations: { maxPercent: 100 } })]],
      ['nothing ready at all, as it says', [allow({ actions: ['pod:restart'], ...when(leaf('request.percentOfReady', 'eq', 0)) })]],
      ['a floor', [allow({ actions: ['pod:restart'], ...when(leaf('request.percentOfReady', 'gte', 50)) })]],
      ['of a rollback, which takes all or nothing', [allow({ actions: ['deployment:rollback'], obligations: { maxPercent: 25 } })]],
    ],
  },
  L13: {
    told: [['severities nobody thought of', [allow({ actions: ['*'], ...when(severity('gte', 'medium')) })], null, 'deployment:rollback']],
    untold: [
      ['all allowed or asked about', [allow({ actions: ['*'], ...when(severity('gte', 'medium')) }), ask({ actions: ['*'], ...when(severity('lt', 'medium')) })]],
      ['denied by name instead', [allow({ actions: ['*'], ...when(severity('gte', 'medium')) }), deny({ actions: ['*'], resources: ['**'], ...when(severity('lt', 'medium')) })]],
    ],
  },
  L14: {
    told: [
      ['an expression', [allow({ when: { all: [severity('gte', 'high'), { cel: 'request.replicas < 9.0' }] } })], 'p0', 'when.all[1].cel'],
      ['one in an exception', [deny({ unless: { cel: 'request.replicas < 9.0' } })], 'p0', 'unless.cel'],
    ],
    untold: [['conditions', [allow(when(severity('gte', 'high'), window('10:00', '11:00')))]]],
  },
}

const rows = Object.entries(examples) as [Code, { told: Row[]; untold: [string, Given[]][] }][]

describe.each(rows)('%s', (code, { told, untold }) => {
  test.each(told.map(([what, ...row]) => ({ what, row })))('tells of $what', ({ row: [policies, id, path] }) => {
    const [first] = found(code, policies)
    expect(first).toMatchObject({ code, policy: id, ...(path === undefined ? {} : { path }) })
  })
  test.each(untold)('has nothing to say of %s', (_what, policies) => expect(found(code, policies)).toEqual([]))
})

describe('what a finding says', () => {
  test('how far a percentage goes, and what shows it', () => {
    const policies = [allow({ actions: ['pod:restart'], obligations: { maxPercent: 25 } })]
    const [finding] = found('L12', policies)
    expect(finding!.message).toMatch(/^with up to 3 ready pods this lets none of them be taken: the share of one is 33.33 %/)
    expect(decide(compiled(policies), finding!.witness!).breaches).toMatchObject([{ obligation: 'maxPercent', limit: 25 }])
  })

  test('the dates on which a window is skipped, and the minute at which it would have been', () => {
    const [finding] = found('L7', [allow(when(window('02:00', '03:00', ['sun'])))])
    expect(finding!.message).toContain('does not occur on 2026-03-29: the clocks of Europe/Berlin skip it')
    expect(new Date(finding!.witness!.now).toISOString()).toBe('2026-03-29T01:00:00.000Z')
  })

  test('a deny that reads what may be missing denies, and the request lacks it', () => {
    const policies = [allow(), deny(when(leaf('context.labels.team', 'eq', 'x')))]
    const [finding] = found('L5', policies)
    expect(finding!.message).toContain('`context.labels.team` may be missing for deployment:scale; the answer is then unknown, and this policy denies')
    expect(finding!.witness!.context['labels']).toBeUndefined()
    expect(decide(compiled(policies), finding!.witness!)).toMatchObject({ code: 'deny_indeterminate', determining: [{ id: 'p1' }] })
  })

  test('a name that was probably meant', () => {
    expect(found('L6', [allow(when(leaf('context.severty', 'eq', 'high')))])[0]!.message).toContain('(`context.severity`?)')
  })

  test('hours and severities in few words', () => {
    const night = allow({ actions: ['pod:restart'], resources: ['k8s:**'], ...when(severity('gte', 'high'), window('22:00', '06:00', undefined, 'UTC')) })
    const [finding] = found('L13', [night]).filter(({ path }) => path === 'pod:restart')
    expect(finding!.message).toBe(
      'no policy allows or asks about pod:restart at severity info, low, medium, at any hour; at severity high, critical, in 112 of the coming 168 hours, the first from Thu 2026-01-15 12:00 UTC, so it is denied. Add one if that is not meant',
    )
  })
})

test.each([
  ['is over', -1, 'is over since 2026-01-14T12:00:00.000Z. Take it out'],
  ['ends soon', 2, 'ends at 2026-01-17T12:00:00.000Z, in less than 3 days'],
  ['ends later', 4, null],
])('an exception that %s is told of with its policy', (_what, days, message) => {
  const snapshot = compiled([allow(), deny({ resources: ['k8s:test/**'] })])
  const policyId = snapshot.policies.find(({ document }) => document.effect === 'deny')!.document.id
  const exception = { id: 'easter', policy: policyId, expiresAt: new Date(nowMs + days * 86_400_000).toISOString() } as ExceptionDocument
  const { findings } = lintPolicies(snapshot, { nowMs, wallClock, tzdata: 'test', history: { unknown: 'nobody looked' }, exceptions: [exception] })
  const told = findings.filter(({ code }) => code === 'L10')
  expect(told).toEqual(message === null ? [] : [expect.objectContaining({ policy: policyId, severity: 'warning', message: expect.stringContaining(`exception \`easter\` from this policy ${message}`) })])
})

test('what matched in the past is asked for, or said to be left out', () => {
  const snapshot = compiled([allow(), deny({ resources: ['k8s:test/**'] }), ask({ resources: ['k8s:a/**'], validity: { notBefore: '2026-01-10T00:00:00Z' } })])
  const [, ...others] = snapshot.policies
  const unmatched = new Set(others.map(({ hash }) => hash))
  const codes = lintPolicies(snapshot, { nowMs, wallClock, tzdata: 'test', history: { unmatched } })
  expect(codes.findings.filter(({ code }) => code === 'L11').map(({ policy: id }) => id)).toEqual([others.find(({ validFrom }) => validFrom === -Infinity)!.document.id])
  expect(codes.leftOut).toEqual([])
  expect(lint([allow()]).leftOut).toEqual([{ code: 'L11', reason: 'nobody looked' }])
})

test('conditions too large to compare are named, and nothing is claimed of them', () => {
  const pair = (at: number) => ({ any: [leaf(`context.labels.a${at}`, 'eq', 'x'), leaf(`context.labels.b${at}`, 'eq', 'x')] })
  const large = Array.from({ length: 7 }, (_, at) => pair(at))
  const { findings, leftOut } = lint([allow(when(...large)), deny({ resources: ['k8s:**'] })])
  expect(leftOut).toContainEqual({ code: 'L1', reason: expect.stringContaining('`p0`') })
  expect(findings.filter(({ code }) => code === 'L1')).toEqual([])
})

test('policies that are too large together are left out by name, and the smaller ones are compared as ever', () => {
  const clock = (minute: number) => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
  const windows = (at: number) => Array.from({ length: 30 }, (_, of) => ({ from: clock((at * 37 + of * 41) % 1400), to: clock(((at * 37 + of * 41) % 1400) + 1) }))
  const large = (at: number) => deny({ when: { any: Array.from({ length: 20 }, (_, part) => ({ time: { zone: 'UTC', windows: windows(at * 20 + part) } })) } })
  const before = process.cpuUsage()
  const { findings, leftOut } = lint([allow(), deny(), ...Array.from({ length: 40 }, (_, at) => large(at))])
  expect(process.cpuUsage(before).user).toBeLessThan(20_000_000)
  expect(leftOut).toContainEqual({ code: 'L1', reason: expect.stringMatching(/together these policies are too large to compare: `p\d+`.* more are left out/) })
  expect(findings).toContainEqual(expect.objectContaining({ code: 'L1', policy: 'p0', others: ['p1'] }))
})

test.each<[string, (at: number, of: number) => unknown, number, number, RegExp]>([
  ['facts of their own', (at, of) => leaf(`context.labels.a${at}-${of}`, 'eq', 'x'), 40, 60, /^L[58] there is too much to look through/],
  ['ever new values of one fact', (at, of) => leaf('context.labels.app', 'eq', `${at}-${of}`), 500, 12, /^L1 too many conditions ask `context.labels.app`/],
])('policies that ask for %s are linted within 20 s of processor time, and what was left out is told', (_what, part, policies, parts, told) => {
  const made = Array.from({ length: policies }, (_, at) => [allow, deny, ask][at % 3]!({ actions: ['*'], resources: ['k8s:**'], when: { any: Array.from({ length: parts }, (_, of) => part(at, of)) } }))
  const before = process.cpuUsage()
  const { leftOut } = lint(made)
  expect(process.cpuUsage(before).user).toBeLessThan(20_000_000)
  expect(leftOut.map(({ code, reason }) => `${code} ${reason}`)).toContainEqual(expect.stringMatching(told))
})

test.each([3, 21, 32])('with %d windows that another condition leaves out a policy is still told apart', (count) => {
  const clock = (minute: number) => `00:${String(minute).padStart(2, '0')}`
  const mondays = Array.from({ length: count - 1 }, (_, at) => ({ days: ['mon'], from: clock(at), to: clock(at + 1) }))
  const saturdays = { ...when({ time: { zone: 'UTC', windows: [...mondays, { days: ['sat'], from: '10:00', to: '12:00' }] } }), unless: window('00:00', '23:59', ['mon'], 'Africa/Abidjan') }
  const codesOf = (policies: Given[]) => lint(policies).findings.filter(({ policy: id }) => id === 'p0').map(({ code }) => code)
  expect(codesOf([allow(saturdays), deny()])).toContain('L1')
  expect(codesOf([allow(saturdays), allow()])).toContain('L2')
  expect(codesOf([allow({ ...saturdays, priority: 500 }), deny(when(severity('eq', 'low')))])).toContain('L3')
})
