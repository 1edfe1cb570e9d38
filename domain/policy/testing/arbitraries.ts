import fc from 'fast-check'
import { zoneExists } from '../../../adapters/policies/zones.ts'
import { days, effects, type Effect, type PolicyDocument } from '../document.ts'
import type { PolicyInput } from '../input.ts'
import { parsePolicy } from '../parse.ts'

/** What policies and requests are made of: few words, so that they often meet. */

export const severity = fc.constantFrom('info', 'low', 'medium', 'high', 'critical')
export const word = fc.constantFrom('a', 'b', 'c')
export const small = fc.integer({ min: 0, max: 6 })
const leafOf = (attr: string, op: string, value?: fc.Arbitrary<unknown>) =>
  (value ?? fc.constant(undefined)).map((given) => ({ attr, op, ...(given === undefined ? {} : { value: given }) }))
export const list = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 3 })
const pair = fc.tuple(small, small).map(([a, b]) => [Math.min(a, b), Math.max(a, b)])

const hour = fc.integer({ min: 0, max: 23 }).map((h) => `${String(h).padStart(2, '0')}:00`)
const window = fc
  .record({ days: fc.uniqueArray(fc.constantFrom(...days), { minLength: 1 }), from: hour, to: hour })
  .filter(({ from, to }) => from !== to)
export const zones = ['Europe/Berlin', 'UTC', 'America/New_York']
const time = fc.record({ time: fc.record({ zone: fc.constantFrom(...zones), windows: list(window) }) })

const glob = leafOf('context.word', 'glob', fc.constantFrom('a*', '*b', '*', 'a/**'))
const severityText = fc.oneof(...['prefix', 'suffix', 'contains', 'glob'].map((op) => leafOf('context.severity', op, severity)))
const plainLeaf: fc.Arbitrary<unknown> = fc.oneof(
  ...['eq', 'ne', 'gt', 'gte', 'lt', 'lte'].map((op) => leafOf('context.severity', op, severity)),
  ...['in', 'nin'].map((op) => leafOf('context.severity', op, list(severity))),
  ...['gt', 'gte', 'lt', 'lte', 'eq', 'ne'].map((op) => leafOf('request.replicas', op, small)),
  ...['in', 'nin'].map((op) => leafOf('request.replicas', op, list(small))),
  leafOf('request.replicas', 'between', pair),
  ...['eq', 'prefix', 'suffix', 'contains'].map((op) => leafOf('context.word', op, word)),
  ...['containsAny', 'containsAll', 'subsetOf'].map((op) => leafOf('context.tags', op, list(word))),
  leafOf('context.tags', 'contains', word),
  time,
)
/** Leaves whose answer is unknown when their attribute is missing. */
export const monotoneLeaf = fc.oneof({ weight: 24, arbitrary: plainLeaf }, glob, severityText)
export const anyLeaf = fc.oneof(monotoneLeaf, ...['exists', 'absent'].flatMap((op) => ['context.severity', 'context.word'].map((attr) => leafOf(attr, op))))

export const tree = (leaf: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
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

export const newYear = Date.UTC(2026, 0, 1)
export const dayMs = 86_400_000
const instant = fc.integer({ min: 0, max: 365 * 24 }).map((h) => new Date(newYear + h * 3_600_000).toISOString())

const span = fc.tuple(instant, instant).filter(([a, b]) => a !== b).map((both) => both.toSorted()).map(([notBefore, notAfter]) => ({ notBefore, notAfter }))

export const documentWith = (leaf: fc.Arbitrary<unknown>, effect?: Effect): fc.Arbitrary<Record<string, unknown>> =>
  (effect ? fc.constant(effect) : fc.constantFrom(...effects)).chain((chosen) =>
    fc.record(
      {
        apiVersion: fc.constant('aegis.dev/policy/v1'),
        effect: fc.constant(chosen),
        actions: list(fc.constantFrom('pod:restart', 'deployment:scale', 'deployment:*', '*:scale', '*', 'restart_pod')),
        resources: list(fc.constantFrom('k8s:**', 'k8s:prod/**', 'k8s:*/shop/**', 'k8s:prod/shop/deployment/web', 'k8s:*/sh*/deployment/*', 'k8s:prod/**/web', '**', 'api:/api/v1/**', 'api:/api/*/policy')),
        when: tree(leaf),
        unless: tree(leaf),
        obligations: obligations(chosen),
        priority: fc.integer({ min: 0, max: 3 }),
        type: list(fc.constantFrom('self_healing', 'api_access')),
        validity: fc.oneof({ weight: 4, arbitrary: fc.constant({}) }, fc.record({ notAfter: instant }), fc.record({ notBefore: instant }), span),
        message: fc.constant('because'),
        ...(chosen === 'deny' ? {} : { mode: fc.constantFrom('observe', 'suggest', 'approve', 'auto') }),
      },
      { requiredKeys: ['apiVersion', 'effect', 'actions', 'resources'] },
    ),
  )

export function read(value: Record<string, unknown>, id: string): PolicyDocument {
  const { policy, problems } = parsePolicy({ ...value, id }, { zoneExists })
  if (!policy) throw new Error(JSON.stringify(problems))
  return policy
}
export const policiesOf = (leaf: fc.Arbitrary<unknown>) => fc.array(documentWith(leaf), { maxLength: 8 }).map((all) => all.map((one, at) => read(one, `p${at}`)))
export const policies = policiesOf(anyLeaf)
export const monotonePolicies = policiesOf(monotoneLeaf)
export const extra = (effect: Effect) => documentWith(anyLeaf, effect).map((one) => read(one, 'extra'))

export const input: fc.Arbitrary<PolicyInput> = fc.record({
  principal: fc.constant({ id: 'watcher', kind: 'service' as const, owner: 'ann', roles: ['service' as const] }),
  action: fc.constantFrom('pod:restart', 'deployment:scale', 'deployment:rollback'),
  resource: fc.constantFrom('k8s:prod/shop/deployment/web', 'k8s:test/shop/deployment/web', 'k8s:prod/blog/pod/web', 'api:/api/v1/policy'),
  type: fc.constantFrom('self_healing' as const, 'api_access' as const),
  context: fc.record(
    { severity: fc.oneof({ weight: 5, arbitrary: severity }, fc.constantFrom('odd', 3, null)), word: fc.oneof(fc.constantFrom('a', 'ab', 'a/b', 'cab'), small), tags: fc.array(word, { maxLength: 3 }) },
    { requiredKeys: [] },
  ),
  request: fc.record({ replicas: fc.oneof({ weight: 5, arbitrary: small }, fc.constant('many')), percentOfReady: small }, { requiredKeys: [] }),
  target: fc.constant({}),
  history: fc.record({ sinceLastActionMs: fc.oneof(fc.constant(null), fc.constantFrom(0, 29_999, 30_000, 299_999, 300_000)) }, { requiredKeys: [] }),
  approvals: fc.constant([]),
  now: fc.integer({ min: 0, max: 365 * 1440 }).map((minute) => newYear + minute * 60_000),
  tzdata: fc.constant('test'),
})

const approval = (now: number): fc.Arbitrary<PolicyInput['approvals'][number]> => fc.record({
  principalId: fc.constantFrom('watcher', 'bob', 'cat', 'dan'),
  owner: fc.constantFrom('ann', 'bob', 'cat', 'dan'),
  roles: fc.uniqueArray(fc.constantFrom('admin' as const, 'approver' as const, 'user' as const), { minLength: 1 }),
  groups: fc.uniqueArray(word),
  at: fc.constantFrom(-1, 0, 1, 4, 5, 6).map((minutes) => now - minutes * 60_000),
  breakGlass: fc.boolean(),
}, { requiredKeys: ['principalId', 'owner', 'roles', 'groups', 'at'] })
/** With answers of people, who may be the asker, may lack the role, may come too late or from the future, or by the emergency door. */
export const approvedInput: fc.Arbitrary<PolicyInput> = input.chain((request) => fc.array(approval(request.now), { maxLength: 5 }).map((approvals) => ({ ...request, approvals })))

/** A leaf that Cedar can ask too, and a request that lacks nothing but what only `exists` and `absent` ask for. */
export const cedarLeaf = fc.oneof({ weight: 12, arbitrary: plainLeaf }, ...['exists', 'absent'].map((op) => leafOf('context.note', op)))
export const completeInput: fc.Arbitrary<PolicyInput> = fc
  .record({
    base: input,
    context: fc.record(
      { severity, word: fc.constantFrom('a', 'ab', 'a/b', 'cab'), tags: fc.array(word, { maxLength: 3 }), note: word },
      { requiredKeys: ['severity', 'word', 'tags'] },
    ),
    replicas: small,
  })
  .map(({ base, context, replicas }) => ({ ...base, context, request: { replicas } }))
