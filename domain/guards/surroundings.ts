import { classify } from '../faults.ts'
import type { Plan } from '../plan.ts'
import type { Door, WorkloadRef } from '../remediation.ts'
import type { WorkloadFacts } from '../watch/facts.ts'
import { isMajority } from '../watch/guards.ts'
import type { Objection } from './objection.ts'

/** Doors through which nobody asks who would look first. A person may; what a machine's key asks for is held by its policy and the limits. */
const automaticDoors: readonly Door[] = ['alert', 'watcher', 'detector', 'handoff', 'retry']
export const isAutomatic = (door: Door): boolean => automaticDoors.includes(door)

export type SurroundingRules = {
  /** At this share of failing workloads nothing acts by itself. 0 switches it off. */
  majorityPercent: number
  /** For this long after a rollout began nothing acts by itself, except to take that rollout back. 0 switches it off. */
  afterRolloutMs: number
}

/**
 * What the workloads around speak against: the first that does. `workloads` are those of the allowed namespaces, seen
 * at `nowMs`; nothing seen proves nothing, so it objects.
 */
export function objectionAround(plan: Plan, workloads: readonly WorkloadFacts[], nowMs: number, rules: SurroundingRules): Objection | null {
  return unseen(plan, workloads) ?? majority(workloads, nowMs, rules.majorityPercent) ?? afterRollout(plan, workloads, nowMs, rules.afterRolloutMs)
}

function unseen({ workload }: Plan, workloads: readonly WorkloadFacts[]): Objection | null {
  if (isKnownKind(workload) ? workloads.some(({ uid }) => uid === workload.uid) : workloads.length > 0) return null
  const message = `the look at ${workloads.length} workloads of the allowed namespaces did not show ${nameOf(workload)}: nothing acts by itself on what cannot be seen; check AEGIS_NAMESPACES and the decision worker's right to list workloads`
  return { guard: 'cluster_unreadable', message }
}

function majority(workloads: readonly WorkloadFacts[], nowMs: number, percent: number): Objection | null {
  const watched = workloads.filter(({ ignored, desired }) => !ignored && desired > 0)
  const failing = watched.filter((workload) => classify(workload, nowMs).length > 0)
  if (!isMajority(watched.length, failing.length, percent).stopped) return null
  const message = `${failing.length} of ${watched.length} workloads fail at once, and at ${percent} % or more (AEGIS_MAJORITY_STOP_PERCENT) nothing acts by itself: look for what they have in common; a person may act meanwhile`
  return { guard: 'majority_unhealthy', message }
}

/** A rollback goes back from the revision that runs, so the rollout it may follow closely is the one it takes back. */
function afterRollout({ action, workload }: Plan, workloads: readonly WorkloadFacts[], nowMs: number, quietMs: number): Objection | null {
  const startedAtMs = workloads.find(({ uid }) => uid === workload.uid)?.rollout.startedAtMs
  if (action === 'rollback_deployment' || startedAtMs === undefined) return null
  const sinceMs = nowMs - startedAtMs
  if (sinceMs >= quietMs) return null
  const message = `${nameOf(workload)} was rolled out ${seconds(sinceMs)} s ago and is left alone for ${seconds(quietMs)} s (AEGIS_AFTER_ROLLOUT_MS), unless to take that rollout back: wait, or let a person ask for it`
  return { guard: 'after_rollout', message }
}

/** Ready pods of what is watched in one namespace. */
export const readyPodsIn = (namespace: string, workloads: readonly WorkloadFacts[]): number =>
  workloads.filter((workload) => workload.namespace === namespace).reduce((sum, { pods }) => sum + pods.filter(({ ready, terminating }) => ready && !terminating).length, 0)

const kinds: readonly string[] = ['Deployment', 'StatefulSet', 'DaemonSet']
const isKnownKind = ({ kind }: WorkloadRef): boolean => kinds.includes(kind)
const nameOf = ({ kind, namespace, name }: WorkloadRef): string => `${kind} \`${namespace}/${name}\``
const seconds = (ms: number): number => Math.max(0, Math.round(ms / 1000))
