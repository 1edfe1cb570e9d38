import type { V1ContainerStatus, V1DaemonSet, V1Deployment, V1Namespace, V1Node, V1ObjectMeta, V1Pod, V1PodCondition, V1ReplicaSet, V1StatefulSet } from '@kubernetes/client-node'
import { Failure } from '../../domain/failure.ts'
import { rolloutBlameMs } from '../../domain/faults.ts'
import type { ContainerFacts, PodFacts, RolloutFacts, WorkloadFacts } from '../../domain/watch/facts.ts'
import { controllerOf, isIgnored } from './owners.ts'
import { revisionsOf } from './revisions.ts'

/** The objects of one cluster, or of as much of it as was read, all as the API server gave them. */
export type ClusterObjects = {
  deployments: readonly V1Deployment[]
  statefulSets: readonly V1StatefulSet[]
  daemonSets: readonly V1DaemonSet[]
  replicaSets: readonly V1ReplicaSet[]
  pods: readonly V1Pod[]
  nodes: readonly V1Node[]
  namespaces: readonly V1Namespace[]
}

type Context = { cluster: string; readAtMs: number; podsOf: Map<string, V1Pod[]>; replicaSetsOf: Map<string, V1ReplicaSet[]>; deadNodes: Set<string>; ignoredNamespaces: Set<string> }

/** Objects in the API's words become facts in ours. Nothing of a template, an environment or a message gets through. */
export function workloadFacts(cluster: string, objects: ClusterObjects, readAtMs: number): WorkloadFacts[] {
  const context: Context = {
    cluster,
    readAtMs,
    podsOf: byOwner(objects.pods),
    replicaSetsOf: byOwner(objects.replicaSets),
    deadNodes: new Set(objects.nodes.filter(isDead).map(({ metadata }) => metadata?.name ?? '')),
    ignoredNamespaces: new Set(objects.namespaces.filter(({ metadata }) => isIgnored(metadata)).map(({ metadata }) => metadata?.name ?? '')),
  }
  return [
    ...objects.deployments.map((deployment) => deploymentFacts(deployment, context)),
    ...objects.statefulSets.map((set) => setFacts('StatefulSet', set, set.spec?.replicas ?? 1, statefulSetIsComplete(set), set.status?.updateRevision, context)),
    ...objects.daemonSets.map((set) => setFacts('DaemonSet', set, set.status?.desiredNumberScheduled ?? 0, daemonSetIsComplete(set), undefined, context)),
  ]
}

function deploymentFacts(deployment: V1Deployment, context: Context): WorkloadFacts {
  const { metadata, spec, status } = deployment
  const replicaSets = context.replicaSetsOf.get(metadata?.uid ?? '') ?? []
  const current = currentReplicaSet(deployment, replicaSets)
  const pods = replicaSets.flatMap((replicaSet) => podFactsOf(replicaSet.metadata?.uid ?? '', replicaSet.metadata?.uid ?? null, context))
  const number = revisionOf(current?.metadata)
  const begun = { complete: deploymentIsComplete(deployment), startedAtMs: rolloutStart(current, pods) }
  const rollout: RolloutFacts = {
    observed: isObserved(metadata, status?.observedGeneration) && current !== undefined,
    paused: spec?.paused === true,
    ...begun,
    stuckAtMs: gaveUpAt(deployment),
    revision: current?.metadata?.uid ?? null,
    revisionId: `${current?.metadata?.uid ?? ''}@${number}`,
    hasEarlier: hasEarlier(deployment, replicaSets, begun, context.readAtMs),
  }
  return { ...common('Deployment', metadata, context), desired: spec?.replicas ?? 1, rollout, pods }
}

const common = (kind: WorkloadFacts['kind'], metadata: V1ObjectMeta | undefined, context: Context) => ({
  cluster: context.cluster,
  namespace: metadata?.namespace ?? '',
  kind,
  name: metadata?.name ?? '',
  uid: metadata?.uid ?? '',
  ignored: isIgnored(metadata) || context.ignoredNamespaces.has(metadata?.namespace ?? ''),
  readAtMs: context.readAtMs,
})

/** The controller gives the Deployment the revision number of its newest ReplicaSet. */
function currentReplicaSet({ metadata }: V1Deployment, replicaSets: readonly V1ReplicaSet[]): V1ReplicaSet | undefined {
  const number = revisionOf(metadata)
  return replicaSets.find((replicaSet) => revisionOf(replicaSet.metadata) === number)
}

const revisionOf = (metadata: V1ObjectMeta | undefined) => Number(metadata?.annotations?.['deployment.kubernetes.io/revision'] ?? 0)

/**
 * Whether an older revision runs something else and was seen available. Digesting templates costs, so
 * it is looked into only while somebody may ask: before the rollout is done and while it is recent.
 */
function hasEarlier(deployment: V1Deployment, replicaSets: readonly V1ReplicaSet[], { complete, startedAtMs }: Pick<RolloutFacts, 'complete' | 'startedAtMs'>, nowMs: number): boolean {
  if (complete && nowMs - startedAtMs > rolloutBlameMs) return false
  try {
    const revisions = revisionsOf(deployment, replicaSets)
    const current = revisions.find((revision) => revision.current)
    return current !== undefined && revisions.some((each) => each.revision < current.revision && each.sourceHash !== current.sourceHash && each.wasAvailable)
  } catch (failure) {
    if (failure instanceof Failure) return false // a template that cannot be put back exactly: planning refuses it too
    throw failure
  }
}

/** Once all of a rollout's pods were available it stays complete, whatever becomes of them. */
function deploymentIsComplete({ spec, status }: V1Deployment): boolean {
  const { replicas = 0, updatedReplicas = 0 } = status ?? {}
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing')
  if (progressing) return progressing.reason === 'NewReplicaSetAvailable' && replicas === updatedReplicas
  return updatedReplicas === (spec?.replicas ?? 1) && replicas === updatedReplicas
}

function gaveUpAt({ status }: V1Deployment): number | null {
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing')
  if (progressing?.status !== 'False' || progressing.reason !== 'ProgressDeadlineExceeded') return null
  return milliseconds(progressing.lastTransitionTime)
}

/** A ReplicaSet that was brought back is older than its rollout; its pods are not. */
function rolloutStart(current: V1ReplicaSet | undefined, pods: readonly PodFacts[]): number {
  const created = milliseconds(current?.metadata?.creationTimestamp) ?? 0
  if (!current?.metadata?.annotations?.['deployment.kubernetes.io/revision-history']) return created
  const mine = pods.filter(({ revision }) => revision === current.metadata?.uid).map(({ createdAtMs }) => createdAtMs)
  return mine.length > 0 ? Math.min(...mine) : created
}

/** These controllers have no deadline: without a new pod for as long as a Deployment's default, a rollout counts as stuck. */
const silentRolloutMs = 10 * 60_000

type PodSet = V1StatefulSet | V1DaemonSet

function setFacts(kind: 'StatefulSet' | 'DaemonSet', set: PodSet, desired: number, complete: boolean, revision: string | undefined, context: Context): WorkloadFacts {
  const { metadata, status } = set
  const pods = podFactsOf(metadata?.uid ?? '', null, context)
  const lastSignMs = Math.max(milliseconds(metadata?.creationTimestamp) ?? 0, ...pods.map(({ createdAtMs }) => createdAtMs))
  const rollout: RolloutFacts = {
    observed: isObserved(metadata, status?.observedGeneration),
    paused: false,
    complete,
    stuckAtMs: complete ? null : lastSignMs + silentRolloutMs,
    revision: null,
    revisionId: revision ?? `${metadata?.uid}@${metadata?.generation}`,
    startedAtMs: milliseconds(metadata?.creationTimestamp) ?? 0,
    hasEarlier: false,
  }
  return { ...common(kind, metadata, context), desired, rollout, pods }
}

const statefulSetIsComplete = ({ spec, status }: V1StatefulSet) =>
  spec?.updateStrategy?.type === 'OnDelete' || status?.updateRevision === status?.currentRevision || (status?.updatedReplicas ?? 0) >= (spec?.replicas ?? 1)

const daemonSetIsComplete = ({ spec, status }: V1DaemonSet) =>
  spec?.updateStrategy?.type === 'OnDelete' || (status?.updatedNumberScheduled ?? 0) >= (status?.desiredNumberScheduled ?? 0)

const isObserved = (metadata: V1ObjectMeta | undefined, observedGeneration = 0) => observedGeneration >= (metadata?.generation ?? 0)

const podFactsOf = (ownerUid: string, revision: string | null, context: Context): PodFacts[] =>
  (context.podsOf.get(ownerUid) ?? []).map((pod) => podFacts(pod, revision, context))

function podFacts({ metadata, spec, status }: V1Pod, revision: string | null, context: Context): PodFacts {
  const ready = conditionOf(status?.conditions, 'Ready')
  return {
    name: metadata?.name ?? '',
    uid: metadata?.uid ?? '',
    revision,
    phase: status?.phase ?? 'Pending',
    createdAtMs: milliseconds(metadata?.creationTimestamp) ?? 0,
    terminating: metadata?.deletionTimestamp !== undefined && metadata.deletionTimestamp !== null,
    ignored: isIgnored(metadata),
    onReadyNode: !context.deadNodes.has(spec?.nodeName ?? ''),
    ready: ready?.status === 'True',
    unreadySinceMs: ready?.status === 'True' ? null : milliseconds(ready?.lastTransitionTime),
    wasReady: ready?.status !== 'True' && changedAfter(ready, conditionOf(status?.conditions, 'Initialized')),
    containers: [...(status?.initContainerStatuses ?? []).filter(isStruggling), ...(status?.containerStatuses ?? [])].map(containerFacts),
  }
}

const conditionOf = (conditions: readonly V1PodCondition[] | undefined, type: string) => conditions?.find((condition) => condition.type === type)

/** Both are written in one go when a pod starts, and a second may end in between. */
const sameWriteMs = 1_000

/** A condition's time moves only when its status does: unready since after the start means ready in between. */
const changedAfter = (ready: V1PodCondition | undefined, initialized: V1PodCondition | undefined) =>
  (milliseconds(ready?.lastTransitionTime) ?? 0) > (milliseconds(initialized?.lastTransitionTime) ?? Infinity) + sameWriteMs

/** A finished init container is not running, and nothing is wrong with that. */
const isStruggling = ({ state }: V1ContainerStatus) => state?.waiting !== undefined && state.waiting !== null

function containerFacts({ name, ready, restartCount, state, lastState }: V1ContainerStatus): ContainerFacts {
  const ended = state?.terminated ?? lastState?.terminated
  return {
    name,
    ready,
    running: Boolean(state?.running),
    restarts: restartCount,
    waiting: state?.waiting?.reason ?? null,
    ended: ended ? { reason: ended.reason ?? '', exitCode: ended.exitCode, atMs: milliseconds(ended.finishedAt) } : null,
  }
}

const isDead = ({ status }: V1Node) => {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')
  return ready !== undefined && ready.status !== 'True'
}

function byOwner<T extends { metadata?: V1ObjectMeta }>(objects: readonly T[]): Map<string, T[]> {
  const owned = new Map<string, T[]>()
  for (const object of objects) {
    const owner = controllerOf(object.metadata)?.uid
    if (owner === undefined) continue
    const siblings = owned.get(owner)
    if (siblings) siblings.push(object)
    else owned.set(owner, [object])
  }
  return owned
}

/** The typed client gives dates, a watch gives text. */
function milliseconds(time: Date | string | undefined | null): number | null {
  if (time === undefined || time === null) return null
  const ms = time instanceof Date ? time.getTime() : Date.parse(time)
  return Number.isNaN(ms) ? null : ms
}
