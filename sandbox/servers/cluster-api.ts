/** The sandbox's own hands in a cluster: an administrator's, for what an operator would do with kubectl. */
import { request } from 'node:https'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'

export type Credentials = { token: string } | { cert: string; key: string }
export type Api = {
  server: string
  ca: string
  credentials: Credentials
  /** Rejects with the status and the beginning of the answer. `as`: under another user's name, with an administrator's rights. */
  call(method: string, path: string, body?: unknown, contentType?: string, as?: string): Promise<string>
}

/** By the files that kwokctl leaves. */
export function administrator(workdir: string): Api {
  const { clusters } = parse(readFileSync(join(workdir, 'kubeconfig.yaml'), 'utf8'))
  const pki = (file: string) => readFileSync(join(workdir, 'pki', file), 'utf8')
  return apiOf(clusters[0].cluster.server, pki('ca.crt'), { cert: pki('admin.crt'), key: pki('admin.key') })
}

/** By a kubeconfig of the sandbox, which holds everything inside. */
export function administratorBy(kubeconfig: string): Api {
  const { clusters, users } = parse(readFileSync(kubeconfig, 'utf8'))
  const text = (base64: string) => Buffer.from(base64, 'base64').toString('utf8')
  const { server, 'certificate-authority-data': ca } = clusters[0].cluster
  const { 'client-certificate-data': cert, 'client-key-data': key } = users[0].user
  return apiOf(server, text(ca), { cert: text(cert), key: text(key) })
}

function apiOf(server: string, ca: string, credentials: { cert: string; key: string }): Api {
  const call: Api['call'] = (method, path, body, contentType = 'application/json', as) =>
    new Promise((resolve, reject) => {
      const impersonating = as === undefined ? {} : { 'impersonate-user': as, 'impersonate-group': 'system:masters' }
      const headers = { 'content-type': contentType, 'user-agent': 'aegis-sandbox', ...impersonating }
      const sent = request(new URL(path, server), { method, ca, ...credentials, headers, timeout: 10_000 }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk) => (text += chunk))
        response.once('error', reject)
        response.once('end', () => {
          if ((response.statusCode ?? 500) < 300) resolve(text)
          else reject(new Error(`${method} ${path} answered ${response.statusCode}: ${text.slice(0, 300)}`))
        })
      })
      sent.once('error', reject)
      sent.once('timeout', () => sent.destroy(new Error(`${method} ${path} was not answered within 10 s`)))
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return { server, ca, credentials, call }
}

export type KubernetesObject = { apiVersion: string; kind: string; metadata: { name: string; namespace?: string } }

export const yamlFiles = (folder: string) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
    .map((name) => join(folder, name))

/** The objects in a folder's manifests, namespaces first because the others may live in them. */
export function objectsIn(folder: string): KubernetesObject[] {
  const objects = yamlFiles(folder)
    .flatMap((path) => parseAllDocuments(readFileSync(path, 'utf8')))
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((object) => object !== null)
  return [...objects.filter(isNamespace), ...objects.filter((object) => !isNamespace(object))]
}

const isNamespace = ({ kind }: KubernetesObject) => kind === 'Namespace'

/** Server-side apply, one after another. */
export async function applyAll(api: Api, objects: readonly KubernetesObject[]): Promise<void> {
  for (const object of objects) await api.call('PATCH', `${pathOf(object)}?fieldManager=aegis-sandbox&force=true`, object, 'application/apply-patch+yaml')
}

function pathOf({ apiVersion, kind, metadata }: KubernetesObject): string {
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const collection = `${kind.toLowerCase()}s`.replace(/ys$/, 'ies')
  return `${group}${metadata.namespace ? `/namespaces/${metadata.namespace}` : ''}/${collection}/${metadata.name}`
}
