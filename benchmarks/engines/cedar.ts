import { preparsePolicySet, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs'
import type { Loaded } from './engine.ts'
import { nextDays, verbs, type Policy, type Request, type Window } from './workload.ts'

type Call = Parameters<typeof statefulIsAuthorized>[0]

let sets = 0

/** Attributes go into the context, which is the cheapest to hand over. */
export function load(policies: readonly Policy[]): Loaded<Call> {
  const preparsedPolicySetId = `set-${(sets += 1)}`
  const parsed = preparsePolicySet(preparsedPolicySetId, { staticPolicies: Object.fromEntries(policies.map((policy) => [policy.id, cedarText(policy)])) })
  if (parsed.type !== 'success') throw new Error(parsed.errors.map(({ message }) => message).join('; '))
  return {
    prepare: ({ action, ...facts }: Request) => ({
      principal: { type: 'Principal', id: 'watcher' },
      action: { type: 'Action', id: action },
      resource: { type: 'Workload', id: facts.name },
      context: facts,
      entities: [],
      preparsedPolicySetId,
    }),
    decide(call) {
      const answer = statefulIsAuthorized(call)
      if (answer.type !== 'success') throw new Error(answer.errors.map(({ message }) => message).join('; '))
      const { decision, diagnostics } = answer.response
      if (diagnostics.errors.length > 0) throw new Error(diagnostics.errors[0]!.error.message)
      return diagnostics.reason.length === 0 ? 'none' : decision
    },
  }
}

function cedarText({ effect, actions, scope, severity, roles, window }: Policy): string {
  const parts = [
    ...Object.entries(scope).map(([name, value]) => `context.${name} == "${value}"`),
    `context.severity >= ${severity}`,
    `${JSON.stringify(roles)}.contains(context.role)`,
    windowText(window),
  ]
  return `${effect === 'allow' ? 'permit' : 'forbid'}(principal, ${actionScope(actions)}, resource) when { ${parts.join(' && ')} };`
}

function actionScope(actions: readonly string[]): string {
  if (actions.includes('*')) return 'action'
  const all = actions.flatMap((action) => (action.endsWith(':*') ? verbs.map((verb) => `${action.slice(0, -1)}${verb}`) : [action]))
  return all.length === 1 ? `action == Action::"${all[0]}"` : `action in [${all.map((action) => `Action::"${action}"`).join(', ')}]`
}

function windowText({ days, from, to }: Window): string {
  const within = (some: readonly number[]): string => `${JSON.stringify(some)}.contains(context.day)`
  const [starts, ends] = [`context.minute >= ${from}`, `context.minute < ${to}`]
  return to >= from ? `${starts} && ${ends} && ${within(days)}` : `((${starts} && ${within(days)}) || (${ends} && ${within(nextDays(days))}))`
}
