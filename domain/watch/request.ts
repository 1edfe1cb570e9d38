import { applyRule, type Matched, type Unmatched } from '../rules/apply.ts'
import type { RuleSet } from '../rules/rule.ts'
import type { Principal, Target } from '../remediation.ts'
import type { Incident } from './incident.ts'

/** What the watcher asks for. A rule's step stays relative until the plan reads the target. Policy, limits and people still have their say. */
export type Wanted = Omit<Matched, 'fault'> & { reason: string }

/** The watcher asks in its own name: whoever approves is never the one who asked. */
export const watcherPrincipal: Principal = { id: 'watcher', kind: 'service', owner: 'aegis-watcher', roles: ['service'] }

/** The one action the rules lead to, or why they lead to none. An incident has held long enough by the time it is one. */
export function wantedFor(rules: RuleSet, incident: Incident): Wanted | Unmatched {
  const { fault, afterRollout } = incident
  const matched = applyRule(rules, { kind: 'fault', fault, afterRollout, targets: targetsOf(incident), heldMs: Infinity })
  if ('unmatched' in matched) return matched
  const { action, target, parameters, severity, rule } = matched
  return { action, target, parameters, severity, rule, reason: reasonOf(incident) }
}

function targetsOf({ cluster, namespace, workload, pod }: Incident): Target[] {
  const at = (kind: Target['kind'], name: string): Target => ({ cluster, namespace, kind, name })
  return [...(workload.kind === 'Deployment' ? [at('Deployment', workload.name)] : []), ...(pod ? [at('Pod', pod.name)] : [])]
}

const reasonOf = ({ fault, workload, namespace, evidence }: Incident): string => `${fault}: ${workload.kind} ${namespace}/${workload.name}: ${evidence}`
