/** Deny overrides. Its rules are text, so each pattern, list and window is read once and kept. */
import { newEnforcer, newModelFromString } from 'casbin'
import type { Loaded } from './engine.ts'
import { nextDays, type Policy, type Request } from './workload.ts'

const model = `
[request_definition]
r = act, obj, role, sev, day, minute

[policy_definition]
p = act, obj, roles, sev, window, eft

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = covers(r.act, p.act) && within(r.obj, p.obj) && reaches(r.sev, p.sev) && holds(r.role, p.roles) && open(r.day, r.minute, p.window)
`

export async function load(policies: readonly Policy[]): Promise<Loaded<readonly unknown[]>> {
  const enforcer = await newEnforcer(newModelFromString(model))
  for (const [name, test] of Object.entries(matchers)) await enforcer.addFunction(name, test)
  await enforcer.addPolicies(policies.map(ruleOf))
  return {
    prepare: ({ action, cluster, namespace, kind, name, role, severity, day, minute }: Request) =>
      [action, `${cluster}/${namespace}/${kind}/${name}`, role, severity, day, minute],
    decide(request) {
      const [allowed, rule] = enforcer.enforceExSync(...request)
      return allowed ? 'allow' : rule.length > 0 ? 'deny' : 'none'
    },
  }
}

/** The id is not part of a rule, so two policies that say the same are one. */
function ruleOf({ effect, actions, scope, roles, severity, window }: Policy): string[] {
  const { cluster = '*', namespace = '*', kind = '*', name = '*' } = scope
  return [actions.join('|'), `${cluster}/${namespace}/${kind}/${name}`, roles.join('|'), `${severity}`, `${window.days.join('|')} ${window.from} ${window.to}`, effect]
}

function readOnce<T>(read: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    let value = known.get(text)
    if (value === undefined) known.set(text, (value = read(text)))
    return value
  }
}

const actionTest = readOnce((text) => {
  const patterns = text.split('|')
  const [whole, kinds] = [new Set(patterns), patterns.filter((pattern) => pattern.endsWith(':*')).map((pattern) => pattern.slice(0, -1))]
  return (action: string) => whole.has('*') || whole.has(action) || kinds.some((kind) => action.startsWith(kind))
})
const segments = readOnce((text) => text.split('/'))
const scopeTest = readOnce((text) => {
  const wanted = text.split('/')
  return (given: readonly string[]) => wanted.every((segment, at) => segment === '*' || segment === given[at])
})
const words = readOnce((text) => new Set(text.split('|')))
const windowTest = readOnce((text) => {
  const [on = '', from, to] = text.split(' ')
  const days = on.split('|').map(Number)
  const [start, end, today, next] = [Number(from), Number(to), new Set(days), new Set(nextDays(days))]
  if (end >= start) return (day: number, minute: number) => minute >= start && minute < end && today.has(day)
  return (day: number, minute: number) => (minute >= start && today.has(day)) || (minute < end && next.has(day))
})

const matchers = {
  covers: (action: string, pattern: string) => actionTest(pattern)(action),
  within: (object: string, pattern: string) => scopeTest(pattern)(segments(object)),
  reaches: (severity: number, least: string) => severity >= Number(least),
  holds: (role: string, roles: string) => words(roles).has(role),
  open: (day: number, minute: number, text: string) => windowTest(text)(day, minute),
}
