import type { V1Deployment, V1Pod, V1ReplicaSet } from '@kubernetes/client-node'
import type { AttemptRead, DeploymentRead, PodRead } from '../../domain/actions/situation.ts'
import { Failure } from '../../domain/failure.ts'
import type { Plan, RevisionPin, RollbackDeploymentPlan } from '../../domain/plan.ts'
import { parseStamps, stampAnnotation } from '../../domain/stamp.ts'
import { get, pathOf } from './api.ts'
import type { Connection } from './connection.ts'
import { isReady } from './health.ts'
import { isControlledBy } from './owners.ts'
import { plainTemplate, templateHash, type Template } from './template.ts'

/** Templates never leave this room: they stay here, beside the read they belong to. */
const templates = new WeakMap<AttemptRead, ReadonlyMap<string, Template>>()

export async function readTarget(connection: Connection, plan: Plan): Promise<AttemptRead> {
  if (plan.action === 'restart_pod') return readPod(connection, plan)
  const deployment = await get<V1Deployment>(connection, pathOf('deployments', plan.target.namespace, plan.target.name))
  if (!deployment) return { exists: false }
  const read = deploymentRead(deployment)
  if (plan.action === 'rollback_deployment') await keepTemplates(connection, plan, read)
  return read
}

async function readPod(connection: Connection, { target }: Plan): Promise<AttemptRead> {
  const pod = await get<V1Pod>(connection, pathOf('pods', target.namespace, target.name))
  if (!pod) return { exists: false }
  return podRead(pod)
}

export const podRead = (pod: V1Pod): PodRead => ({
  exists: true,
  kind: 'Pod',
  ...identityOf(pod.metadata),
  terminating: Boolean(pod.metadata?.deletionTimestamp),
  ready: isReady(pod),
})

export function deploymentRead(deployment: V1Deployment): DeploymentRead {
  const { metadata, spec } = deployment
  return {
    exists: true,
    kind: 'Deployment',
    ...identityOf(metadata),
    generation: metadata?.generation ?? 0,
    replicas: spec?.replicas ?? 1,
    paused: spec?.paused === true,
    templateHash: templateHash(plainTemplate(spec?.template)),
    annotated: metadata?.annotations !== undefined && metadata.annotations !== null,
  }
}

const identityOf = (metadata: V1Pod['metadata']) => ({
  uid: metadata?.uid ?? '',
  resourceVersion: metadata?.resourceVersion ?? '',
  stamps: parseStamps(metadata?.annotations?.[stampAnnotation]),
})

/** Reads the end of the plan the Deployment is not at, the only one a send could want. */
async function keepTemplates(connection: Connection, plan: RollbackDeploymentPlan, read: DeploymentRead): Promise<void> {
  const { from, to } = plan.revision
  const pin = read.templateHash === to.templateHash ? from : to
  const replicaSet = await get<V1ReplicaSet>(connection, pathOf('replicasets', plan.target.namespace, pin.replicaSet))
  const template = pinnedTemplate(plan, pin, replicaSet ? [replicaSet] : [])
  templates.set(read, new Map(template && [[pin.templateHash, template]]))
}

/** Undefined when the ReplicaSet is not among these, or holds something else than was judged. */
export function pinnedTemplate({ target }: Plan, pin: RevisionPin, among: readonly V1ReplicaSet[]): Template | undefined {
  const replicaSet = among.find(({ metadata }) => metadata?.uid === pin.replicaSetUid)
  if (!replicaSet || !isControlledBy(target.uid)(replicaSet)) return undefined
  const template = plainTemplate(replicaSet.spec?.template)
  return templateHash(template) === pin.templateHash ? template : undefined
}

/** Throws `missing/revision_gone`; nothing was sent then. `read` has to be the very object `readTarget` gave. */
export function templateFor(read: AttemptRead, pin: RevisionPin): Template {
  const template = templates.get(read)?.get(pin.templateHash)
  if (template) return template
  throw new Failure('missing', 'revision_gone', `revision ${pin.revision} (ReplicaSet \`${pin.replicaSet}\`) is gone or no longer what was judged; nothing was sent: choose another revision`)
}
