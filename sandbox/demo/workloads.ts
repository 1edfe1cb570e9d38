/** What the demo's incidents happen to, made and broken as an administrator would. */
import { AppsV1Api, CoreV1Api, KubeConfig, PatchStrategy, setHeaderOptions, type V1Deployment, type V1Pod } from '@kubernetes/client-node'
import { setTimeout as sleep } from 'node:timers/promises'
import { manageNamespace } from '../servers/backstop.ts'

export type Shop = ReturnType<typeof openShop>

const readyLimitMs = 30_000

export function openShop(kubeconfig: string) {
  const config = new KubeConfig()
  config.loadFromFile(kubeconfig)
  const apps = config.makeApiClient(AppsV1Api)
  const core = config.makeApiClient(CoreV1Api)
  const mergePatch = setHeaderOptions('Content-Type', PatchStrategy.MergePatch)

  const deployment = (namespace: string) => apps.readNamespacedDeployment({ name: workloadName, namespace })
  const pods = async (namespace: string): Promise<V1Pod[]> => (await core.listNamespacedPod({ namespace })).items
  const ready = async (namespace: string): Promise<boolean> => isComplete(await deployment(namespace))

  const annotatePod = (namespace: string, name: string, annotations: Record<string, string>) =>
    core.patchNamespacedPod({ name, namespace, body: { metadata: { annotations } } }, mergePatch)
  const fail = (namespace: string, name: string) => annotatePod(namespace, name, { [unready]: 'true' })

  return {
    deployment,
    pods,
    annotatePod,
    async open(namespace: string, image: string, annotations: Record<string, string> = {}) {
      await core.createNamespace({ body: { metadata: { name: namespace } } })
      await manageNamespace(kubeconfig, namespace)
      await apps.createNamespacedDeployment({ namespace, body: checkout(image, annotations) })
    },
    async release(namespace: string, image: string, annotations: Record<string, string | null> = {}) {
      const template = { metadata: { annotations }, spec: { containers: [{ name: workloadName, image }] } }
      await apps.patchNamespacedDeployment({ name: workloadName, namespace, body: { spec: { template } } }, mergePatch)
    },
    scale: (namespace: string, replicas: number) =>
      apps.patchNamespacedDeployment({ name: workloadName, namespace, body: { spec: { replicas } } }, mergePatch),
    /**
     * From now on each `fragile` pod of the namespace fails soon after it is ready, as a release does
     * whose database schema has moved on. Stops by itself, or when the returned function is called.
     */
    poison(namespace: string, limitMs = 90_000): () => void {
      const untilMs = Date.now() + limitMs
      let stopped = false
      void (async () => {
        while (!stopped && Date.now() < untilMs) {
          const sound = (await pods(namespace).catch(() => [])).filter(isFragileAndSound)
          for (const { metadata } of sound) await fail(namespace, metadata?.name ?? '').catch(() => undefined)
          await sleep(100)
        }
      })()
      return () => void (stopped = true)
    },
    untilReady: (namespace: string) => until(`${namespace} is ready`, () => ready(namespace)),
  }
}

export const workloadName = 'checkout'
export const replicas = 3

/** A service as a team would write it, with a short patience for rollouts so that the demo is. */
function checkout(image: string, annotations: Record<string, string>): V1Deployment {
  const labels = { app: workloadName }
  return {
    metadata: { name: workloadName, labels },
    spec: {
      replicas,
      progressDeadlineSeconds: 5,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels, annotations },
        spec: { containers: [{ name: workloadName, image, env: [{ name: 'DATABASE_PASSWORD', value: 'not-for-anyone' }] }] },
      },
    },
  }
}

const unready = 'sandbox.aegis.dev/unready'
const isFragileAndSound = ({ metadata, spec }: V1Pod): boolean =>
  metadata?.annotations?.[unready] === undefined && metadata?.deletionTimestamp === undefined && spec?.containers[0]?.image?.includes('fragile') === true

function isComplete({ metadata, spec, status }: V1Deployment): boolean {
  const wanted = spec?.replicas ?? 1
  const seen = (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0)
  return seen && status?.updatedReplicas === wanted && status.availableReplicas === wanted && status.replicas === wanted
}

/** Asks until it is so; the bound makes a demo that hangs one that fails. */
export async function until(what: string, probe: () => Promise<boolean>, limitMs = readyLimitMs): Promise<void> {
  const deadline = Date.now() + limitMs
  while (!(await probe().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`waited ${limitMs / 1000} s in vain until ${what}`)
    await sleep(100)
  }
}
