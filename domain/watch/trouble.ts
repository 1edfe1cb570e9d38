import type { ContainerFacts, PodFacts } from './facts.ts'
import type { FaultClass } from '../remediation.ts'

/** What is wrong with one pod. `hard`: waiting will not cure it. `evidence` says what its like do, as a predicate. */
export type Trouble = { is: Exclude<FaultClass, 'stuck_rollout'>; hard: boolean; sinceMs: number; evidence: string }

const imageReasons = new Set(['ErrImagePull', 'ImagePullBackOff', 'InvalidImageName', 'ErrImageNeverPull', 'RegistryUnavailable', 'ImageInspectError'])

/** An end this long ago says nothing of now. The kubelet's longest back-off is 5 minutes. */
const recentEndMs = 10 * 60_000

/** The first crash or two may be a start-up race; the kubelet restarts within seconds then. */
const loopRestarts = 2

/** The one thing that tells most about this pod, or undefined when there is nothing wrong with it. */
export function podTrouble(pod: PodFacts, nowMs: number): Trouble | undefined {
  const sinceMs = pod.unreadySinceMs ?? pod.createdAtMs
  const image = pod.containers.find(({ waiting }) => waiting !== null && imageReasons.has(waiting))
  if (image) return { is: 'image_pull', hard: true, sinceMs, evidence: `cannot pull an image (${image.waiting}, container ${image.name})` }

  const killed = pod.containers.find((container) => wasKilledForMemory(container, nowMs))
  if (killed) {
    const atMs = pod.ready ? (killed.ended?.atMs ?? sinceMs) : sinceMs
    return { is: 'oom_killed', hard: true, sinceMs: atMs, evidence: `were killed for their memory (OOMKilled, container ${killed.name})` }
  }
  const looping = pod.containers.find((container) => isLooping(container, nowMs))
  if (looping) return { is: 'crash_loop', hard: true, sinceMs, evidence: `crash again and again (container ${looping.name}, exit code ${looping.ended?.exitCode ?? 'unknown'})` }

  if (pod.ready) return undefined
  const runs = pod.phase === 'Running' && pod.containers.every(({ running }) => running)
  if (pod.wasReady && runs) return { is: 'stuck_pod', hard: false, sinceMs, evidence: 'run and are not ready' }
  return { is: 'never_ready', hard: false, sinceMs, evidence: 'do not become ready' }
}

const endedLately = ({ ended }: ContainerFacts, nowMs: number) => ended !== null && (ended.atMs === null || nowMs - ended.atMs <= recentEndMs)

/** The reason decides, not the code: OOMKilled is seen with 137, 143 and even 0, and 137 without it is a probe or a person. */
const wasKilledForMemory = (container: ContainerFacts, nowMs: number) => container.ended?.reason === 'OOMKilled' && endedLately(container, nowMs)

/** Between two back-offs a looping container runs for a moment, so waiting alone would not show it. */
function isLooping(container: ContainerFacts, nowMs: number): boolean {
  if (container.restarts < loopRestarts) return false
  if (container.waiting === 'CrashLoopBackOff') return true
  return !container.ready && container.restarts > loopRestarts && endedLately(container, nowMs) && container.ended?.exitCode !== 0
}
