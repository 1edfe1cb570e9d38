/** What the fault tests act on: one workload in a namespace of its own for each of the three actions. */
import { AppsV1Api, CoreV1Api, PatchStrategy, setHeaderOptions, type V1Deployment, type V1Pod } from '@kubernetes/client-node'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ActionName } from '../../domain/remediation.ts'
import { parseStamps, stampAnnotation } from '../../domain/stamp.ts'
import { eventually, freshNamespace, kubeConfig, type TestCluster } from './stack.ts'

export const name = 'checkout'
export const good = 'registry.example/checkout:1'
export const broken = 'registry.example/checkout:2-broken'

const mergePatch = setHeaderOptions('Content-Type', PatchStrategy.MergePatch)

export const administrator = (cluster: TestCluster) => {
  const config = kubeConfig(cluster.kubeconfig)
  return { apps: config.makeApiClient(AppsV1Api), core: config.makeApiClient(CoreV1Api) }
}

export type Subject = {
  action: ActionName
  namespace: string
  /** The body of `POST /api/v1/remediations`. */
  request: { action: ActionName; target: { cluster: string; namespace: string; kind: string; name: string }; parameters: Record<string, number>; reason: string }
}

/** How many replicas a subject has before; a scale asks for one more. */
export const replicas = 2

export const deploymentBody = (image: string, count = replicas): V1Deployment => {
  const labels = { app: name }
  return {
    metadata: { name, labels },
    spec: {
      replicas: count,
      progressDeadlineSeconds: 600,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name, image }] } },
    },
  }
}

export type SubjectOptions = { prefix?: string; image?: string }

/** A workload, with the trouble that the action is good for. */
export async function subjectFor(cluster: TestCluster, action: ActionName, { prefix = 'crash', image = good }: SubjectOptions = {}): Promise<Subject> {
  const namespace = await freshNamespace(cluster, prefix)
  const hands = handsOn(cluster, namespace)
  await hands.deploy(deploymentBody(image))
  await hands.untilComplete()
  const subject = (kind: string, target: string, parameters: Record<string, number>): Subject => ({
    action,
    namespace,
    request: { action, target: { cluster: cluster.name, namespace, kind, name: target }, parameters, reason: 'a fault test' },
  })
  if (action === 'scale_deployment') return subject('Deployment', name, { replicas: replicas + 1 })
  if (action === 'rollback_deployment') {
    await hands.release(broken)
    await eventually('the release is seen to fail', async () => (await hands.pods()).some((pod) => pod.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff'))
    return subject('Deployment', name, {})
  }
  return subject('Pod', await hands.hang(), {})
}

/** What an administrator does to a workload, and sees of it. */
export function handsOn(cluster: TestCluster, namespace: string) {
  const { apps, core } = administrator(cluster)
  const deployment = () => apps.readNamespacedDeployment({ name, namespace })
  const pods = async (): Promise<V1Pod[]> => (await core.listNamespacedPod({ namespace })).items
  const patch = (body: object) => apps.patchNamespacedDeployment({ name, namespace, body }, mergePatch)
  const annotatePod = (pod: string, annotations: Record<string, string>) => core.patchNamespacedPod({ name: pod, namespace, body: { metadata: { annotations } } }, mergePatch)

  return {
    deployment,
    pods,
    patch,
    annotatePod,
    labelNamespace: (labels: Record<string, string>) => core.patchNamespace({ name: namespace, body: { metadata: { labels } } }, mergePatch),
    deploy: (body: V1Deployment) => apps.createNamespacedDeployment({ namespace, body }),
    release: (image: string) => patch({ spec: { template: { spec: { containers: [{ name, image }] } } } }),
    scale: (count: number) => patch({ spec: { replicas: count } }),
    untilComplete: () =>
      eventually(`${namespace} is complete`, async () => {
        const { metadata, spec, status } = await deployment()
        const [wanted, seen] = [spec?.replicas ?? 1, status?.observedGeneration ?? 0]
        return seen >= (metadata?.generation ?? 0) && status?.updatedReplicas === wanted && status.availableReplicas === wanted && status.replicas === wanted
      }),
    /** Every pod of a `fragile` image stops being ready. */
    async spoil(): Promise<void> {
      const isFragile = ({ spec, metadata }: V1Pod) => spec?.containers[0]?.image?.includes('fragile') === true && metadata?.deletionTimestamp === undefined
      await eventually('the fragile pods are unready', async () => {
        const fragile = (await pods()).filter(isFragile)
        const sound = fragile.filter((pod) => isReady(pod, 'True'))
        await Promise.all(sound.map(async (pod) => {
          await knownReady(pod)
          await annotatePod(pod.metadata?.name ?? '', { 'sandbox.aegis.dev/unready': 'true' })
        }))
        return fragile.length > 0 && fragile.every((pod) => isReady(pod, 'False'))
      })
    },
    /** And all of them are again. */
    async recover(): Promise<void> {
      await Promise.all((await pods()).map(({ metadata }) => annotatePod(metadata?.name ?? '', { 'sandbox.aegis.dev/unready': null as never })))
      await eventually('the pods are ready again', async () => (await pods()).every((pod) => isReady(pod, 'True')))
    },
    /** One pod stops being ready for good. Returns its name. */
    async hang(): Promise<string> {
      const [pod] = await pods()
      const hung = pod?.metadata?.name ?? ''
      if (pod) await knownReady(pod)
      await annotatePod(hung, { 'sandbox.aegis.dev/stuck': 'true' })
      await eventually(`${hung} is unready`, async () => (await pods()).some((each) => each.metadata?.name === hung && isReady(each, 'False')))
      return hung
    },
  }
}

/** Conditions carry whole seconds: a pod that stops being ready sooner than this looks as if it never had been. */
export const readyForMs = 2_100

/** Waits until whoever sees this pod stop being ready can tell that it was. */
export async function knownReady({ status }: V1Pod): Promise<void> {
  const since = status?.conditions?.find(({ type, status: is }) => type === 'Ready' && is === 'True')?.lastTransitionTime
  if (since) await sleep(Math.max(0, since.getTime() + readyForMs - Date.now()))
}

const isReady = ({ status }: V1Pod, answer: 'True' | 'False'): boolean => status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === answer) ?? false

/** What the workload is told to be, with everything that differs between two equal runs taken out. */
export async function specState(cluster: TestCluster, { namespace }: Pick<Subject, 'namespace'>, id: string) {
  const { metadata, spec } = await handsOn(cluster, namespace).deployment()
  const { [stampAnnotation]: stamp, ...annotations } = metadata?.annotations ?? {}
  return { spec, annotations, stamps: parseStamps(stamp).map((each) => (each.id === id ? each.phase : 'a stranger')) }
}

/** The same, and what has become of it. Waits until the controllers are done. */
export async function endState(cluster: TestCluster, { namespace }: Pick<Subject, 'namespace'>, id: string) {
  const hands = handsOn(cluster, namespace)
  await hands.untilComplete()
  const pods = await eventually('no pod is on its way out', async () => {
    const found = await hands.pods()
    return found.every(({ metadata }) => metadata?.deletionTimestamp === undefined) && found
  })
  const images = pods.map((pod) => pod.spec?.containers[0]?.image).sort(byText)
  return { ...(await specState(cluster, { namespace }, id)), images }
}

/** A pod whose successor takes its name: the first of a StatefulSet, hung. */
export async function hungStatefulPod(cluster: TestCluster): Promise<Subject> {
  const namespace = await freshNamespace(cluster, 'crash')
  const { metadata, spec } = deploymentBody(good)
  const { apps } = administrator(cluster)
  const { selector, template } = spec!
  await apps.createNamespacedStatefulSet({ namespace, body: { ...(metadata && { metadata }), spec: { serviceName: name, replicas, selector, template } } })
  const hands = handsOn(cluster, namespace)
  await eventually('the set is ready', async () => (await apps.readNamespacedStatefulSet({ name, namespace })).status?.readyReplicas === replicas)
  const hung = await hands.hang()
  const action = 'restart_pod'
  return { action, namespace, request: { action, target: { cluster: cluster.name, namespace, kind: 'Pod', name: hung }, parameters: {}, reason: 'a fault test' } }
}

/** For sorting what may be missing. */
export const byText = (a: string | undefined, b: string | undefined): number => (a ?? '').localeCompare(b ?? '')
