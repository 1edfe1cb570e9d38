import type { V1DaemonSet, V1Deployment, V1LabelSelector, V1Node, V1Pod, V1ReplicaSet, V1StatefulSet } from '@kubernetes/client-node'
import { classify } from '../../domain/faults.ts'
import { rolloutState, type RolloutCounts, type RolloutState } from '../../domain/health.ts'
import type { Health } from '../../domain/plan.ts'
import type { FaultClass, WorkloadRef } from '../../domain/remediation.ts'
import type { PodFacts, WorkloadFacts } from '../../domain/watch/facts.ts'
import { podTrouble } from '../../domain/watch/trouble.ts'
import { get, list, pathOf } from './api.ts'
import type { Connection } from './connection.ts'
import { workloadFacts, type ClusterObjects } from './faults.ts'
import { isControlledBy, type Owned } from './owners.ts'

export type LookedAt = { health: Health; rollout: RolloutState }
type Place = Pick<WorkloadRef, 'cluster' | 'namespace'>

const nothing: ClusterObjects = { deployments: [], statefulSets: [], daemonSets: [], replicaSets: [], pods: [], nodes: [], namespaces: [] }

/** The workload as it is now, by UID; undefined where it is gone. Kinds that cannot be read are judged by what they control. */
export async function lookAt(connection: Connection, workload: WorkloadRef): Promise<LookedAt | undefined> {
  const { kind, namespace, name, uid } = workload
  if (kind === 'Deployment') {
    const deployment = await getByUid<V1Deployment>(connection, pathOf('deployments', namespace, name), uid)
    return deployment && judgeDeployment(workload, deployment, await partsOf(connection, namespace, deployment))
  }
  if (kind === 'StatefulSet') return lookAtSet(connection, workload, await getByUid<V1StatefulSet>(connection, pathOf('statefulsets', namespace, name), uid), statefulSetCounts)
  if (kind === 'DaemonSet') return lookAtSet(connection, workload, await getByUid<V1DaemonSet>(connection, pathOf('daemonsets', namespace, name), uid), daemonSetCounts)
  if (kind === 'ReplicaSet') return lookAtSet(connection, workload, await getByUid<V1ReplicaSet>(connection, pathOf('replicasets', namespace, name), uid), replicaSetCounts)
  return lookAtForeign(connection, workload)
}

async function getByUid<T extends Owned>(connection: Connection, path: string, uid: string): Promise<T | undefined> {
  const object = await get<T>(connection, path)
  return object?.metadata?.uid === uid ? object : undefined
}

export async function replicaSetsOf(connection: Connection, namespace: string, { metadata, spec }: V1Deployment): Promise<V1ReplicaSet[]> {
  const { items } = await list<V1ReplicaSet>(connection, pathOf('replicasets', namespace), { labelSelector: selectorText(spec?.selector) })
  return items.filter(isControlledBy(metadata?.uid ?? ''))
}

/** What a Deployment is made of. */
export type Parts = { replicaSets: V1ReplicaSet[]; pods: V1Pod[]; nodes: V1Node[] }

export async function partsOf(connection: Connection, namespace: string, deployment: V1Deployment): Promise<Parts> {
  const [replicaSets, { pods, nodes }] = await Promise.all([replicaSetsOf(connection, namespace, deployment), podsOf(connection, namespace, deployment.spec?.selector)])
  return { replicaSets, pods, nodes }
}

/** `parts` were read after the Deployment: its status may be behind them, never ahead. */
export function judgeDeployment({ cluster }: Place, deployment: V1Deployment, { replicaSets, pods, nodes }: Parts): LookedAt {
  const [facts] = workloadFacts(cluster, { ...nothing, deployments: [deployment], replicaSets, pods, nodes }, Date.now())
  const deadlineMs = (deployment.spec?.progressDeadlineSeconds ?? 600) * 1000
  return summarize(facts, deploymentCounts(deployment), deployment.status?.readyReplicas ?? 0, deadlineMs)
}

type Counts = RolloutCounts & { ready: number }
type PodSet = Owned & { spec?: { selector?: V1LabelSelector } }

/** Anything that keeps a set of pods is seen as a StatefulSet would be: by the pods it controls. */
async function lookAtSet<T extends PodSet>(connection: Connection, place: Place, set: T | undefined, countsOf: (set: T) => Counts): Promise<LookedAt | undefined> {
  if (!set) return undefined
  const { pods, nodes } = await podsOf(connection, place.namespace, set.spec?.selector)
  const counts = countsOf(set)
  return summarize(factsOfSet(place, set, counts.desired, pods, nodes), counts, counts.ready)
}

function factsOfSet({ cluster }: Place, { metadata }: Owned, replicas: number, pods: readonly V1Pod[], nodes: readonly V1Node[]): WorkloadFacts | undefined {
  const plain = { ...(metadata && { metadata: { ...metadata, generation: 0 } }), spec: { replicas, updateStrategy: { type: 'OnDelete' } } }
  return workloadFacts(cluster, { ...nothing, statefulSets: [plain as V1StatefulSet], pods, nodes }, Date.now())[0]
}

/** A custom resource or a Job: what it controls, directly or through sets of ours to read, added up. */
async function lookAtForeign(connection: Connection, { cluster, namespace, name, uid }: WorkloadRef): Promise<LookedAt | undefined> {
  const kinds = { Deployment: 'deployments', StatefulSet: 'statefulsets', ReplicaSet: 'replicasets', DaemonSet: 'daemonsets' } as const
  const children = await Promise.all(
    Object.entries(kinds).map(async ([kind, resource]) => {
      const { items } = await list<Owned>(connection, pathOf(resource, namespace))
      return items.filter(isControlledBy(uid)).map(({ metadata }) => ({ cluster, namespace, kind, name: metadata?.name ?? '', uid: metadata?.uid ?? '' }))
    }),
  )
  const looks = await Promise.all(children.flat().map((child) => lookAt(connection, child)))
  const own = await lookAtOwnPods(connection, { cluster, namespace }, { metadata: { name, namespace, uid } })
  return [...looks, own].filter((look) => look !== undefined).reduce<LookedAt | undefined>(addUp, undefined)
}

async function lookAtOwnPods(connection: Connection, place: Place, owner: Owned): Promise<LookedAt | undefined> {
  const { items } = await list<V1Pod>(connection, pathOf('pods', place.namespace))
  const pods = items.filter(isControlledBy(owner.metadata?.uid ?? ''))
  if (pods.length === 0) return undefined
  const facts = factsOfSet(place, owner, pods.length, pods, [])
  const living = facts?.pods.filter(isLiving) ?? []
  const ready = living.filter((pod) => pod.ready).length
  const desired = living.length
  return summarize(facts, { generation: 0, observedGeneration: 0, desired, updated: desired, total: desired, available: ready, deadlineExceeded: false }, ready)
}

function addUp(sum: LookedAt | undefined, { health, rollout }: LookedAt): LookedAt {
  if (!sum) return { health, rollout }
  const [a, b] = [sum.health, health]
  const total: Health = {
    desired: a.desired + b.desired,
    updated: a.updated + b.updated,
    ready: a.ready + b.ready,
    available: a.available + b.available,
    failing: a.failing + b.failing,
    restarts: a.restarts + b.restarts,
    faults: [...new Set([...a.faults, ...b.faults])],
  }
  const worst = (['exceeded', 'progressing', 'complete'] as const).find((state) => state === sum.rollout || state === rollout)
  return { health: total, rollout: worst ?? 'complete' }
}

/** Without a deadline of its own, a pod that was never ready has had its time after a Deployment's default. */
const defaultDeadlineMs = 600_000

/**
 * The status is what the controller saw last; the pods are what is there now. The smaller count of
 * ready pods holds, so that nothing passes on a status from before the change.
 */
function summarize(facts: WorkloadFacts | undefined, counts: RolloutCounts, statusReady: number, deadlineMs = defaultDeadlineMs): LookedAt {
  const nowMs = Date.now()
  const pods = facts?.pods.filter(({ terminating }) => !terminating) ?? []
  const readyPods = pods.filter(({ ready }) => ready).length
  const available = Math.min(counts.available, readyPods)
  const health: Health = {
    desired: counts.desired,
    updated: counts.updated,
    ready: Math.min(statusReady, readyPods),
    available,
    failing: pods.filter((pod) => isFailing(pod, nowMs, deadlineMs)).length,
    restarts: pods.flatMap(({ containers }) => containers).reduce((sum, { restarts }) => sum + restarts, 0),
    faults: facts ? faultsOf(facts, nowMs) : [],
  }
  return { health, rollout: rolloutState({ ...counts, available }) }
}

/** What is wrong stays wrong when someone asks us to keep our hands off; planning refuses then. */
const faultsOf = (facts: WorkloadFacts, nowMs: number): FaultClass[] => {
  const pods = facts.pods.map((pod) => ({ ...pod, ignored: false }))
  return [...new Set(classify({ ...facts, ignored: false, pods }, nowMs).map(({ fault }) => fault))]
}

const isLiving = ({ terminating, phase }: PodFacts): boolean => !terminating && (phase === 'Pending' || phase === 'Running')

function isFailing(pod: PodFacts, nowMs: number, deadlineMs: number): boolean {
  if (!isLiving(pod) || !pod.onReadyNode) return false
  const trouble = podTrouble(pod, nowMs)
  if (!trouble) return false
  return trouble.is !== 'never_ready' || nowMs - trouble.sinceMs > deadlineMs
}

export function deploymentCounts({ metadata, spec, status }: V1Deployment): RolloutCounts {
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing')
  return {
    ...generations(metadata, status),
    desired: spec?.replicas ?? 1,
    updated: status?.updatedReplicas ?? 0,
    total: status?.replicas ?? 0,
    available: status?.availableReplicas ?? 0,
    deadlineExceeded: progressing?.reason === 'ProgressDeadlineExceeded',
  }
}

function statefulSetCounts({ metadata, spec, status }: V1StatefulSet): Counts {
  const total = status?.replicas ?? 0
  const updated = spec?.updateStrategy?.type === 'OnDelete' ? total : (status?.updatedReplicas ?? 0)
  const [available, ready] = [status?.availableReplicas ?? 0, status?.readyReplicas ?? 0]
  return { ...generations(metadata, status), desired: spec?.replicas ?? 1, updated, total, available, ready, deadlineExceeded: false }
}

function daemonSetCounts({ metadata, spec, status }: V1DaemonSet): Counts {
  const total = status?.currentNumberScheduled ?? 0
  const updated = spec?.updateStrategy?.type === 'OnDelete' ? total : (status?.updatedNumberScheduled ?? 0)
  const [available, ready] = [status?.numberAvailable ?? 0, status?.numberReady ?? 0]
  return { ...generations(metadata, status), desired: status?.desiredNumberScheduled ?? 0, updated, total, available, ready, deadlineExceeded: false }
}

function replicaSetCounts({ metadata, spec, status }: V1ReplicaSet): Counts {
  const total = status?.replicas ?? 0
  const [available, ready] = [status?.availableReplicas ?? 0, status?.readyReplicas ?? 0]
  return { ...generations(metadata, status), desired: spec?.replicas ?? 1, updated: total, total, available, ready, deadlineExceeded: false }
}

const generations = (metadata: Owned['metadata'], status: { observedGeneration?: number } | undefined) => ({
  generation: metadata?.generation ?? 0,
  observedGeneration: status?.observedGeneration ?? 0,
})

/** Nodes asked about in one look: those of pods that are not ready, since a dead node explains them. */
const nodeLimit = 20

async function podsOf(connection: Connection, namespace: string, selector: V1LabelSelector | undefined): Promise<{ pods: V1Pod[]; nodes: V1Node[] }> {
  const { items: pods } = await list<V1Pod>(connection, pathOf('pods', namespace), { labelSelector: selectorText(selector) })
  const names = new Set(pods.filter((pod) => !isReady(pod)).flatMap(({ spec }) => spec?.nodeName ?? []))
  const nodes = await Promise.all([...names].slice(0, nodeLimit).map((name) => get<V1Node>(connection, pathOf('nodes', undefined, name))))
  return { pods, nodes: nodes.filter((node) => node !== undefined) }
}

export const isReady = ({ status }: V1Pod): boolean => status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false

/** What no object can carry: an empty query would find everything. */
const nothingMatches = 'aegis.dev/none,!aegis.dev/none'

/** A label selector as a query says it. One that asks for nothing finds nothing. */
export function selectorText(selector: V1LabelSelector | undefined): string {
  const equal = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`)
  const others = (selector?.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
    if (operator === 'Exists') return key
    if (operator === 'DoesNotExist') return `!${key}`
    return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`
  })
  return [...equal, ...others].join(',') || nothingMatches
}
