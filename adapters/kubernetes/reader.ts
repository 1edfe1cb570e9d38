import type { V1Deployment, V1Pod } from '@kubernetes/client-node'
import type { DeploymentObservation, PodObservation } from '../../domain/actions/observation.ts'
import { noHealth, type Settled } from '../../domain/health.ts'
import type { Plan } from '../../domain/plan.ts'
import type { Target, WorkloadRef } from '../../domain/remediation.ts'
import { get, pathOf } from './api.ts'
import type { ClusterReader } from './cluster.ts'
import type { Connection } from './connection.ts'
import { crowdOf } from './crowd.ts'
import { judgeDeployment, lookAt, partsOf } from './health.ts'
import { readOnce } from './read-once.ts'
import { revisionsOf } from './revisions.ts'
import { refuseOtherCluster, seeDeployment, seePod } from './seen.ts'

/** The decision side's eyes: reads alone, so the identity behind it needs no more. */
export const clusterReader = (connection: Connection): ClusterReader => ({
  name: connection.cluster,
  async observe(target) {
    refuseOtherCluster(connection, target)
    return target.kind === 'Pod' ? observePod(connection, target) : observeDeployment(connection, target)
  },
  health: (plan) => healthOf(connection, plan),
  crowd: crowdOf(connection),
})

async function observeDeployment(connection: Connection, target: Target): Promise<DeploymentObservation | undefined> {
  const deployment = await get<V1Deployment>(connection, pathOf('deployments', target.namespace, target.name))
  if (!deployment) return undefined
  const [seen, parts] = await Promise.all([seeDeployment(connection, target, deployment), partsOf(connection, target.namespace, deployment)])
  return { ...seen, health: judgeDeployment(target, deployment, parts).health, revisions: revisionsOf(deployment, parts.replicaSets) }
}

async function observePod(connection: Connection, target: Target): Promise<PodObservation | undefined> {
  const pod = await get<V1Pod>(connection, pathOf('pods', target.namespace, target.name))
  if (!pod) return undefined
  const once = readOnce(connection)
  const seen = await seePod(once, target, pod)
  const look = seen.controlled ? await lookAt(once, seen.workload) : undefined
  return { ...seen, health: look?.health ?? noHealth }
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
