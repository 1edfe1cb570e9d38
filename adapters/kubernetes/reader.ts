import type { V1Deployment, V1Namespace, V1Pod } from '@kubernetes/client-node'
import type { DeploymentObservation, Observation, PodObservation } from '../../domain/actions/observation.ts'
import { Failure } from '../../domain/failure.ts'
import { noHealth, type Settled } from '../../domain/health.ts'
import type { Plan } from '../../domain/plan.ts'
import type { Target, WorkloadRef } from '../../domain/remediation.ts'
import { parseStamps, stampAnnotation } from '../../domain/stamp.ts'
import { get, pathOf } from './api.ts'
import type { ClusterReader } from './cluster.ts'
import type { Connection } from './connection.ts'
import { isReady, lookAt, lookAtDeployment, replicaSetsOf } from './health.ts'
import { managersOf } from './managers.ts'
import { controllerOf, isIgnored, ownersOf, type Owned, type Owner } from './owners.ts'
import { revisionsOf } from './revisions.ts'
import { plainTemplate, templateHash } from './template.ts'

/** The decision side's eyes: reads alone, so the identity behind it needs no more. */
export const clusterReader = (connection: Connection): ClusterReader => ({
  name: connection.cluster,
  async observe(target) {
    if (target.cluster !== connection.cluster) throw new Failure('invalid', 'other_cluster', `the target is in cluster \`${target.cluster}\`; this is \`${connection.cluster}\``)
    return target.kind === 'Pod' ? observePod(connection, target) : observeDeployment(connection, target)
  },
  health: (plan) => healthOf(connection, plan),
})

async function observeDeployment(connection: Connection, target: Target): Promise<Observation | undefined> {
  const deployment = await get<V1Deployment>(connection, pathOf('deployments', target.namespace, target.name))
  if (!deployment) return undefined
  const [owners, replicaSets, namespace] = await Promise.all([
    ownersOf(connection, target, deployment.metadata),
    replicaSetsOf(connection, target.namespace, deployment),
    readNamespace(connection, target.namespace),
  ])
  const { health } = await lookAtDeployment(connection, target, deployment, replicaSets)
  const { metadata, spec, status } = deployment
  const observation: DeploymentObservation = {
    ...identityOf(target, deployment, owners, namespace),
    kind: 'Deployment',
    health,
    generation: metadata?.generation ?? 0,
    observedGeneration: status?.observedGeneration ?? 0,
    replicas: spec?.replicas ?? 1,
    paused: spec?.paused === true,
    templateHash: templateHash(plainTemplate(spec?.template)),
    revisionHistoryLimit: spec?.revisionHistoryLimit ?? 10,
    revisions: revisionsOf(deployment, replicaSets),
    managers: managersOf(metadata),
  }
  return observation
}

async function observePod(connection: Connection, target: Target): Promise<Observation | undefined> {
  const pod = await get<V1Pod>(connection, pathOf('pods', target.namespace, target.name))
  if (!pod) return undefined
  const [owners, namespace] = await Promise.all([ownersOf(connection, target, pod.metadata), readNamespace(connection, target.namespace)])
  const identity = identityOf(target, pod, owners, namespace)
  const isStatic = isStaticPod(pod)
  const look = owners.length > 0 && !isStatic ? await lookAt(connection, identity.workload) : undefined
  const observation: PodObservation = {
    ...identity,
    kind: 'Pod',
    health: look?.health ?? noHealth,
    terminating: Boolean(pod.metadata?.deletionTimestamp),
    phase: pod.status?.phase ?? 'Unknown',
    ready: isReady(pod),
    controlled: owners.length > 0 && !isStatic,
    static: isStatic,
  }
  return observation
}

/** The kubelet shows a pod of its own as a mirror, controlled by its node. */
const isStaticPod = ({ metadata }: V1Pod): boolean =>
  metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined || controllerOf(metadata)?.kind === 'Node'

function identityOf(target: Target, { metadata }: Owned, owners: readonly Owner[], namespace: Owned | undefined) {
  const uid = metadata?.uid ?? ''
  const { cluster, namespace: place, kind, name } = target
  const workload: WorkloadRef = owners.at(-1)?.ref ?? { cluster, namespace: place, kind, name, uid }
  return {
    target,
    uid,
    resourceVersion: metadata?.resourceVersion ?? '',
    workload,
    ignored: [metadata, ...owners.map(({ object }) => object?.metadata), namespace?.metadata].some(isIgnored),
    stamps: parseStamps(metadata?.annotations?.[stampAnnotation]),
  }
}

/** Not every identity may read namespaces; then their annotation cannot count. */
async function readNamespace(connection: Connection, name: string): Promise<Owned | undefined> {
  try {
    return await get<V1Namespace>(connection, pathOf('namespaces', undefined, name))
  } catch (failure) {
    if (failure instanceof Failure && failure.kind === 'forbidden') return undefined
    throw failure
  }
}

async function healthOf(connection: Connection, plan: Plan): Promise<Settled> {
  const { target, workload } = plan
  const acted: WorkloadRef = plan.action === 'restart_pod' ? workload : target
  // The pod first: seen gone before the workload is looked at, the look cannot be older than the eviction.
  const podGone = plan.action === 'restart_pod' ? await isGone(connection, target) : null
  const look = await lookAt(connection, acted)
  return { health: look?.health ?? noHealth, rollout: look?.rollout ?? 'missing', podGone }
}

async function isGone(connection: Connection, { namespace, name, uid }: Plan['target']): Promise<boolean> {
  const pod = await get<V1Pod>(connection, pathOf('pods', namespace, name))
  return pod?.metadata?.uid !== uid
}
