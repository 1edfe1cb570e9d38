import fc from 'fast-check'
import { zoneExists } from '../../adapters/policies/zones.ts'
import { pathText } from './check.ts'
import { parsePolicy } from './parse.ts'

const least = { apiVersion: 'aegis.dev/policy/v1', id: 'p', effect: 'allow', actions: ['pod:restart'], resources: ['k8s:**'] }
const parse = (value: unknown) => parsePolicy(value, { zoneExists })
const complaints = (change: object) => parse({ ...least, ...change }).problems?.map(({ path, message }) => `${pathText(path)}: ${message}`)
const nested = (depth: number): unknown => (depth === 0 ? { attr: 'context.x', op: 'exists' } : { not: nested(depth - 1) })
const leaf = (attr: string, op: string, value?: unknown) => ({ when: value === undefined ? { attr, op } : { attr, op, value } })

test('the least that is a policy, with every default', () => {
  expect(parse(least).policy).toEqual({
    ...least, name: 'p', enforcement: 'enforce', mode: 'auto', type: ['self_healing', 'api_access'], priority: 100,
    when: { all: [] }, unless: { any: [] }, obligations: {}, validity: { notBefore: null, notAfter: null }, message: null, owner: null, labels: {},
  })
})

test('everything a policy can say', () => {
  const full = {
    ...least,
    name: 'Deny destructive actions in peak hours', effect: 'require_approval', enforcement: 'shadow', mode: 'approve', type: ['self_healing'], priority: 7,
    actions: ['pod:delete', 'node:*'], resources: ['k8s:prod-eu/payments/**'],
    when: { all: [{ time: { zone: 'Europe/Berlin', windows: [{ days: ['mon', 'fri'], from: '09:00', to: '18:00' }, { days: ['sun'], allDay: true }] } }] },
    unless: { any: [{ attr: 'principal.roles', op: 'containsAny', value: ['approver'] }, { not: { attr: 'context.labels["app.kubernetes.io/name"]', op: 'glob', value: 'api-*' } }, { time: { zone: 'UTC', from: '2026-12-24T00:00', to: '2026-12-27T00:00' } }] },
    obligations: {
      minApprovals: 2, approverGroups: ['dba'], approverRoles: ['admin'], approvalTtl: '15m', maxReplicas: 10, maxPercent: 25, ttl: '10m', cooldown: '5m',
      dryRunFirst: true, verifyAfter: true, rollbackOnFailure: true, undoOn: ['same'], notify: ['oncall'],
    },
    validity: { notBefore: '2026-01-01T00:00:00Z', notAfter: '2027-01-01T00:00:00+01:00' },
    message: 'Peak hours: ask on-call', owner: 'team-sre', labels: { team: 'sre' },
  }
  expect(parse(full)).toEqual({ policy: full })
})

test('aliases are spelled out', () => {
  const { policy } = parse({ ...least, actions: ['restart_pod', '*'], resources: ['cluster:prod', 'pod:web', '/api/v1/users'] })
  expect(policy).toMatchObject({ actions: ['pod:restart', '*:*'], resources: ['k8s:prod/**', 'k8s:*/*/pod/web', 'api:/api/v1/users'] })
})

test.each<[string, object, string]>([
  ['an unknown field', { whne: {} }, 'whne: unknown field `whne`'],
  ['a field of another kind of document', { conditions: {} }, 'conditions: unknown field'],
  ['another version', { apiVersion: 'v2' }, 'apiVersion: expected one of aegis.dev/policy/v1'],
  ['an id with capitals', { id: 'Peak' }, 'id: `Peak` is no id'],
  ['an unknown effect', { effect: 'permit' }, 'effect: expected one of allow, deny, require_approval'],
  ['enforcement written as mode', { mode: 'shadow' }, 'mode: `mode` is the autonomy (observe, suggest, approve, auto); write `enforcement: shadow` instead'],
  ['autonomy on a deny', { effect: 'deny', mode: 'approve' }, 'mode: a deny grants no autonomy'],
  ['no actions', { actions: [] }, 'actions: must name at least one'],
  ['an action that is none', { actions: ['restart'] }, 'actions[0]: `restart` is no action'],
  ['a resource that is none', { resources: ['prod'] }, 'resources[0]: `prod` is no resource'],
  ['a kind in capitals', { resources: ['k8s:a/b/Pod/x'] }, 'resources[0]: `k8s:a/b/Pod/x` is no resource'],
  ['** inside a segment', { resources: ['k8s:prod/a**'] }, 'resources[0]: `**` may only be a whole segment'],
  ['a list where text belongs', { message: ['x'] }, 'message: expected text, found a list'],
  ['text longer than it may be', { message: 'x'.repeat(257) }, 'message: longer than 256 characters'],
  ['a priority that is no whole number', { priority: 1.5 }, 'priority: expected a whole number'],
  ['a condition left empty', { when: null }, 'when: expected a condition, found nothing'],
  ['a condition that is none', { when: {} }, 'when: expected one of all, any, not, attr, time'],
  ['two conditions in one', { when: { all: [], any: [] } }, 'when.any: unknown field `any`'],
  ['CEL where none is read', { when: { cel: 'true' } }, 'when.cel: CEL is not read here; write it with attr, op and value'],
  ['an attribute from nowhere', leaf('severity', 'exists'), 'when.attr: `severity` names no fact'],
  ['an attribute that reaches a prototype', leaf('context.__proto__.x', 'exists'), 'when.attr: `context.__proto__.x` names no fact'],
  ['approvals as a condition', leaf('approvals.length', 'gt', 1), 'when.attr: `approvals.length` names no fact'],
  ['an unknown operator', leaf('context.x', 'matches', 'a+'), 'when.op: expected one of eq, ne'],
  ['a value where none belongs', leaf('context.x', 'exists', true), 'when.value: `exists` takes no value'],
  ['no value where one belongs', leaf('context.x', 'eq'), 'when: `eq` needs a value'],
  ['text in an order', leaf('context.x', 'gt', 'high'), 'when.value: expected a number, found `high`'],
  ['a word off the scale', leaf('context.severity', 'gte', 'sev1'), 'when.value: expected one of info, low, medium, high, critical'],
  ['a range upside down', leaf('context.severity', 'between', ['high', 'low']), 'when.value: the lowest comes first'],
  ['a list of mixed types', leaf('context.x', 'in', ['a', 1]), 'when.value: mixes types'],
  ['an empty list', leaf('context.x', 'in', []), 'when.value: must name at least one'],
  ['a network that is none', leaf('context.ip', 'cidr', '10.0.0.0/33'), 'when.value: `10.0.0.0/33` is no network'],
  ['an unknown time zone', { when: { time: { zone: 'Mars/Olympus', windows: [{ allDay: true }] } } }, 'when.time.zone: unknown time zone `Mars/Olympus`'],
  ['an offset for a zone', { when: { time: { zone: '+01:00', windows: [{ allDay: true }] } } }, 'when.time.zone: unknown time zone `+01:00`'],
  ['a window of no length', { when: { time: { zone: 'UTC', windows: [{ from: '09:00', to: '09:00' }] } } }, 'when.time.windows[0]: `from` equals `to`'],
  ['a time of day that is none', { when: { time: { zone: 'UTC', windows: [{ from: '9:00', to: '25:00' }] } } }, 'when.time.windows[0].from: `9:00` is no time of day'],
  ['a span that ends before it begins', { when: { time: { zone: 'UTC', from: '2026-12-27T00:00', to: '2026-12-24T00:00' } } }, 'when.time: `from` must be before `to`'],
  ['conditions too deep', { when: nested(6) }, 'when.not.not.not.not.not.not: nested deeper than 6'],
  ['too many conditions', { when: { all: Array.from({ length: 64 }, () => nested(0)) } }, 'when.all[63]: more than 64 conditions in one policy'],
  ['too many globs', { actions: Array.from({ length: 64 }, () => 'pod:restart') }, 'resources[0]: more than 64 globs in one policy'],
  ['a list too long', leaf('context.x', 'in', Array.from({ length: 257 }, () => 'a')), 'when.value: more than 256 entries'],
  ['an allow that asks people', { obligations: { minApprovals: 1 } }, 'obligations.minApprovals: only `effect: require_approval` asks people'],
  ['a deny that obliges', { effect: 'deny', obligations: { notify: ['x'] } }, 'obligations: a deny obliges nobody'],
  ['an unknown obligation', { obligations: { reboot: true } }, 'obligations.reboot: unknown field `reboot`'],
  ['a duration without a unit', { obligations: { ttl: '15' } }, 'obligations.ttl: `15` is no duration'],
  ['more than all of it', { obligations: { maxPercent: 101 } }, 'obligations.maxPercent: expected a percentage'],
  ['a day that does not exist', { validity: { notAfter: '2026-02-30T00:00:00Z' } }, 'validity.notAfter: `2026-02-30T00:00:00Z` is no instant'],
  ['validity upside down', { validity: { notBefore: '2027-01-01T00:00:00Z', notAfter: '2026-01-01T00:00:00Z' } }, 'validity: `notBefore` must be before `notAfter`'],
  ['a label that reaches a prototype', { labels: JSON.parse('{"__proto__": "x"}') as object }, 'labels.__proto__: `__proto__` cannot be a label'],
  ['a document too large', { labels: Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, 'x'.repeat(200)])) }, 'document: larger than 32768 bytes'],
  ['a document too large in bytes, though not in characters', { labels: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, '€'.repeat(200)])) }, 'document: larger than 32768 bytes'],
])('refused, and the place is named: %s', (_name, change, expected) => {
  expect(complaints(change)).toEqual(expect.arrayContaining([expect.stringContaining(expected)]))
})

test('every problem is reported at once, up to a bound', () => {
  expect(complaints({ effect: 'permit', actions: ['x'], priority: 'high' })).toHaveLength(3)
  expect(parse(Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, 1]))).problems).toHaveLength(50)
})

test('nothing makes the parser throw', () => {
  const keys = fc.constantFrom('apiVersion', 'when', 'unless', 'all', 'any', 'not', 'attr', 'op', 'value', 'time', 'zone', 'windows', 'obligations', 'validity', 'labels', '__proto__', 'x')
  const junk = fc.letrec((tie) => ({
    node: fc.oneof({ maxDepth: 5 }, fc.anything(), fc.dictionary(keys, tie('node')), fc.array(tie('node'), { maxLength: 4 })),
  })).node
  fc.assert(
    fc.property(junk, fc.dictionary(keys, junk), (value, change) => {
      expect(() => parse(value)).not.toThrow()
      expect(() => parse({ ...least, ...change })).not.toThrow()
    }),
    { numRuns: 500 },
  )
  const endless: Record<string, unknown> = {}
  endless['self'] = endless
  expect(parse(endless).problems).toHaveLength(1)
})
