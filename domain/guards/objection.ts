/** Why an action has to wait, whatever policy says. Each is a reason code; `message` has the figures and what to do. */
export type GuardName =
  | 'majority_unhealthy' // too many workloads fail at once for a local fault
  | 'cluster_unreadable' // what the guards go by could not be seen
  | 'after_rollout'
  | 'after_action'
  | 'breaker_open'

export type Objection = { guard: GuardName; message: string }
