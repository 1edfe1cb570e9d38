import type { Stamp } from '../stamp.ts'

/** The single look at the target that one attempt is judged by and sent with. Lives in memory only. */
export type AttemptRead = AbsentRead | PodRead | DeploymentRead

export type AbsentRead = { exists: false }

type Present = { exists: true; uid: string; resourceVersion: string; stamps: Stamp[] }

export type PodRead = Present & { kind: 'Pod'; terminating: boolean; ready: boolean }

export type DeploymentRead = Present & {
  kind: 'Deployment'
  generation: number
  replicas: number
  paused: boolean
  templateHash: string
  /** It has annotations at all. */
  annotated: boolean
}

/** What a read means for a plan and phase. */
export type Situation =
  | { is: 'ready' } // still as pinned (act), or still as the act left it (undo): may send
  | { is: 'done_by_us' } // own stamp for this phase
  | { is: 'stopped' } // own stamp says undone or abandoned
  | { is: 'gone' } // pod: its UID is gone or terminating
  | { is: 'wanted' } // the wanted state without our stamp; for an undo it still needs the stamp: `fence` with mark `undone`
  | { is: 'changed'; message: string } // someone else changed it; theirs stands
