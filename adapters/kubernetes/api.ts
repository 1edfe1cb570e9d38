import type { Answer, Call, Connection, Query } from './connection.ts'
import { failureOf } from './errors.ts'

/** Paths, reads and lists of the API, as the rest of this room uses them. */

const groups = {
  pods: '/api/v1',
  nodes: '/api/v1',
  namespaces: '/api/v1',
  configmaps: '/api/v1',
  resourcequotas: '/api/v1',
  limitranges: '/api/v1',
  deployments: '/apis/apps/v1',
  replicasets: '/apis/apps/v1',
  statefulsets: '/apis/apps/v1',
  daemonsets: '/apis/apps/v1',
  horizontalpodautoscalers: '/apis/autoscaling/v2',
  scaledobjects: '/apis/keda.sh/v1alpha1',
  poddisruptionbudgets: '/apis/policy/v1',
} as const
export type Resource = keyof typeof groups

/** `namespace` undefined: all of them, or a resource that has none. */
export const pathOf = (resource: Resource, namespace?: string, ...rest: string[]): string =>
  [groups[resource], ...(namespace === undefined ? [] : ['namespaces', encodeURIComponent(namespace)]), resource, ...rest.map(encodeURIComponent)].join('/')

/** The object as the server has it, or undefined where there is none. Throws `unavailable` or `forbidden`. */
export async function get<T>(connection: Connection, path: string): Promise<T | undefined> {
  const answer = await connection.request({ method: 'GET', path })
  if (answer.status === 404) return undefined
  return expectOk<T>(connection, `read ${lastOf(path)}`, answer)
}

/** Big lists come in pages of this size; the bound is far above any namespace that could work. */
const pageSize = 500
const pageLimit = 200

export type Listed<T> = { items: T[]; resourceVersion: string }
type Page<T> = { items?: T[] | null; metadata?: { continue?: string; resourceVersion?: string } }

/** All objects below a path. Throws `unavailable`, `forbidden`, or `missing` where the API is not served. */
export async function list<T>(connection: Connection, path: string, query: Query = {}): Promise<Listed<T>> {
  const items: T[] = []
  let next: string | undefined
  for (let page = 0; page < pageLimit; page++) {
    const answer = await connection.request({ method: 'GET', path, query: { ...query, limit: pageSize, continue: next } })
    // An expired cursor: what is read so far may be inconsistent, so the caller starts over.
    const { items: more, metadata } = expectOk<Page<T>>(connection, `list ${lastOf(path)}`, answer.status === 410 ? { ...answer, status: 503 } : answer)
    items.push(...(more ?? []))
    next = metadata?.continue
    if (!next) return { items, resourceVersion: metadata?.resourceVersion ?? '' }
  }
  throw failureOf(connection.cluster, `list ${lastOf(path)} in fewer than ${pageLimit} pages`, { status: 503, body: null, retryAfterMs: null })
}

export async function create<T>(connection: Connection, path: string, body: unknown): Promise<T> {
  const call: Call = { method: 'POST', path, body }
  return expectOk<T>(connection, `create ${lastOf(path)}`, await connection.request(call))
}

function expectOk<T>(connection: Connection, what: string, answer: Answer): T {
  if (answer.status >= 200 && answer.status < 300 && answer.body !== null) return answer.body as T
  throw failureOf(connection.cluster, what, answer)
}

/** `pods/checkout-7d` of `/api/v1/namespaces/shop/pods/checkout-7d`. */
const lastOf = (path: string): string => `\`${path.replace(/^\/apis?\/[^/]+(\/v[^/]+)?\//, '')}\``
