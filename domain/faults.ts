import { podTrouble, type Trouble } from './watch/trouble.ts'
import type { PodFacts, WorkloadFacts } from './watch/facts.ts'
import type { FaultClass } from './remediation.ts'

/** One fault of one workload, drawn from API objects alone. Equal objects give equal faults on every watcher. */
export type Fault = {
  fault: FaultClass
  /** The pod an action would be aimed at; null when it is the workload. */
  pod: { name: string; uid: string } | null
  /** What keeps this occurrence apart from an earlier one of the same class: a revision, or a pod. */
  episode: string
  startedAtMs: number
  /** Since when it has held without a break, where the objects tell. Null: count from the first look. */
  heldSinceMs: number | null
  /** It came with a rollout that is recent and can be taken back. */
  afterRollout: boolean
  /** Names of the failing pods, sorted. */
  pods: string[]
  evidence: string
}

/** A fault this long after a rollout began is no longer blamed on it. */
export const rolloutBlameMs = 60 * 60_000

type Failing = { pod: PodFacts; trouble: Trouble }

/**
 * What is wrong with a workload now. Says nothing of how long: dwell and repetition are `observe`'s.
 * A rollout that is under way within its deadline is expected change; only a new revision that
 * cannot start is a fault then.
 */
export function classify(workload: WorkloadFacts, nowMs: number): Fault[] {
  const { rollout } = workload
  const operatorAtWork = !rollout.observed || (rollout.paused && !rollout.complete)
  if (workload.ignored || workload.desired === 0 || operatorAtWork) return []

  const failing = failingPods(workload, nowMs)
  const stuck = stuckRollout(workload, failing, nowMs)
  if (stuck) return [stuck, ...hardFault(workload, failing.filter(isOld(workload)), nowMs)]
  if (underWay(workload, nowMs)) return rollout.hasEarlier ? [] : hardFault(workload, failing.filter(isNew(workload)), nowMs)

  const hard = hardFault(workload, failing, nowMs)
  return hard.length > 0 ? hard : softFault(workload, failing, nowMs)
}

const isOver = ({ rollout }: WorkloadFacts, nowMs: number) => rollout.stuckAtMs !== null && rollout.stuckAtMs <= nowMs
const underWay = (workload: WorkloadFacts, nowMs: number) => !workload.rollout.complete && !isOver(workload, nowMs)

const isNew = ({ rollout }: WorkloadFacts) => ({ pod }: Failing) => rollout.revision === null || pod.revision === rollout.revision
const isOld = (workload: WorkloadFacts) => (failing: Failing) => !isNew(workload)(failing)

/** Pods that will be looked at: those on their way out, finished, ignored or on a dead node prove nothing. */
const judged = ({ pods }: WorkloadFacts) =>
  pods.filter(({ terminating, ignored, onReadyNode, phase }) => !terminating && !ignored && onReadyNode && (phase === 'Pending' || phase === 'Running'))

const failingPods = (workload: WorkloadFacts, nowMs: number): Failing[] =>
  judged(workload)
    .flatMap((pod) => {
      const trouble = podTrouble(pod, nowMs)
      return trouble ? [{ pod, trouble }] : []
    })
    .sort((a, b) => a.trouble.sinceMs - b.trouble.sinceMs || (a.pod.uid < b.pod.uid ? -1 : 1))

/** The newest revision does not come up and there is an older one to go back to. */
function stuckRollout(workload: WorkloadFacts, failing: Failing[], nowMs: number): Fault | undefined {
  const { rollout } = workload
  if (rollout.complete || !rollout.hasEarlier) return undefined
  const mine = failing.filter(isNew(workload))
  const over = isOver(workload, nowMs)
  const broken = mine.filter(({ pod, trouble }) => trouble.hard && !pod.ready)
  // One broken pod among many that came up is not the revision's fault: then its deadline decides.
  const all = judged(workload).filter((pod) => pod.revision === rollout.revision).length
  const cannotStart = broken.length > 0 && broken.length * 2 >= all
  if (!over && !cannotStart) return undefined
  const because = broken[0] ? `its new pods ${broken[0].trouble.evidence}` : 'its progress deadline has passed'
  return {
    fault: 'stuck_rollout',
    pod: null,
    episode: rollout.revisionId,
    startedAtMs: rollout.startedAtMs,
    heldSinceMs: over ? rollout.stuckAtMs : null,
    afterRollout: true,
    pods: namesOf(mine),
    evidence: `the rollout does not finish: ${because}`,
  }
}

/** What a pod cannot recover from by waiting. One cause a workload: the most telling one names it. */
function hardFault(workload: WorkloadFacts, candidates: Failing[], nowMs: number): Fault[] {
  const failing = candidates.filter(({ trouble }) => trouble.hard)
  const telling = (['image_pull', 'oom_killed', 'crash_loop'] as const).find((fault) => failing.some(({ trouble }) => trouble.is === fault))
  const first = failing.find(({ trouble }) => trouble.is === telling)
  if (!telling || !first) return []
  const { rollout } = workload
  const recent = nowMs - rollout.startedAtMs <= rolloutBlameMs
  return [
    {
      fault: telling,
      pod: null,
      episode: rollout.revisionId,
      startedAtMs: first.trouble.sinceMs,
      heldSinceMs: null,
      afterRollout: rollout.hasEarlier && recent && failing.every(isNew(workload)),
      pods: namesOf(failing),
      evidence: `${failing.length} of ${workload.desired} pods ${first.trouble.evidence}`,
    },
  ]
}

/** Pods that run and are not ready. One of many that hangs can be restarted; more of them have a cause elsewhere. */
function softFault(workload: WorkloadFacts, failing: Failing[], nowMs: number): Fault[] {
  const hanging = failing.filter(({ trouble }) => trouble.is === 'stuck_pod')
  const [first] = hanging
  const few = hanging.length <= Math.max(1, Math.floor(workload.desired / 2))
  if (first && few && hanging.length === failing.length) return [stuckPod(first, hanging)]
  const since = failing[0]?.trouble.sinceMs ?? (workload.pods.length === 0 && isOver(workload, nowMs) ? workload.rollout.stuckAtMs : null)
  if (since === null || since === undefined) return []
  return [
    {
      fault: 'never_ready',
      pod: null,
      episode: workload.rollout.revisionId,
      startedAtMs: since,
      heldSinceMs: since,
      afterRollout: false,
      pods: namesOf(failing),
      evidence: failing.length > 0 ? `${failing.length} of ${workload.desired} pods are not ready` : 'no pod could be made',
    },
  ]
}

const stuckPod = (first: Failing, hanging: Failing[]): Fault => ({
  fault: 'stuck_pod',
  pod: { name: first.pod.name, uid: first.pod.uid },
  episode: first.pod.uid,
  startedAtMs: first.trouble.sinceMs,
  heldSinceMs: first.trouble.sinceMs,
  afterRollout: false,
  pods: namesOf(hanging),
  evidence: `${first.pod.name} runs, was ready, and is ready no more`,
})

const namesOf = (failing: Failing[]) => failing.map(({ pod }) => pod.name).sort()
