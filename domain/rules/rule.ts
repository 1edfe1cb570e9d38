import type { ActionName, FaultClass, Severity, Target } from '../remediation.ts'
import type { ParameterBounds } from './bounds.ts'

export const rulesApiVersion = 'aegis.dev/rules/v1'

/** Alert name and label values may hold `*`; every label named must be there. */
export type AlertMatch = { alert: string; labels: Record<string, string> }

/** With `afterRollout`, only faults that did, or did not, come with a recent rollout that can be taken back. */
export type FaultMatch = { fault: FaultClass; afterRollout?: boolean }

/** Which labels say where to look. They are hints from outside: the plan reads the object itself. */
export type TargetLabels = { kind: Target['kind']; clusterLabel: string; namespaceLabel: string; nameLabel: string }

/** A constant is `otherwise` with no label. */
export type SeveritySource = { label: string | null; values: Record<string, Severity>; otherwise: Severity }

export type Rule = {
  id: string
  match: AlertMatch | FaultMatch
  /** Null where a fault's own target is used. */
  target: TargetLabels | null
  action: ActionName
  /** For an alert: what API objects have to show as well. Null: its word is enough. */
  fault: FaultClass | null
  parameters: ParameterBounds
  severity: SeveritySource
  /** How long the signal must have held before anything is asked for. */
  dwellSeconds: number
}

/** The rules of one file, first match first. `version` is raised by whoever changes it. */
export type RuleFile = { apiVersion: typeof rulesApiVersion; version: number; rules: Rule[] }

/** A rule file with the digest of its content. */
export type RuleSet = { version: number; hash: string; rules: readonly Rule[] }

export type AlertSignal = {
  kind: 'alert'
  alert: string
  labels: Readonly<Record<string, string>>
  /** Where the alert is about when it names no cluster. */
  defaultCluster: string
  heldMs: number
}

/** A fault seen in API objects, with the objects it was seen on: the Deployment and, where one is to blame, the Pod. */
export type FaultSignal = { kind: 'fault'; fault: FaultClass; afterRollout: boolean; targets: readonly Target[]; heldMs: number }

export type RuleSignal = AlertSignal | FaultSignal
