import type { V1DaemonSet, V1Deployment, V1Namespace, V1Node, V1Pod, V1ReplicaSet, V1StatefulSet } from '@kubernetes/client-node'
import type { WorkloadFacts } from '../../domain/watch/facts.ts'
import { list, pathOf } from './api.ts'
import type { Connection } from './connection.ts'
import { workloadFacts } from './faults.ts'

/** A look this old still speaks for the cluster. */
const memoryMs = 10_000

type Look = { atMs: number; workloads: Promise<WorkloadFacts[]> }

/**
 * Every workload of the cluster, at most 10 s old. Whoever asks while a look is under way shares it; one that failed
 * is not kept. `list` bounds how much is read.
 */
export function crowdOf(connection: Connection, nowMs: () => number = () => performance.now()): () => Promise<WorkloadFacts[]> {
  let latest: Look | undefined
  return async () => {
    if (latest && nowMs() - latest.atMs < memoryMs) return latest.workloads
    const look: Look = { atMs: nowMs(), workloads: lookAtAll(connection) }
    latest = look
    look.workloads.catch(() => {
      if (latest === look) latest = undefined
    })
    return look.workloads
  }
}

async function lookAtAll(connection: Connection): Promise<WorkloadFacts[]> {
  const readAtMs = Date.now() // before the calls: what they tell is at least this new
  const all = async <T>(resource: Parameters<typeof pathOf>[0]) => (await list<T>(connection, pathOf(resource))).items
  const [deployments, statefulSets, daemonSets, replicaSets, pods, nodes, namespaces] = await Promise.all([
    all<V1Deployment>('deployments'), all<V1StatefulSet>('statefulsets'), all<V1DaemonSet>('daemonsets'),
    all<V1ReplicaSet>('replicasets'), all<V1Pod>('pods'), all<V1Node>('nodes'), all<V1Namespace>('namespaces'),
  ])
  return workloadFacts(connection.cluster, { deployments, statefulSets, daemonSets, replicaSets, pods, nodes, namespaces }, readAtMs)
}
