/** Whether a namespace's quotas leave room for more pods of one template. Amounts are Kubernetes quantities as text. */

export type Amounts = Record<string, string>
export type ContainerNeeds = {
  /** `init` runs before the others and alone; `sidecar` is an init container that stays. */
  role: 'main' | 'init' | 'sidecar'
  requests: Amounts
  limits: Amounts
}
/** What a LimitRange fills in for containers that say nothing. */
export type ContainerDefaults = { requests: Amounts; limits: Amounts }
export type Quota = {
  name: string
  /** It counts only some pods, so that a shortage may not concern these. */
  scoped: boolean
  hard: Amounts
  used: Amounts
}
export type Shortage = { quota: string; scoped: boolean; resource: string }

const suffixes: Record<string, number> = {
  n: 1e-9, u: 1e-6, m: 1e-3, '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
  Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60,
}

/** `250m` is 0.25, `1Gi` is 1073741824; undefined for what is no quantity. */
export function parseQuantity(text: string): number | undefined {
  const [, number, suffix = ''] = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([KMGTPE]i|[numkMGTPE])?$/.exec(text.trim()) ?? []
  const factor = suffixes[suffix]
  return number === undefined || factor === undefined ? undefined : Number(number) * factor
}

/** What one pod is charged, by quota resource. A resource that some container leaves out is absent. */
export function podNeeds(containers: readonly ContainerNeeds[], defaults: ContainerDefaults): Map<string, number> {
  const needs = new Map<string, number>([['pods', 1], ['count/pods', 1]])
  for (const resource of ['cpu', 'memory']) {
    const requests = total(containers, (container) => requestOf(container, defaults, resource))
    const limits = total(containers, (container) => limitOf(container, defaults, resource))
    if (requests !== undefined) needs.set(resource, requests).set(`requests.${resource}`, requests)
    if (limits !== undefined) needs.set(`limits.${resource}`, limits)
  }
  return needs
}

/** An amount that is missing where a quota asks for one counts as a shortage: such pods are refused. */
export function shortages(morePods: number, needs: ReadonlyMap<string, number>, quotas: readonly Quota[]): Shortage[] {
  return quotas.flatMap(({ name, scoped, hard, used }) =>
    Object.entries(hard)
      .filter(([resource]) => charged.has(resource))
      .filter(([resource, limit]) => {
        const need = needs.get(resource)
        const left = (parseQuantity(limit) ?? 0) - (parseQuantity(used[resource] ?? '0') ?? 0)
        return need === undefined || need * morePods > left
      })
      .map(([resource]) => ({ quota: name, scoped, resource })),
  )
}

const charged = new Set(['pods', 'count/pods', 'cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'])

/** Undefined unless every container has an amount: quotas refuse pods that leave one out. Init containers run one by one, beside the sidecars. */
function total(containers: readonly ContainerNeeds[], amountOf: (container: ContainerNeeds) => number | undefined): number | undefined {
  let [staying, peak] = [0, 0]
  for (const container of containers) {
    const amount = amountOf(container)
    if (amount === undefined) return undefined
    if (container.role === 'init') peak = Math.max(peak, staying + amount)
    if (container.role === 'sidecar') staying += amount
  }
  const together = containers.filter(({ role }) => role !== 'init').reduce((sum, container) => sum + (amountOf(container) ?? 0), 0)
  return Math.max(peak, together)
}

const limitOf = ({ limits }: ContainerNeeds, defaults: ContainerDefaults, resource: string) => quantityOf(limits[resource] ?? defaults.limits[resource])

/** A limit without a request is the request too. */
const requestOf = (container: ContainerNeeds, defaults: ContainerDefaults, resource: string) =>
  quantityOf(container.requests[resource] ?? container.limits[resource] ?? defaults.requests[resource] ?? defaults.limits[resource])

const quantityOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : parseQuantity(text))
