import { readFileSync, writeFileSync } from 'node:fs'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { parse, stringify } from 'yaml'
import { checkout, programs } from '../setup/programs.mjs'
import { goSettings, markFor, tail } from '../processes.ts'
import { applyBackstop, isHeldBack, thaw } from './backstop.ts'
import { administrator, yamlFiles, type Api, type Credentials } from './cluster-api.ts'

export type SandboxCluster = {
  name: string
  server: string
  /** Credentials of a cluster administrator. Aegis itself never gets them. */
  kubeconfig: string
  observerKubeconfig: string
  executorKubeconfig: string
  guardKubeconfig: string
  auditLog: string
  workdir: string
}

export const portsPerCluster = 6

type Options = { directory: string; name: string; nodes: number; ports: readonly number[] }

const createLimitMs = 90_000
const readyLimitMs = 60_000

export async function startCluster({ directory, name, nodes, ports }: Options): Promise<SandboxCluster> {
  await createControlPlane({ directory, name, ports })
  const workdir = join(directory, 'clusters', name)
  const api = administrator(workdir)
  const kubeconfig = writeKubeconfig({ directory, name, user: 'admin', api, credentials: api.credentials })
  await until('the API server to be ready', () => api.call('GET', '/readyz'))
  await Promise.all([applyBackstop(api), createNodes(api, nodes)])
  const identity = async (account: string) => {
    const token = await tokenOf(api, account)
    return writeKubeconfig({ directory, name, user: account, api, credentials: { token } })
  }
  const [observerKubeconfig, executorKubeconfig, guardKubeconfig] = await Promise.all([
    identity('aegis-observer'),
    identity('aegis-executor'),
    identity('aegis-guard'),
    until('the nodes to be ready', () => nodesReady(api, nodes)),
    until('the controllers to be at work', () => api.call('GET', '/api/v1/namespaces/default/serviceaccounts/default')),
    thaw(kubeconfig),
    until('admission to hold the execution worker back', () => isHeldBack(api)),
  ])
  const auditLog = join(workdir, 'logs/audit.log')
  return { name, server: api.server, kubeconfig, observerKubeconfig, executorKubeconfig, guardKubeconfig, auditLog, workdir }
}

/** The real control plane, and kwok to play the kubelets. Its processes inherit the stack's mark from kwokctl. */
async function createControlPlane({ directory, name, ports }: Omit<Options, 'nodes'>): Promise<void> {
  const at = programs()
  const config = join(directory, `clusters/${name}.kwok.yaml`)
  writeFileSync(config, kwokConfig(ports))
  const log = join(directory, `logs/kwokctl-${name}.log`)
  const args = [
    ...['--name', name, 'create', 'cluster', '--runtime', 'binary', '--config', config],
    ...['--kubeconfig', join(directory, `clusters/${name}.kubeconfig`)], // kwokctl would write to the user's own otherwise
    ...['--kube-audit-policy', join(checkout, 'sandbox/kwok/audit.yaml'), '--timeout', '60s'],
    ...['--etcd-binary', at.etcd, '--kube-apiserver-binary', at.kubeApiserver],
    ...['--kube-controller-manager-binary', at.kubeControllerManager, '--kube-scheduler-binary', at.kubeScheduler],
    ...['--kwok-controller-binary', at.kwok],
  ]
  const env = { ...process.env, ...goSettings, ...markFor(directory), KWOK_WORKDIR: directory }
  try {
    const { stderr } = await promisify(execFile)(at.kwokctl, args, { cwd: directory, env, timeout: createLimitMs })
    writeFileSync(log, stderr)
  } catch (error) {
    writeFileSync(log, String((error as { stderr?: string }).stderr ?? error))
    throw new Error(`the cluster ${name} did not start; the end of kwokctl's log (${log}):\n${tail(log)}`, { cause: error })
  }
}

/** Ports first, as the configuration document; then the stages that say how pods and nodes behave. */
function kwokConfig(ports: readonly number[]): string {
  const folder = join(checkout, 'sandbox/kwok')
  const base = parse(readFileSync(join(folder, 'kwokctl.yaml'), 'utf8'))
  const [kubeApiserverPort, etcdPort, etcdPeerPort, kubeControllerManagerPort, kubeSchedulerPort, kwokControllerPort] = ports
  const chosen = { kubeApiserverPort, etcdPort, etcdPeerPort, kubeControllerManagerPort, kubeSchedulerPort, kwokControllerPort }
  const stages = yamlFiles(join(folder, 'stages')).map((path) => readFileSync(path, 'utf8'))
  return [stringify({ ...base, options: { ...base.options, ...chosen } }), ...stages].join('\n---\n')
}

async function until(what: string, probe: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + readyLimitMs
  for (;;) {
    try {
      if ((await probe()) !== false) return
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`waited ${readyLimitMs / 1000} s in vain for ${what}`, { cause: error })
    }
    if (Date.now() > deadline) throw new Error(`waited ${readyLimitMs / 1000} s in vain for ${what}`)
    await sleep(50)
  }
}

const zones = ['zone-a', 'zone-b', 'zone-c']
const size = { cpu: '64', memory: '512Gi', pods: '5000' }

const createNodes = (api: Api, count: number) =>
  Promise.all(Array.from({ length: count }, (_, index) => api.call('POST', '/api/v1/nodes', nodeAt(index))))

const nodeAt = (index: number) => {
  const name = `node-${index + 1}`
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      annotations: { 'kwok.x-k8s.io/node': 'fake', 'node.alpha.kubernetes.io/ttl': '0' },
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': 'amd64',
        'topology.kubernetes.io/zone': zones[index % zones.length],
        type: 'kwok',
      },
    },
    status: { capacity: size, allocatable: size },
  }
}

type Node = { spec: { taints?: unknown[] }; status: { conditions?: { type: string; status: string }[] } }

/** Ready and without the taint that keeps pods away from nodes that were not. */
async function nodesReady(api: Api, count: number): Promise<boolean> {
  const { items } = JSON.parse(await api.call('GET', '/api/v1/nodes')) as { items: Node[] }
  const isReady = ({ spec, status }: Node) =>
    !spec.taints?.length && status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
  return items.filter(isReady).length >= count
}

const dayInSeconds = 24 * 60 * 60

async function tokenOf(api: Api, account: string): Promise<string> {
  const answer = await api.call('POST', `/api/v1/namespaces/aegis-system/serviceaccounts/${account}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: dayInSeconds },
  })
  return JSON.parse(answer).status.token
}

type KubeconfigOf = { directory: string; name: string; user: string; api: Api; credentials: Credentials }

/** A kubeconfig with everything inside, so that it can be copied next to a worker. */
function writeKubeconfig({ directory, name, user, api, credentials }: KubeconfigOf): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const path = join(directory, 'kubeconfigs', `${name}.${user}.yaml`)
  const login =
    'token' in credentials
      ? { token: credentials.token }
      : { 'client-certificate-data': base64(credentials.cert), 'client-key-data': base64(credentials.key) }
  const content = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [{ name, cluster: { server: api.server, 'certificate-authority-data': base64(api.ca) } }],
    users: [{ name: user, user: login }],
    contexts: [{ name, context: { cluster: name, user } }],
  }
  writeFileSync(path, stringify(content), { mode: 0o600 })
  return path
}
