/** The words of a remediation, shared by every room. Plain data: all of it survives JSON. */
import type { ParameterBounds } from './rules/bounds.ts'

export const actionNames = ['restart_pod', 'scale_deployment', 'rollback_deployment'] as const
export type ActionName = (typeof actionNames)[number]

/** What policies see for each stored action name. */
export const policyAction: Record<ActionName, string> = {
  restart_pod: 'pod:restart',
  scale_deployment: 'deployment:scale',
  rollback_deployment: 'deployment:rollback',
}

/** The kind each action works on. */
export const targetKind: Record<ActionName, Target['kind']> = {
  restart_pod: 'Pod',
  scale_deployment: 'Deployment',
  rollback_deployment: 'Deployment',
}

export type Target = { cluster: string; namespace: string; kind: 'Pod' | 'Deployment'; name: string }

/** The top of the owner chain: what a claim is held on, so that two pods of one Deployment queue up. */
export type WorkloadRef = { cluster: string; namespace: string; kind: string; name: string; uid: string }

export const severities = ['info', 'low', 'medium', 'high', 'critical'] as const
export type Severity = (typeof severities)[number]

/**
 * `replicas` is absolute; `scale`, from a rule, is a step that the plan turns into an absolute number.
 * `revision` absent on a rollback means: let the plan choose and pin it.
 */
export type ActionParameters = { replicas?: number; revision?: number } & ParameterBounds

export const doors = ['api', 'executor', 'alert', 'watcher', 'detector', 'handoff', 'retry'] as const
export type Door = (typeof doors)[number]

export const roles = ['admin', 'user', 'approver', 'auditor', 'service'] as const
export type Role = (typeof roles)[number]

/** Where a role holds. Null: in every cluster, in every namespace. */
export type Binding = { role: Role; cluster: string | null; namespace: string | null }

/**
 * Who asks or answers. `owner` is the person behind a key or service: four-eyes compares owners. `roles` are the
 * distinct ones of `bindings`. Rows of before have no bindings (their roles hold everywhere) and no groups.
 */
export type Principal = { id: string; kind: 'person' | 'service' | 'key'; owner: string; roles: Role[]; bindings?: readonly Binding[]; groups?: readonly string[] }

/** What API objects can prove about a workload. Detection adds more; an anomaly alone never acts. */
export const faultClasses = [
  'stuck_rollout',
  'crash_loop',
  'image_pull',
  'oom_killed',
  'never_ready',
  'stuck_pod',
] as const
export type FaultClass = (typeof faultClasses)[number]

/** The accepted row. Its id is the remediation id and the workflow id. Times are ISO 8601, UTC. */
export type RemediationRequest = {
  id: string
  door: Door
  principal: Principal
  action: ActionName
  target: Target
  parameters: ActionParameters
  reason: string
  severity: Severity
  /** Set when a detector or an alert rule named the fault; the fault must still hold to act on it. */
  fault: FaultClass | null
  /** One incident, many signals: the same key is one run at a time. Null for people's requests. */
  incident: IncidentKey | null
  /** 1 for the first try; a retry while the alert fires on is numbered and backs off. */
  attempt: number
  acceptedAt: string
  /** Waiting, retrying and queueing end here with `blocked`, `unanswered` or `limited`. */
  deadlineAt: string
}

/** `startsAt` keeps a new firing of the same alert apart from the old one. */
export type IncidentKey = { fingerprint: string; startsAt: string }

export const outcomes = [
  'healed',
  'no_action_needed',
  'observed',
  'suggested',
  'denied',
  'declined',
  'unanswered',
  'cancelled',
  'limited',
  'frozen',
  'blocked',
  'overtaken',
  'coalesced',
  'undone',
  'needs_human',
] as const
export type Outcome = (typeof outcomes)[number]

export const verdicts = ['better', 'same', 'worse', 'unknown'] as const
export type Verdict = (typeof verdicts)[number]

/** How a remediation ended. `reason` is a stable code; `message` is one sentence for people. */
export type Ending = { outcome: Outcome; reason: string; message: string; verdict: Verdict | null }

/** Where a remediation stands, in lists and in the search attribute `AegisPhase`. */
export const phases = [
  'accepted',
  'planning',
  'awaiting_approval',
  'waiting_turn',
  'acting',
  'verifying',
  'undoing',
  'closed',
] as const
export type Phase = (typeof phases)[number]

/** The two mutations a remediation may make; an intent and a warrant each belong to one of them. */
export type EffectPhase = 'act' | 'undo'

export const modes = ['observe', 'suggest', 'approve', 'auto'] as const
/** Autonomy, weakest first. The strictest of global, namespace and policy mode holds. */
export type Mode = (typeof modes)[number]

export const strictestMode = (...given: Mode[]): Mode =>
  given.reduce((a, b) => (modes.indexOf(b) < modes.indexOf(a) ? b : a), 'auto' as Mode)
