/**
 * What the objects of one workload say, in plain words. Times are epoch milliseconds by the clock of
 * the cluster that wrote them; null where the object does not tell.
 */
export type WorkloadFacts = {
  cluster: string
  namespace: string
  kind: 'Deployment' | 'StatefulSet' | 'DaemonSet'
  name: string
  uid: string
  /** `aegis.dev/ignore: "true"` on the workload or its namespace. */
  ignored: boolean
  desired: number
  rollout: RolloutFacts
  pods: readonly PodFacts[]
  /** When this was read, by the watcher's clock. An old view proves nothing. */
  readAtMs: number
}

export type RolloutFacts = {
  /** False while the controller has not looked at the newest generation: nothing else here is true yet. */
  observed: boolean
  paused: boolean
  complete: boolean
  /**
   * When it counts as stuck: the time the controller gave up on it, or, where a controller has no
   * deadline of its own, when one will have passed. Null: no such time.
   */
  stuckAtMs: number | null
  /** The newest revision, as pods name it. Null where pods cannot be told apart by revision. */
  revision: string | null
  /** The revision and its number: a revision that comes back is a new rollout. */
  revisionId: string
  startedAtMs: number
  /** An older revision runs something else and was seen available, so going back is possible. Told of unfinished and recent rollouts only. */
  hasEarlier: boolean
}

export type PodFacts = {
  name: string
  uid: string
  revision: string | null
  phase: string
  createdAtMs: number
  terminating: boolean
  ignored: boolean
  /** False when its node stopped reporting: then the node is the fault, not the pod. */
  onReadyNode: boolean
  ready: boolean
  unreadySinceMs: number | null
  /** It was ready before it became unready. */
  wasReady: boolean
  containers: readonly ContainerFacts[]
}

export type ContainerFacts = {
  name: string
  ready: boolean
  running: boolean
  restarts: number
  /** The reason it waits, such as `CrashLoopBackOff`. */
  waiting: string | null
  /** How it last ended. */
  ended: { reason: string; exitCode: number; atMs: number | null } | null
}
