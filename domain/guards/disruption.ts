import type { Health, Plan, WorkloadTerms } from '../plan.ts'

/** Ready pods that may be disrupted within `windowMs`, in percent of those there are. */
export type DisruptionRules = { workloadPercent: number; namespacePercent: number; windowMs: number }

/** A percent budget made absolute for one plan: `amount` of it is asked for, and at most `limit` may be taken in any window. */
export type Budget = { name: string; scope: 'workload' | 'namespace'; amount: number; limit: number; windowMs: number }

/**
 * How many ready pods the act takes down. A pod that is not ready serves nobody: replacing it costs none. Scaling down
 * ends unready pods first. A rollback keeps as many pods available as its rollout must, so it costs what is ready
 * beyond those; with a strategy that is not known, or ends all before it starts any, it costs every ready pod.
 * The undo costs none: it puts back what stood before, and holding it up would hold the harm.
 */
export function readyPodsTaken(plan: Plan, { ready, desired }: Pick<Health, 'ready' | 'desired'>, { maxUnavailable }: Pick<WorkloadTerms, 'maxUnavailable'>): number {
  switch (plan.action) {
    case 'restart_pod':
      return plan.podReady ? 1 : 0
    case 'scale_deployment':
      return plan.replicas.to < plan.replicas.from ? Math.max(0, ready - plan.replicas.to) : 0
    case 'rollback_deployment':
      return maxUnavailable === null ? ready : Math.max(0, ready - Math.max(0, desired - maxUnavailable))
  }
}

/**
 * A share rounds down, but never to none: where there are few pods nothing could ever be restarted otherwise, neither
 * in a workload of fewer than five nor in a namespace of fewer than ten.
 */
export const shareOf = (percent: number, pods: number): number => Math.max(1, Math.floor((percent * pods) / 100))

/** None for an act that takes nothing down. `readyInNamespace` counts the namespace's ready pods, the workload's among them. */
export function disruptionBudgets(taken: number, ready: number, readyInNamespace: number, rules: DisruptionRules): Budget[] {
  if (taken === 0) return []
  const { workloadPercent, namespacePercent, windowMs } = rules
  const budget = (scope: Budget['scope'], percent: number, pods: number): Budget => ({
    name: `${percent} % of the ${scope}'s ${pods} ready pods`, scope, amount: taken, limit: shareOf(percent, pods), windowMs,
  })
  return [budget('workload', workloadPercent, ready), budget('namespace', namespacePercent, Math.max(ready, readyInNamespace))]
}
