import type { Health } from './plan.ts'

/** How far the newest rollout is, by the rules of `kubectl rollout status`. */
export type RolloutState =
  | 'complete' // every pod is of the newest revision and available
  | 'progressing' // or the controller has not looked at the newest generation yet
  | 'exceeded' // it gave up: ProgressDeadlineExceeded
  | 'missing' // there is no such workload any more

/** One look at a workload while a change settles. */
export type Settled = {
  health: Health
  rollout: RolloutState
  /** Whether the pod a restart acted on is gone (its UID, not its name). Null for plans that act on no pod. */
  podGone: boolean | null
}

/** What a Deployment's status says of its rollout. Counts that the API leaves out are 0. */
export type RolloutCounts = {
  generation: number
  observedGeneration: number
  desired: number
  updated: number
  /** Pods of all revisions. */
  total: number
  available: number
  deadlineExceeded: boolean
}

/** Generation first: right after a write all counts still describe the state before it. */
export function rolloutState(counts: RolloutCounts): RolloutState {
  const { generation, observedGeneration, desired, updated, total, available } = counts
  if (observedGeneration < generation) return 'progressing'
  if (counts.deadlineExceeded) return 'exceeded'
  return updated >= desired && total <= updated && available >= updated ? 'complete' : 'progressing'
}

/** A workload nobody can see any more. */
export const noHealth: Health = { desired: 0, updated: 0, ready: 0, available: 0, failing: 0, restarts: 0, faults: [] }
