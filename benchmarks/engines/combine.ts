import type { Load, Loaded } from './engine.ts'
import { outcomeOf } from './reference.ts'
import { actions, type Policy, type Request } from './workload.ts'

/**
 * For libraries that answer one expression and know no policies: each is asked, all that match are collected, a deny wins.
 * `prepare` makes the facts, `compile` a test of them.
 */
export function oneByOne<Facts>(prepare: (request: Request) => Facts, compile: (policy: Policy) => (facts: Facts) => boolean): Load {
  const compiled = new Map<Policy, (facts: Facts) => boolean>()
  const compiledOnce = (policy: Policy) => {
    const test = compiled.get(policy) ?? compile(policy)
    compiled.set(policy, test)
    return test
  }
  return (policies): Loaded<Facts> => {
    const rules = policies.map((policy) => ({ effect: policy.effect, id: policy.id, test: compiledOnce(policy) }))
    return { prepare, decide: (facts) => outcomeOf(rules.filter(({ test }) => test(facts))) }
  }
}

/** One set of policies for each action, as Aegis has it: what an engine does once it is not asked about policies for other actions. */
export const behindActionIndex = (load: Load): Load => async (policies) => {
  // Within its set a policy need not ask for the action again.
  const stripped = policies.map((policy) => ({ covers: (action: string) => policy.actions.some((pattern) => fits(pattern, action)), policy: { ...policy, actions: ['*'] } }))
  const sets = new Map<string, Loaded>()
  for (const action of actions) sets.set(action, await load(stripped.filter(({ covers }) => covers(action)).map(({ policy }) => policy)))
  const indexed: Loaded<{ action: string; prepared: unknown }> = {
    prepare: (request) => ({ action: request.action, prepared: sets.get(request.action)!.prepare(request) }),
    decide: ({ action, prepared }) => sets.get(action)!.decide(prepared),
  }
  return indexed as Loaded
}

const fits = (pattern: string, action: string): boolean => pattern === '*' || pattern === action || (pattern.endsWith(':*') && action.startsWith(pattern.slice(0, -1)))
