import type { V1DaemonSet, V1Deployment, V1Namespace, V1Node, V1ObjectMeta, V1Pod, V1ReplicaSet, V1StatefulSet } from '@kubernetes/client-node'
import type { WorkloadFacts } from '../../domain/watch/facts.ts'
import { get, list, pathOf, type Resource } from './api.ts'
import type { Connection } from './connection.ts'
import { workloadFacts, type ClusterObjects } from './faults.ts'
import { selectorText } from './health.ts'
import { watchResource, type Change } from './watch.ts'

/** One cluster's workloads, kept up to date by watches. What it remembers says where to look; only `read` proves anything. */
export type FaultView = {
  /** Every workload as last heard of, with `readAtMs` 0. Undefined until all kinds were listed once. */
  workloads(): WorkloadFacts[] | undefined
  /** The workload as the API server has it now; undefined where it is gone. Throws `unavailable` or `forbidden`. */
  read(workload: WorkloadFacts): Promise<WorkloadFacts | undefined>
  ready(): { ok: true } | { ok: false; reason: string }
  close(): Promise<void>
}

export type FaultViewOptions = {
  /** The view broke off; it mends itself. Told once until it is whole again. */
  onBroken(failure: unknown): void
  /** All kinds are listed and followed: at first, and after each break. */
  onWhole(): void
}

const resourceOf = {
  deployments: 'deployments',
  statefulSets: 'statefulsets',
  daemonSets: 'daemonsets',
  replicaSets: 'replicasets',
  pods: 'pods',
  nodes: 'nodes',
  namespaces: 'namespaces',
} as const satisfies Record<keyof ClusterObjects, Resource>

type Kind = keyof ClusterObjects
type KubernetesObject = { metadata?: V1ObjectMeta }
const kinds = Object.keys(resourceOf) as Kind[]

export function faultView(connection: Connection, options: FaultViewOptions): FaultView {
  const stopping = new AbortController()
  const known = new Map<Kind, Map<string, KubernetesObject>>()
  const broken = new Map<Kind, unknown>()
  let whole = false

  const mended = (kind: Kind) => {
    broken.delete(kind)
    if (whole || broken.size > 0 || known.size < kinds.length) return
    whole = true
    options.onWhole()
  }
  const breaks = (kind: Kind, failure: unknown) => {
    const isNews = broken.size === 0
    broken.set(kind, failure)
    whole = false
    if (isNews) options.onBroken(failure)
  }
  for (const kind of kinds) {
    void watchResource<KubernetesObject>({
      connection,
      path: pathOf(resourceOf[kind]),
      signal: stopping.signal,
      onChange: (change) => {
        known.set(kind, changed(known.get(kind) ?? new Map(), change))
        mended(kind)
      },
      onError: (failure) => breaks(kind, failure),
    })
  }
  const remembered = <T>(kind: Kind) => [...(known.get(kind)?.values() ?? [])] as T[]

  return {
    workloads() {
      if (known.size < kinds.length) return undefined
      const objects = Object.fromEntries(kinds.map((kind) => [kind, remembered(kind)])) as unknown as ClusterObjects
      return workloadFacts(connection.cluster, objects, Date.now()).map((facts) => ({ ...facts, readAtMs: 0 }))
    },
    async read(workload) {
      const readAtMs = Date.now() // before the calls: what they tell is at least this new
      const objects = await readOne(connection, workload)
      if (!objects) return undefined
      const around = { nodes: remembered<V1Node>('nodes'), namespaces: remembered<V1Namespace>('namespaces') }
      return workloadFacts(connection.cluster, { ...objects, ...around }, readAtMs)[0]
    },
    ready() {
      const [failure] = broken.values()
      if (failure) return { ok: false, reason: failure instanceof Error ? failure.message : `the view of cluster \`${connection.cluster}\` broke off` }
      return known.size === kinds.length ? { ok: true } : { ok: false, reason: `cluster \`${connection.cluster}\` is not listed yet` }
    },
    async close() {
      stopping.abort()
      await connection.close()
    },
  }
}

function changed(objects: Map<string, KubernetesObject>, change: Change<KubernetesObject>): Map<string, KubernetesObject> {
  if (change.type === 'listed') return new Map(change.objects.map((object) => [uidOf(object), slim(object)]))
  if (change.type === 'put') objects.set(uidOf(change.object), slim(change.object))
  else objects.delete(uidOf(change.object))
  return objects
}

const uidOf = ({ metadata }: KubernetesObject) => metadata?.uid ?? ''

/** Thousands of pods are remembered: neither their environment nor who wrote which field belongs in memory. */
function slim(object: KubernetesObject): KubernetesObject {
  const { managedFields: _fields, ...metadata } = object.metadata ?? {}
  if (!isPod(object)) return { ...object, metadata }
  const { spec, status } = object
  return { metadata, spec: { nodeName: spec?.nodeName }, status } as KubernetesObject
}

const isPod = (object: KubernetesObject): object is V1Pod => 'spec' in object && typeof object.spec === 'object' && object.spec !== null && 'containers' in object.spec

type Workload = V1Deployment | V1StatefulSet | V1DaemonSet
const kindOf = { Deployment: 'deployments', StatefulSet: 'statefulSets', DaemonSet: 'daemonSets' } as const

/** The workload by UID, and what its selector finds; others' objects among these are told apart by their owner. */
async function readOne(connection: Connection, { kind, namespace, name, uid }: WorkloadFacts): Promise<Omit<ClusterObjects, 'nodes' | 'namespaces'> | undefined> {
  const workload = await get<Workload>(connection, pathOf(resourceOf[kindOf[kind]], namespace, name))
  if (workload?.metadata?.uid !== uid) return undefined
  const query = { labelSelector: selectorText(workload.spec?.selector) }
  const [replicaSets, pods] = await Promise.all([
    kind === 'Deployment' ? list<V1ReplicaSet>(connection, pathOf('replicasets', namespace), query) : { items: [] },
    list<V1Pod>(connection, pathOf('pods', namespace), query),
  ])
  return { deployments: [], statefulSets: [], daemonSets: [], [kindOf[kind]]: [workload], replicaSets: replicaSets.items, pods: pods.items }
}
