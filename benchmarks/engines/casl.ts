/** The last rule that fits wins, so denies come last. A window past midnight is two rules: `$or` is not among CASL's operators. */
import { createMongoAbility, subject } from '@casl/ability'
import type { Loaded } from './engine.ts'
import { nextDays, verbs, type Policy, type Request, type Window } from './workload.ts'

type Prepared = { action: string; resource: Request }

export function load(policies: readonly Policy[]): Loaded<Prepared> {
  const ordered = [...policies.filter(({ effect }) => effect === 'allow'), ...policies.filter(({ effect }) => effect === 'deny')]
  const ability = createMongoAbility(ordered.flatMap(rulesOf))
  return {
    prepare: (request) => ({ action: request.action, resource: subject('Workload', { ...request }) }),
    decide({ action, resource }) {
      const rule = ability.relevantRuleFor(action, resource as never)
      return rule ? (rule.inverted ? 'deny' : 'allow') : 'none'
    },
  }
}

function rulesOf({ id, effect, actions, scope, roles, severity, window }: Policy) {
  return spansOf(window).map((span) => ({
    action: actions.flatMap(spelledOut),
    subject: 'Workload',
    inverted: effect === 'deny',
    reason: id,
    conditions: { ...scope, severity: { $gte: severity }, role: { $in: roles }, ...span },
  }))
}

const spelledOut = (action: string): string[] => {
  if (action === '*') return ['manage']
  return action.endsWith(':*') ? verbs.map((verb) => `${action.slice(0, -1)}${verb}`) : [action]
}

const spansOf = ({ days, from, to }: Window) =>
  to >= from
    ? [{ day: { $in: days }, minute: { $gte: from, $lt: to } }]
    : [{ day: { $in: days }, minute: { $gte: from } }, { day: { $in: nextDays(days) }, minute: { $lt: to } }]
