import { Engine, type NestedCondition } from 'json-rules-engine'
import type { Loaded } from './engine.ts'
import { outcomeOf } from './reference.ts'
import { nextDays, type Policy, type Request, type Scope, type Window } from './workload.ts'

export function load(policies: readonly Policy[]): Loaded<Record<string, unknown>> {
  const engine = new Engine(policies.map((policy) => ({ name: policy.id, conditions: { all: conditionsOf(policy) }, event: { type: policy.effect } })))
  return {
    prepare: (request: Request) => ({ ...request, actionKind: request.action.split(':')[0] }),
    async decide(facts) {
      const { events } = await engine.run(facts)
      return outcomeOf(events.map(({ type }) => ({ effect: type as Policy['effect'] })))
    },
  }
}

const leaf = (fact: string, operator: string, value: unknown): NestedCondition => ({ fact, operator, value })

const conditionsOf = ({ actions, scope, severity, roles, window }: Policy): NestedCondition[] => [
  ...actionConditions(actions),
  ...scopeConditions(scope),
  leaf('severity', 'greaterThanInclusive', severity),
  leaf('role', 'in', roles),
  ...windowConditions(window),
]

/** Either one wildcard or up to two plain actions. */
function actionConditions(actions: readonly string[]): NestedCondition[] {
  const [first = ''] = actions
  if (first === '*') return []
  return [first.endsWith(':*') ? leaf('actionKind', 'equal', first.slice(0, -2)) : leaf('action', 'in', actions)]
}

const scopeConditions = (scope: Scope): NestedCondition[] => Object.entries(scope).map(([name, value]) => leaf(name, 'equal', value))

function windowConditions({ days, from, to }: Window): NestedCondition[] {
  const [starts, ends] = [leaf('minute', 'greaterThanInclusive', from), leaf('minute', 'lessThan', to)]
  if (to >= from) return [starts, ends, leaf('day', 'in', days)]
  return [{ any: [{ all: [starts, leaf('day', 'in', days)] }, { all: [ends, leaf('day', 'in', nextDays(days))] }] }]
}
