/** A namespace of its own on the real API server, what an operator does in it, and what Aegis does. */
import { afterAll, beforeAll } from '@jest/globals'
import { clusterExecutor, clusterReader, connectCluster, type Connection } from '../../../adapters/kubernetes/client.ts'
import { keyedDigest } from '../../../adapters/signing.ts'
import { actionRules, isRefusal } from '../../../domain/actions/index.ts'
import type { DeploymentObservation } from '../../../domain/actions/observation.ts'
import type { AttemptRead } from '../../../domain/actions/situation.ts'
import type { Plan, RestartPodPlan, RollbackDeploymentPlan, ScaleDeploymentPlan } from '../../../domain/plan.ts'
import type { ActionName, ActionParameters, EffectPhase, Target } from '../../../domain/remediation.ts'
import { parseStamps, stampAnnotation } from '../../../domain/stamp.ts'
import { clusterNamed, eventually, freshNamespace, mutationsBy } from '../../helpers/stack.ts'

export const cluster = clusterNamed('edge')
/** Planted in every environment; it must never be seen again. */
export const secret = 'correct-horse-battery-staple'
const connections: Connection[] = []
export const connect = (kubeconfig: string, userAgent: string, timeoutMs = 10_000) => {
  const connection = connectCluster({ name: 'edge', kubeconfig, userAgent, timeoutMs })
  connections.push(connection)
  return connection
}
export const admin = connect(cluster.kubeconfig, 'test-operator/1')
export const reader = clusterReader(connect(cluster.observerKubeconfig, 'aegis-decision/test'))
export const executor = clusterExecutor(connect(cluster.executorKubeconfig, 'aegis-executor/test'))

export let namespace: string
beforeAll(async () => {
  namespace = await freshNamespace(cluster, 'kubernetes')
})
afterAll(() => Promise.all(connections.map((connection) => connection.close())))

// What an operator does to the cluster

export type Json = Record<string, any> // eslint-disable-line typescript/no-explicit-any -- raw objects of the API

export async function call(method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown): Promise<Json> {
  const answer = await admin.request({ method, path, body, ...(method === 'PATCH' && { contentType: 'application/merge-patch+json' as const }) })
  if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`)
  return answer.body as Json
}
export const at = (group: string, kind: string, name = '') => `${group}/namespaces/${namespace}/${kind}${name && `/${name}`}`
export const deployments = (name = '') => at('/apis/apps/v1', 'deployments', name)
export const pods = (name = '') => at('/api/v1', 'pods', name)

export type Shape = { replicas?: number; image?: string; template?: Json; metadata?: Json; spec?: Json }
export const podSpec = (image: string) => ({ containers: [{ name: 'app', image, env: [{ name: 'GREETING', value: secret }] }] })

export async function deploy(name: string, { replicas = 3, image = 'shop/cart:1', template = {}, metadata = {}, spec = {} }: Shape = {}): Promise<void> {
  await call('POST', deployments(), {
    metadata: { name, ...metadata },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name }, ...template['metadata'] }, spec: { ...podSpec(image), ...template['spec'] } },
      ...spec,
    },
  })
  await settled(name, replicas)
}
export const settled = (name: string, replicas: number) =>
  eventually(`${name} has ${replicas} available pods`, async () => {
    const { metadata, status } = await call('GET', deployments(name))
    return status?.observedGeneration >= metadata.generation && (status?.availableReplicas ?? 0) === replicas && (status?.updatedReplicas ?? 0) === replicas
  })
export const podsOf = async (name: string): Promise<Json[]> => (await call('GET', `${pods()}?labelSelector=app%3D${name}`))['items']

/** A second version that never comes up, with things the first one does not have. */
export async function breakIt(name: string): Promise<void> {
  await call('PATCH', deployments(name), {
    spec: {
      progressDeadlineSeconds: 2,
      template: {
        metadata: { labels: { extra: 'label' }, annotations: { extra: 'annotation' } },
        spec: { ...podSpec('shop/cart:2-broken'), nodeSelector: { type: 'kwok' }, volumes: [{ name: 'scratch', emptyDir: {} }], terminationGracePeriodSeconds: 5 },
      },
    },
  })
  await eventually(`${name} is stuck`, async () => ((await reader.observe(target('Deployment', name)))?.health.faults ?? []).includes('stuck_rollout'))
}

/** Aegis itself has no verb for this. */
export async function remove(path: string): Promise<void> {
  const request = admin.request as (call: { method: string; path: string }) => Promise<{ status: number }>
  await request({ method: 'DELETE', path })
  await eventually(`${path} is gone`, async () => (await admin.request({ method: 'GET', path })).status === 404)
}

// What Aegis does

export const target = (kind: Target['kind'], name: string): Target => ({ cluster: 'edge', namespace, kind, name })
export const options = { allowedNamespaces: ['kubernetes-*'], keyedDigest: keyedDigest(Buffer.from('test')), remediationId: 'r-preflight' }

export async function observed(name: string): Promise<DeploymentObservation> {
  const observation = await reader.observe(target('Deployment', name))
  if (observation?.kind !== 'Deployment') throw new Error(`${name} is not there`)
  return observation
}
export async function planned<P extends Plan>(action: ActionName, where: Target, parameters: ActionParameters = {}): Promise<P> {
  const observation = await reader.observe(where)
  if (!observation) throw new Error(`${where.name} is not there`)
  const plan = actionRules[action].plan(observation, parameters, null)
  if (isRefusal(plan)) throw new Error(`${plan.reason}: ${plan.message}`)
  return plan as P
}
export const scaling = (name: string, replicas: number) => planned<ScaleDeploymentPlan>('scale_deployment', target('Deployment', name), { replicas })
export const rollingBack = (name: string, revision?: number) => planned<RollbackDeploymentPlan>('rollback_deployment', target('Deployment', name), revision === undefined ? {} : { revision })
export const restarting = (name: string) => planned<RestartPodPlan>('restart_pod', target('Pod', name))

export const situation = (plan: Plan, phase: EffectPhase, id: string, read: AttemptRead) => actionRules[plan.action].situation(plan, phase, id, read).is

/** As the execution worker does it: a conflict starts the attempt over. */
export async function run(plan: Plan, phase: EffectPhase, id: string): Promise<string> {
  for (let tries = 0; tries < 8; tries++) {
    const read = await executor.read(plan)
    const is = situation(plan, phase, id, read)
    if (is !== 'ready') return is
    const { sent } = await executor.send(plan, phase, id, read)
    if (sent !== 'conflict') return sent
  }
  throw new Error('eight conflicts in a row')
}
export async function fence(plan: Plan, id: string, mark: 'abandoned' | 'undone') {
  return eventually('the fence is written', async () => {
    const fenced = await executor.fence(plan, id, mark, await executor.read(plan))
    return fenced !== 'conflict' && fenced
  })
}
export const changes = () => mutationsBy(cluster, { userAgentPrefix: 'aegis-executor/test', namespace })
export const changesOf = (name: string) => changes().filter(({ objectRef }) => objectRef?.name === name)
export const stamps = async (name: string) => parseStamps((await call('GET', deployments(name)))['metadata'].annotations?.[stampAnnotation])
export const refusalFor = async (plan: Plan, overrides: Partial<typeof options> = {}) => (await executor.preflight(plan, { ...options, ...overrides })).refusal
export const checkNamed = async (plan: Plan, name: string) => (await executor.preflight(plan, options)).checks.find((check) => check.name === name)
