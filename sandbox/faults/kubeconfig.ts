import { readFileSync, writeFileSync } from 'node:fs'
import { parse, stringify } from 'yaml'

type NamedCluster = { name: string; cluster: { server: string; 'certificate-authority-data'?: string } }
type NamedUser = { name: string; user: { token?: string; 'client-certificate-data'?: string; 'client-key-data'?: string } }
type Kubeconfig = { clusters: NamedCluster[]; users: NamedUser[] }

/** How a proxy reaches the API server behind it. A bearer token needs no place here: it travels in the request. */
export type Upstream = { server: string; ca: string | undefined; cert: string | undefined; key: string | undefined }

/** Of a kubeconfig with one cluster and one user, everything inside, as the sandbox writes them. */
export function upstreamOf(path: string): Upstream {
  const { clusters, users } = parse(readFileSync(path, 'utf8')) as Kubeconfig
  const [cluster, user] = [clusters[0]?.cluster, users[0]?.user]
  if (!cluster) throw new Error(`the kubeconfig \`${path}\` names no cluster`)
  const decoded = (text: string | undefined) => (text === undefined ? undefined : Buffer.from(text, 'base64').toString('utf8'))
  return {
    server: cluster.server,
    ca: decoded(cluster['certificate-authority-data']),
    cert: decoded(user?.['client-certificate-data']),
    key: decoded(user?.['client-key-data']),
  }
}

/** The same identity, by way of `server`. A client certificate stays behind: the proxy presents it. */
export function writeKubeconfigThrough(server: string, { from, to }: { from: string; to: string }): void {
  const config = parse(readFileSync(from, 'utf8')) as Kubeconfig
  const changed = {
    ...config,
    clusters: config.clusters.map(({ name }) => ({ name, cluster: { server, 'insecure-skip-tls-verify': true } })),
    users: config.users.map(({ name, user: { token } }) => ({ name, user: token === undefined ? {} : { token } })),
  }
  writeFileSync(to, stringify(changed), { mode: 0o600 })
}
