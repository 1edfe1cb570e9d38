import type { V1Deployment, V1Namespace, V1Pod } from '@kubernetes/client-node'
import type { DeploymentSeen, PodSeen } from '../../domain/actions/observation.ts'
import { Failure } from '../../domain/failure.ts'
import type { Target, WorkloadRef } from '../../domain/remediation.ts'
import { parseStamps, stampAnnotation } from '../../domain/stamp.ts'
import { get, pathOf } from './api.ts'
import type { Connection } from './connection.ts'
import { isReady } from './health.ts'
import { managersOf } from './managers.ts'
import { controllerOf, isIgnored, ownersOf, type Owned, type Owner } from './owners.ts'
import { plainTemplate, templateHash } from './template.ts'
import { maxUnavailableOf, termsOf } from './terms.ts'

/** A target that was read, with what owns it and whether anyone asked to leave it alone. */

export function refuseOtherCluster({ cluster }: Connection, target: Target): void {
  if (target.cluster !== cluster) throw new Failure('invalid', 'other_cluster', `the target is in cluster \`${target.cluster}\`; this is \`${cluster}\``)
}

export async function seeDeployment(connection: Connection, target: Target, deployment: V1Deployment): Promise<DeploymentSeen> {
  const { metadata, spec, status } = deployment
  const { identity } = await identify(connection, target, deployment, maxUnavailableOf(deployment))
  return {
    ...identity,
    kind: 'Deployment',
    generation: metadata?.generation ?? 0,
    observedGeneration: status?.observedGeneration ?? 0,
    replicas: spec?.replicas ?? 1,
    paused: spec?.paused === true,
    templateHash: templateHash(plainTemplate(spec?.template)),
    revisionHistoryLimit: spec?.revisionHistoryLimit ?? 10,
    managers: managersOf(metadata),
  }
}

export async function seePod(connection: Connection, target: Target, pod: V1Pod): Promise<PodSeen> {
  const { identity, owners } = await identify(connection, target, pod, null)
  const isStatic = isStaticPod(pod)
  return {
    ...identity,
    kind: 'Pod',
    terminating: Boolean(pod.metadata?.deletionTimestamp),
    phase: pod.status?.phase ?? 'Unknown',
    ready: isReady(pod),
    controlled: owners.length > 0 && !isStatic,
    static: isStatic,
  }
}

/** The kubelet shows a pod of its own as a mirror, controlled by its node. */
const isStaticPod = ({ metadata }: V1Pod): boolean =>
  metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined || controllerOf(metadata)?.kind === 'Node'

async function identify(connection: Connection, target: Target, { metadata }: Owned, maxUnavailable: number | null) {
  const [owners, namespace] = await Promise.all([ownersOf(connection, target, metadata), readNamespace(connection, target.namespace)])
  const identity = {
    target,
    uid: metadata?.uid ?? '',
    resourceVersion: metadata?.resourceVersion ?? '',
    workload: topOf(target, metadata?.uid ?? '', owners),
    ignored: [metadata, ...owners.map(({ object }) => object?.metadata), namespace?.metadata].some(isIgnored),
    labels: {
      workload: Object.assign({}, metadata?.labels, ...owners.map(({ object }) => object?.metadata?.labels)) as Record<string, string>,
      namespace: namespace ? (namespace.metadata?.labels ?? {}) : null,
    },
    terms: termsOf([metadata, ...owners.map(({ object }) => object?.metadata)], maxUnavailable),
    stamps: parseStamps(metadata?.annotations?.[stampAnnotation]),
  }
  return { identity, owners }
}

const topOf = ({ cluster, namespace, kind, name }: Target, uid: string, owners: readonly Owner[]): WorkloadRef =>
  owners.at(-1)?.ref ?? { cluster, namespace, kind, name, uid }

/** Not every identity may read namespaces; then their annotation cannot count. */
async function readNamespace(connection: Connection, name: string): Promise<Owned | undefined> {
  try {
    return await get<V1Namespace>(connection, pathOf('namespaces', undefined, name))
  } catch (failure) {
    if (failure instanceof Failure && failure.kind === 'forbidden') return undefined
    throw failure
  }
}
