import type { FaultClass, Target, WorkloadRef } from './remediation.ts'

/** A Deployment revision by the ReplicaSet that holds it: names and numbers are reused, UIDs are not. */
export type RevisionPin = { revision: number; replicaSet: string; replicaSetUid: string; templateHash: string }

/** The object a plan acts on, as it was judged. `generation` is null for pods. */
export type PinnedTarget = Target & { uid: string; generation: number | null }

type Common = {
  target: PinnedTarget
  /** Top of the owner chain; equals the target for a bare Deployment. */
  workload: WorkloadRef
}

/** Evict one pod. Nothing can bring that pod back, so there is no undo: verification decides. */
export type RestartPodPlan = Common & {
  action: 'restart_pod'
  /** Part of what was judged: percent budgets count ready pods only. */
  podReady: boolean
  undo: null
}

export type ScaleDeploymentPlan = Common & {
  action: 'scale_deployment'
  replicas: { from: number; to: number }
  templateHash: string
  undo: { replicas: { from: number; to: number } }
}

export type RollbackDeploymentPlan = Common & {
  action: 'rollback_deployment'
  replicas: number
  revision: { from: RevisionPin; to: RevisionPin }
  undo: { revision: { from: RevisionPin; to: RevisionPin } }
}

/**
 * One action with every value pinned, and its undo. The digest of the canonical form is what an
 * approval and a warrant name. It holds no resourceVersion, which moves with every status write,
 * and no template, which may hold secrets: revisions are pinned by UID and hash.
 */
export type Plan = RestartPodPlan | ScaleDeploymentPlan | RollbackDeploymentPlan

/** What the API server says of a workload's health, taken before acting and while verifying. */
export type Health = {
  desired: number
  updated: number
  ready: number
  available: number
  /** Pods of the workload in a failing state (crash loop, image pull, OOM, unready past its time). */
  failing: number
  restarts: number
  faults: FaultClass[]
}

/** What policies may ask for by label. */
export type ObservedLabels = {
  /** Of the target and of what owns it; the workload's own where both have one. */
  workload: Readonly<Record<string, string>>
  /** Null: this identity may not read namespaces. */
  namespace: Readonly<Record<string, string>> | null
}

/** What the workload's own strategy and annotations ask for. */
export type WorkloadTerms = {
  /** `aegis.dev/error-budget: exhausted` on the target or what owns it. */
  errorBudgetExhausted: boolean
  /** `aegis.dev/min-available: "3"`: so many pods have to stay ready; the highest of the target's and its owners'. Null: none. */
  minAvailable: number | null
  /** Pods that a rollout may take down at once; all of them where it ends them first. Null: not a Deployment. */
  maxUnavailable: number | null
}

/** A reason not to act, found while planning or in preflight. The run ends with this outcome. */
export type Refusal = {
  outcome: 'no_action_needed' | 'blocked' | 'overtaken' | 'frozen'
  reason: string
  message: string
}

export type CheckResult = {
  /** Stable name: `pdb`, `hpa`, `quota`, `owner`, `rbac`, `dry_run`, … */
  name: string
  status: 'pass' | 'fail' | 'warn'
  message: string
}

/** What a person sees before approving. Values of environment variables are keyed digests. */
export type PreflightCard = {
  checks: CheckResult[]
  diff: { path: string; before: string | null; after: string | null }[]
  undo: 'planned' | 'none'
}
