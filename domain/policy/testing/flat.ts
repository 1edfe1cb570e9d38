import fc from 'fast-check'
import type { Role } from '../../remediation.ts'
import type { PolicyInput } from '../input.ts'
import type { Wall } from '../time.ts'
import { list, newYear, severity, small, word } from './arbitraries.ts'

/** The flat shape as the tests draw it. */
export type FlatPolicy = { name: string; effect: 'allow' | 'deny'; actions: string[]; resources: string[]; conditions: Record<string, unknown>; priority?: number }

const roleName = fc.constantFrom<Role>('admin', 'user', 'approver', 'service')
const hour = fc.integer({ min: 0, max: 23 }).map((h) => `${String(h).padStart(2, '0')}:00`)
const dayName = fc.constantFrom('mon', 'Tuesday', 'wed', 'Thu', 'friday', 'sat', 'sun')
const span = fc.record({ start: hour, end: hour }).filter(({ start, end }) => start !== end)
const time = fc.oneof(
  span.map(({ start, end }) => `${start}-${end}`),
  fc.tuple(span, fc.record({ days: fc.uniqueArray(dayName, { minLength: 1 }), zone: fc.constantFrom('Europe/Berlin', 'America/New_York') }, { requiredKeys: [] })).map(([hours, rest]) => ({ ...hours, ...rest })),
)
const bounds = (value: fc.Arbitrary<unknown>) => fc.record({ gte: value, lt: value, ne: value }, { requiredKeys: [] }).filter((given) => Object.keys(given).length > 0)
const conditions = fc.record({
  role: fc.oneof(roleName, list(roleName)),
  time,
  severity: fc.oneof(severity, list(severity), bounds(severity)),
  team: fc.oneof(word, list(word), fc.record({ exists: fc.boolean() })),
  metadata: fc.record({ tries: fc.oneof(small, bounds(small)) }, { requiredKeys: [] }),
}, { requiredKeys: [] })

export const flatPolicy: fc.Arbitrary<FlatPolicy> = fc.record({
  name: fc.tuple(word, fc.constantFrom(' ', '-', '!'), fc.nat({ max: 2 })).map((parts) => parts.join('')),
  effect: fc.constantFrom('allow', 'deny'),
  actions: list(fc.constantFrom('restart_pod', 'scale_up', 'scale_down', 'scale_deployment', 'rollback_deployment', '*')),
  resources: list(fc.constantFrom('*', 'cluster:prod', 'cluster:test', 'pod:web', 'deployment:web', '/api/v1/users/456')),
  conditions,
  priority: small,
}, { requiredKeys: ['name', 'effect', 'actions', 'resources', 'conditions'] })

/** A request in the flat world's words. What is not in `facts` is missing. */
export type FlatRequest = { action: 'restart_pod' | 'scale_deployment' | 'rollback_deployment'; delta?: number; cluster: string; kind: string; name: string; roles: Role[]; facts: { severity?: string; team?: string; tries?: number }; now: number }

export const flatRequest: fc.Arbitrary<FlatRequest> = fc.record({
  action: fc.constantFrom('restart_pod', 'scale_deployment', 'rollback_deployment'),
  delta: fc.integer({ min: -2, max: 2 }),
  cluster: fc.constantFrom('prod', 'test'),
  kind: fc.constantFrom('pod', 'deployment', 'api'),
  name: fc.constantFrom('web', 'db'),
  roles: fc.array(roleName, { maxLength: 2 }),
  facts: fc.record({ severity, team: word, tries: small }, { requiredKeys: [] }),
  now: fc.integer({ min: 0, max: 365 * 1440 }).map((minute) => newYear + minute * 60_000),
}, { requiredKeys: ['action', 'cluster', 'kind', 'name', 'roles', 'facts', 'now'] })

export const inputOf = ({ action, delta, cluster, kind, name, roles, facts, now }: FlatRequest): PolicyInput => ({
  principal: { id: 'ann', kind: 'person', owner: 'ann', roles },
  action, type: 'self_healing',
  resource: kind === 'api' ? '/api/v1/users/456' : `k8s:${cluster}/shop/${kind}/${name}`,
  context: facts, request: delta === undefined ? {} : { deltaReplicas: delta }, target: {}, history: {}, approvals: [], now, tzdata: 'test',
})

/**
 * What flat policies mean, said once more and without the standard shape: all conditions must hold, a
 * deny wins, the default is deny, and what cannot be judged because a fact is missing restricts and
 * never permits. Answers with the names of the policies that decided.
 */
export function plainReading(policies: readonly FlatPolicy[], request: FlatRequest, wall: (zone: string) => Wall): { effect: 'allow' | 'deny'; determining: Set<string> } {
  const judged = policies.filter((one) => coversResource(one, request)).map((one) => ({ ...one, holds: holdsFor(one, request, wall) }))
  const named = (effect: string, ...truths: Holds[]) => new Set(judged.filter((one) => one.effect === effect && truths.includes(one.holds)).map(({ name }) => name))
  const denies = named('deny', true, 'missing')
  const allows = named('allow', true)
  if (denies.size > 0) return { effect: 'deny', determining: denies }
  return allows.size > 0 ? { effect: 'allow', determining: allows } : { effect: 'deny', determining: new Set() }
}

type Holds = boolean | 'missing'
const all = (parts: Holds[]): Holds => (parts.includes(false) ? false : parts.includes('missing') ? 'missing' : true)

const coversResource = ({ resources }: FlatPolicy, { cluster, kind, name }: FlatRequest): boolean =>
  resources.some((one) => one === '*' || (kind === 'api' ? one.startsWith('/') : one === `cluster:${cluster}` || one === `${kind}:${name}`))

function coversAction({ actions }: FlatPolicy, { action, delta }: FlatRequest): Holds {
  if (actions.includes(action) || actions.includes('*')) return true
  const [up, down] = [actions.includes('scale_up'), actions.includes('scale_down')]
  if (action !== 'scale_deployment' || (!up && !down)) return false
  return delta === undefined ? 'missing' : (up && delta > 0) || (down && delta < 0)
}

function holdsFor(policy: FlatPolicy, request: FlatRequest, wall: (zone: string) => Wall): Holds {
  const { role, time: hours, metadata = {}, ...facts } = policy.conditions
  const wanted = { ...facts, ...(metadata as object) }
  return all([
    coversAction(policy, request),
    role === undefined || request.roles.some((one) => [role].flat().includes(one)),
    hours === undefined || isOpen(hours as Hours, wall),
    ...Object.entries(wanted).map(([key, value]) => factHolds(request.facts[key as 'team'], value)),
  ])
}

type Hours = string | { start: string; end: string; days?: string[]; zone?: string }

/** Hours past midnight belong to the day they start on. */
function isOpen(given: Hours, wall: (zone: string) => Wall): boolean {
  const { start, end, days, zone = 'UTC' } = typeof given === 'string' ? { start: given.slice(0, 5), end: given.slice(6), days: undefined } : given
  const { weekday, minuteOfDay } = wall(zone)
  const minute = (text: string) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))
  const on = (day: number) => days === undefined || days.some((one) => one.slice(0, 3).toLowerCase() === ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][day % 7])
  if (minute(start) < minute(end)) return on(weekday) && minuteOfDay >= minute(start) && minuteOfDay < minute(end)
  return (on(weekday) && minuteOfDay >= minute(start)) || (on(weekday + 6) && minuteOfDay < minute(end))
}

const grades = ['info', 'low', 'medium', 'high', 'critical']
const size = (value: unknown): number => (typeof value === 'number' ? value : grades.indexOf(String(value)))

function factHolds(actual: unknown, wanted: unknown): Holds {
  if (typeof wanted !== 'object' || wanted === null || Array.isArray(wanted)) return actual === undefined ? 'missing' : [wanted].flat().includes(actual)
  return all(Object.entries(wanted).map(([op, value]): Holds => {
    if (op === 'exists') return (actual !== undefined) === value
    if (actual === undefined) return 'missing'
    return op === 'ne' ? actual !== value : op === 'gte' ? size(actual) >= size(value) : size(actual) < size(value)
  }))
}
