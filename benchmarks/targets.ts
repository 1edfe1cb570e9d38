import { AppsV1Api, CoreV1Api, KubeConfig } from '@kubernetes/client-node'
import { setTimeout as sleep } from 'node:timers/promises'
import { manageNamespace } from '../sandbox/servers/backstop.ts'

export type Target = { namespace: string; name: string }
/** `replicas` is never what the target has already, as long as scales are carried out in order. */
export type Scale = Target & { replicas: number }

export type Targets = {
  /** Another workload each time, so that no scale waits for the claim of the one before. */
  next(): Scale
  /** Workloads in the namespaces where the policy wants a person. */
  nextAsking(): Scale
}

const namespaces = 50
const perNamespace = 6
const askingNamespaces = 10
const [few, many] = [2, 3]
const readyLimitMs = 180_000

/** Makes 50 namespaces with six small Deployments each, and ten where people are asked; waits until all are ready. */
export async function createTargets(kubeconfig: string): Promise<Targets> {
  const config = new KubeConfig()
  config.loadFromFile(kubeconfig)
  const [apps, core] = [config.makeApiClient(AppsV1Api), config.makeApiClient(CoreV1Api)]
  const acting = numbered('bench', namespaces).flatMap((namespace) => numbered('app', perNamespace).map((name) => ({ namespace, name })))
  const asking = numbered('bench-ask', askingNamespaces).map((namespace) => ({ namespace, name: 'app' }))
  const all = [...acting, ...asking]

  for (const namespace of new Set(all.map((target) => target.namespace))) {
    await core.createNamespace({ body: { metadata: { name: namespace } } })
    await manageNamespace(kubeconfig, namespace)
  }
  for (const { namespace, name } of all) await apps.createNamespacedDeployment({ namespace, body: deployment(name) })
  await untilReady(apps, all.length)
  return { next: inTurn(acting), nextAsking: upwards(asking) }
}

const numbered = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${prefix}-${String(index + 1).padStart(2, '0')}`)

function deployment(name: string) {
  const labels = { app: name }
  const template = { metadata: { labels }, spec: { containers: [{ name, image: 'registry.example/app:1' }] } }
  return { metadata: { name, labels }, spec: { replicas: few, selector: { matchLabels: labels }, template } }
}

async function untilReady(apps: AppsV1Api, count: number): Promise<void> {
  const deadline = Date.now() + readyLimitMs
  for (;;) {
    const { items } = await apps.listDeploymentForAllNamespaces({})
    const ready = items.filter(({ status }) => status?.availableReplicas === few).length
    if (ready >= count) return
    if (Date.now() > deadline) throw new Error(`${ready} of ${count} workloads were ready after ${readyLimitMs / 1000} s`)
    await sleep(500)
  }
}

/** Nobody answers these, so they stay as they are, and what is asked for stays wanted. */
function upwards(targets: readonly Target[]): () => Scale {
  let asked = 0
  return () => {
    const target = targets[asked++ % targets.length]
    if (!target) throw new Error('there are no targets')
    return { ...target, replicas: many }
  }
}

/** Round after round through all targets: up, then down again. */
function inTurn(targets: readonly Target[]): () => Scale {
  let asked = 0
  return () => {
    const target = targets[asked % targets.length]
    const round = Math.floor(asked / targets.length)
    asked++
    if (!target) throw new Error('there are no targets')
    return { ...target, replicas: round % 2 === 0 ? many : few }
  }
}
