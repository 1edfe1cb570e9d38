/** The workload's rule as plainly as it can be said: what every engine is checked against, and a floor to measure from. */
import type { Loaded } from './engine.ts'
import { nextDays, type Outcome, type Policy, type Request, type Scope, type Window } from './workload.ts'

export function load(policies: readonly Policy[]): Loaded<Request> {
  const rules = policies.map((policy) => ({ policy, next: nextDays(policy.window.days) }))
  return {
    prepare: (request) => request,
    decide(request) {
      const matching = rules.filter(({ policy, next }) => applies(policy, next, request))
      return outcomeOf(matching.map(({ policy }) => policy))
    },
  }
}

export const outcomeOf = (matching: readonly Pick<Policy, 'effect'>[]): Outcome =>
  matching.some(({ effect }) => effect === 'deny') ? 'deny' : matching.length > 0 ? 'allow' : 'none'

const applies = ({ severity, roles, actions, scope, window }: Policy, next: readonly number[], request: Request): boolean =>
  request.severity >= severity && roles.includes(request.role) && covers(actions, request.action) && inScope(scope, request) && isOpen(window, next, request)

const covers = (patterns: readonly string[], action: string): boolean =>
  patterns.some((pattern) => pattern === '*' || pattern === action || (pattern.endsWith(':*') && action.startsWith(pattern.slice(0, -1))))

const inScope = ({ cluster, namespace, kind, name }: Scope, request: Request): boolean =>
  (cluster === undefined || cluster === request.cluster) &&
  (namespace === undefined || namespace === request.namespace) &&
  (kind === undefined || kind === request.kind) &&
  (name === undefined || name === request.name)

function isOpen({ days, from, to }: Window, next: readonly number[], { day, minute }: Request): boolean {
  if (to >= from) return days.includes(day) && minute >= from && minute < to
  return (days.includes(day) && minute >= from) || (next.includes(day) && minute < to)
}
