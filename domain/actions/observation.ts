import type { Health, ObservedLabels, RevisionPin, WorkloadTerms } from '../plan.ts'
import type { Target, WorkloadRef } from '../remediation.ts'
import type { Stamp } from '../stamp.ts'

/** What planning needs to know of a target, seen at one moment. Nothing of a template is in it but hashes. */
export type Observation = DeploymentObservation | PodObservation

type Common = {
  target: Target
  uid: string
  resourceVersion: string
  /** Top of the owner chain, the target itself when nothing owns it. */
  workload: WorkloadRef
  /** `aegis.dev/ignore: "true"` on the target, what owns it, or the namespace. */
  ignored: boolean
  labels: ObservedLabels
  terms: WorkloadTerms
  /** Of the target's workload; of the Deployment itself where that is the target. */
  health: Health
  stamps: Stamp[]
}

export type DeploymentObservation = Common & {
  kind: 'Deployment'
  generation: number
  observedGeneration: number
  replicas: number
  paused: boolean
  templateHash: string
  /** Kept old ReplicaSets; 0 means that there is nothing to go back to. */
  revisionHistoryLimit: number
  revisions: RevisionFacts[]
  /** Who else writes this object, such as a GitOps controller. */
  managers: Manager[]
}

/** The targets themselves, before anyone looks at pods and revisions. */
export type DeploymentSeen = Omit<DeploymentObservation, 'health' | 'revisions'>
export type PodSeen = Omit<PodObservation, 'health'>

/** One ReplicaSet of a Deployment, found by its owner's UID. */
export type RevisionFacts = RevisionPin & {
  replicas: number
  /** Its template is the Deployment's own. */
  current: boolean
  /** The template's hash without `restartedAt`: two that are equal run the same. */
  sourceHash: string
  wasAvailable: boolean
}

export type Manager = {
  is: 'argocd' | 'flux' | 'helm' | 'controller'
  /** The annotation, label, field manager or owner that shows it. */
  evidence: string
}

export type PodObservation = Common & {
  kind: 'Pod'
  terminating: boolean
  /** `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`. */
  phase: string
  ready: boolean
  /** Some controller would replace it. */
  controlled: boolean
  /** Run by a kubelet from a file: the API cannot restart it. */
  static: boolean
}
