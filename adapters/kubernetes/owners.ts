import type { V1ObjectMeta, V1OwnerReference } from '@kubernetes/client-node'
import type { Target, WorkloadRef } from '../../domain/remediation.ts'
import { get, pathOf, type Resource } from './api.ts'
import type { Connection } from './connection.ts'

export type Owned = { metadata?: V1ObjectMeta }
/** `object` is undefined for kinds Aegis has no right to read, such as custom resources. */
export type Owner = { ref: WorkloadRef; object: Owned | undefined }

/** As an annotation or as a label. */
export const ignoreMark = 'aegis.dev/ignore'
export const isIgnored = (metadata: V1ObjectMeta | undefined): boolean => metadata?.annotations?.[ignoreMark] === 'true' || metadata?.labels?.[ignoreMark] === 'true'

export const controllerOf = (metadata: V1ObjectMeta | undefined): V1OwnerReference | undefined =>
  metadata?.ownerReferences?.find(({ controller }) => controller === true)

export const isControlledBy = (uid: string) => ({ metadata }: Owned): boolean => controllerOf(metadata)?.uid === uid

const readable: Record<string, Resource> = {
  'apps/v1/ReplicaSet': 'replicasets',
  'apps/v1/Deployment': 'deployments',
  'apps/v1/StatefulSet': 'statefulsets',
  'apps/v1/DaemonSet': 'daemonsets',
}

/** Longer chains exist only by mistake. */
const chainLimit = 8

/** What controls the object, nearest first, up to the top or to the first kind that cannot be read. */
export async function ownersOf(connection: Connection, { cluster, namespace }: Pick<Target, 'cluster' | 'namespace'>, metadata: V1ObjectMeta | undefined): Promise<Owner[]> {
  const owners: Owner[] = []
  let reference = controllerOf(metadata)
  while (reference && owners.length < chainLimit) {
    const { kind, name, uid } = reference
    const resource = readable[`${reference.apiVersion}/${kind}`]
    const found: Owned | undefined = resource && (await get<Owned>(connection, pathOf(resource, namespace, name)))
    // Another object that took the name is no owner.
    const object = found?.metadata?.uid === uid ? found : undefined
    owners.push({ ref: { cluster, namespace, kind, name, uid }, object })
    reference = controllerOf(object?.metadata)
  }
  return owners
}
