import type { StoredPlan } from '../adapters/postgres/plans.ts'
import { Failure } from '../domain/failure.ts'
import { disruptionBudgets, readyPodsTaken, type Budget } from '../domain/guards/disruption.ts'
import type { Objection } from '../domain/guards/objection.ts'
import { isAutomatic, objectionAround, readyPodsIn } from '../domain/guards/surroundings.ts'
import { namespaceAllowed } from '../domain/namespaces.ts'
import type { RemediationRequest } from '../domain/remediation.ts'
import type { WorkloadFacts } from '../domain/watch/facts.ts'
import type { DecisionDeps } from './deps.ts'

export type Surroundings = { budgets: Budget[]; objection: Objection | null; afterActionMs: number }

/**
 * What the decision side sees of the cluster just before it reserves: the percent budgets of this plan, and what speaks
 * against acting at all. A cluster that does not answer is asked again, as by every other step; nothing is reserved
 * meanwhile. One that may not be read refuses.
 */
export async function lookAround(deps: Pick<DecisionDeps, 'clusters' | 'settings'>, { target, door }: RemediationRequest, { plan, baseline, terms }: StoredPlan): Promise<Surroundings> {
  const { guards } = deps.settings
  const taken = readyPodsTaken(plan, baseline, terms ?? { maxUnavailable: null })
  const byItself = isAutomatic(door)
  const afterActionMs = byItself ? guards.afterActionMs : 0
  const looks = taken > 0 || (byItself && (guards.majorityPercent > 0 || guards.afterRolloutMs > 0))
  if (!looks) return { budgets: [], objection: null, afterActionMs }
  const crowd = await crowdOf(deps, target.cluster)
  if ('guard' in crowd) return { budgets: [], objection: crowd, afterActionMs }
  const objection = byItself ? objectionAround(plan, crowd.workloads, Date.now(), guards) : null
  return { budgets: disruptionBudgets(taken, baseline.ready, readyPodsIn(target.namespace, crowd.workloads), guards.disruption), objection, afterActionMs }
}

async function crowdOf({ clusters, settings }: Pick<DecisionDeps, 'clusters' | 'settings'>, cluster: string): Promise<{ workloads: WorkloadFacts[] } | Objection> {
  try {
    const all = await clusters(cluster).crowd()
    return { workloads: all.filter((workload) => namespaceAllowed(settings.namespaces, workload)) }
  } catch (failure) {
    if (!(failure instanceof Failure) || failure.kind === 'unavailable') throw failure
    return { guard: 'cluster_unreadable', message: `the workloads of cluster \`${cluster}\` cannot be listed (${failure.message}): nothing acts on what cannot be seen; give the decision worker the observer's rights` }
  }
}
