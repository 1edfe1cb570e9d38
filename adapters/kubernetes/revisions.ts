import type { V1Deployment, V1ReplicaSet } from '@kubernetes/client-node'
import type { RevisionFacts } from '../../domain/actions/observation.ts'
import { plainTemplate, sourceHash, templateHash } from './template.ts'

const revisionAnnotation = 'deployment.kubernetes.io/revision'
const historyAnnotation = 'deployment.kubernetes.io/revision-history'
const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas'

export const revisionOf = ({ metadata }: V1ReplicaSet): number => Number(metadata?.annotations?.[revisionAnnotation] ?? 0)

/** `replicaSets`: those this Deployment's UID controls. Newest revision last. */
export function revisionsOf(deployment: V1Deployment, replicaSets: readonly V1ReplicaSet[]): RevisionFacts[] {
  const own = templateHash(plainTemplate(deployment.spec?.template))
  const ordered = replicaSets.toSorted((a, b) => revisionOf(a) - revisionOf(b))
  const facts = ordered.map((replicaSet) => {
    const template = plainTemplate(replicaSet.spec?.template)
    return {
      revision: revisionOf(replicaSet),
      replicaSet: replicaSet.metadata?.name ?? '',
      replicaSetUid: replicaSet.metadata?.uid ?? '',
      templateHash: templateHash(template),
      sourceHash: sourceHash(template),
      replicas: replicaSet.spec?.replicas ?? 0,
      wasAvailable: isAvailable(replicaSet) || hasCompleted(deployment, ordered, replicaSet),
      current: false,
    }
  })
  // Two ReplicaSets can hold one template after a hash collision; the controller uses the newest revision.
  const current = facts.findLast((revision) => revision.templateHash === own)
  return facts.map((revision) => ({ ...revision, current: revision === current }))
}

const isAvailable = ({ status }: V1ReplicaSet): boolean => (status?.availableReplicas ?? 0) > 0

/**
 * A ReplicaSet scaled down to 0 keeps no record of its health, but the Deployment does: it gives up
 * on a revision that makes no progress for `progressDeadlineSeconds`, and its condition `Progressing`
 * then turns false and back, which moves `lastTransitionTime`. So a revision that was the newest for
 * twice that (progress early on extends it), with the condition true and unmoved since before its
 * deadline, had its pods up.
 * Proven only where the history is plain: the next revision follows directly and was made later,
 * neither was brought back, and replicas were wanted.
 */
function hasCompleted(deployment: V1Deployment, ordered: readonly V1ReplicaSet[], replicaSet: V1ReplicaSet): boolean {
  const next = ordered[ordered.indexOf(replicaSet) + 1]
  const progressing = deployment.status?.conditions?.find(({ type }) => type === 'Progressing')
  if (!next || progressing?.status !== 'True' || revisionOf(next) !== revisionOf(replicaSet) + 1) return false
  if (wasBroughtBack(replicaSet) || wasBroughtBack(next) || Number(replicaSet.metadata?.annotations?.[desiredAnnotation] ?? 0) < 1) return false
  const deadlineMs = (deployment.spec?.progressDeadlineSeconds ?? 600) * 1000
  const [madeMs, nextMs] = [createdMs(replicaSet), createdMs(next)]
  const unmovedSinceMs = timeMs(progressing.lastTransitionTime)
  return nextMs - madeMs > 2 * deadlineMs && unmovedSinceMs < madeMs + deadlineMs
}

const wasBroughtBack = ({ metadata }: V1ReplicaSet): boolean => Boolean(metadata?.annotations?.[historyAnnotation])
const createdMs = ({ metadata }: V1ReplicaSet): number => timeMs(metadata?.creationTimestamp)

/** Times are text in what the API server sends; NaN where absent, so that every comparison fails. */
const timeMs = (time: unknown): number => Date.parse(String(time))
