/**
 * Aegis as it runs in production, each process for itself, with a proxy on every wire: before PostgreSQL, before
 * Temporal, and before the API server for each of the two identities. Nothing inside Aegis knows of them.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loginName } from '../../adapters/postgres/roles.ts'
import { startAegis, type Aegis, type AegisProcess } from '../../sandbox/aegis.ts'
import { startGrpcProxy, type GrpcProxy } from '../../sandbox/faults/grpc-proxy.ts'
import { startApiProxy, type ApiProxy } from '../../sandbox/faults/http-proxy.ts'
import { startPostgresProxy, type PostgresProxy } from '../../sandbox/faults/postgres-proxy.ts'
import { openGuards } from '../../sandbox/open-guards.ts'
import { freePorts } from '../../sandbox/ports.ts'
import { startServer, untilReady } from '../../sandbox/processes.ts'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { operator, type Operator } from './operator.ts'
import { openJudge, type Judge } from './judge.ts'
import { clusterNamed, freshDatabase, stack, type FreshDatabase, type TestCluster } from './stack.ts'

export type Proxies = { executor: ApiProxy; observer: ApiProxy; postgres: PostgresProxy; temporal: GrpcProxy }

export type FaultyAegis = Proxies & {
  aegis: Aegis
  cluster: TestCluster
  /** The one execution worker that startAegis started, behind the proxies. */
  worker: AegisProcess
  operator: Operator
  judge: Judge
  database: FreshDatabase
  /** A second execution worker for the same cluster; only Temporal it reaches by a way of its own. */
  standby(): Promise<Standby>
  stop(): Promise<void>
}

export type Standby = { pid: number; stop(): void }

/** Short times, wide limits: these tests are about faults, not about waiting. */
const settings = {
  ...openGuards,
  AEGIS_MODE: 'auto',
  AEGIS_NAMESPACES: 'crash-*',
  AEGIS_SETTLE_MS: '700',
  AEGIS_VERIFY_TIMEOUT_MS: '30000',
  AEGIS_DEADLINE_MS: '120000',
  AEGIS_LIMITS: 'restart_pod=1000/60s,scale_deployment=1000/60s,rollback_deployment=1000/60s',
  AEGIS_CONCURRENCY_PER_CLUSTER: '100',
  AEGIS_CONCURRENCY_PER_NAMESPACE: '10',
  AEGIS_IN_FLIGHT_LIMIT: '40',
  AEGIS_RECONCILE_EVERY_MS: '500',
  AEGIS_RECONCILE_IDLE_MS: '3000',
}

/** Namespaces `crash-ask-*` need a person; all other `crash-*` may be acted in. */
const policies = `
apiVersion: aegis.dev/policy/v1
id: crash-allow
name: Anything, in the namespaces of these tests
effect: allow
actions: ['*']
resources: ['k8s:*/crash-*/**']
owner: tests
---
apiVersion: aegis.dev/policy/v1
id: crash-ask
name: A person is asked first
effect: require_approval
actions: ['*']
resources: ['k8s:*/crash-ask-*/**']
obligations: { minApprovals: 1, approvalTtl: 15m }
owner: tests
`

export type FaultyOptions = { cluster?: string; apis?: number; env?: Record<string, string> }

export async function startFaultyAegis({ cluster: name = 'main', apis = 1, env = {} }: FaultyOptions = {}): Promise<FaultyAegis> {
  const cluster = clusterNamed(name)
  const directory = join(stack.directory, `crash-${randomBytes(4).toString('hex')}`)
  const policyDirectory = join(directory, 'policies')
  mkdirSync(policyDirectory, { recursive: true, mode: 0o700 })
  writeFileSync(join(policyDirectory, 'crash.yaml'), policies)

  const database = await freshDatabase()
  const proxies: Proxies = {
    executor: await startApiProxy({ kubeconfig: cluster.executorKubeconfig, directory }),
    observer: await startApiProxy({ kubeconfig: cluster.observerKubeconfig, directory }),
    postgres: await startPostgresProxy({ to: new URL(database.ownerUrl).host }),
    temporal: await startGrpcProxy({ to: stack.temporal.address }),
  }
  const closeProxies = () => Promise.all(Object.values(proxies).map((proxy) => proxy.close()))
  const given = { ...settings, AEGIS_POLICY_DIRECTORY: policyDirectory, ...env }
  const aegis = await startAegis({
    stack: { ...stack, clusters: [{ ...cluster, observerKubeconfig: proxies.observer.kubeconfig }] },
    directory,
    stackDirectory: stack.directory,
    database,
    env: given,
    apis,
    watcher: false,
    through: { temporal: proxies.temporal.address, database: proxies.postgres.address, kubeconfigs: { [name]: proxies.executor.kubeconfig } },
  }).catch(async (failure: unknown) => {
    await closeProxies() // open ones would keep the test process alive
    throw failure
  })
  const worker = aegis.executions[name]
  if (!worker) throw new Error(`no execution worker was started for ${name}`)
  const judge = openJudge(cluster, database)
  const standbys: Standby[] = []
  return {
    ...proxies, aegis, cluster, worker, judge, database,
    operator: operator(aegis.url, aegis.apiKey),
    async standby() {
      const started = await startStandby({ directory, cluster, kubeconfig: proxies.executor.kubeconfig, databaseUrl: through(database, proxies.postgres), env: given })
      standbys.push(started)
      return started
    },
    async stop() {
      for (const proxy of Object.values(proxies)) proxy.comeBack()
      for (const each of standbys) each.stop()
      await aegis.stop()
      await judge.close()
      await closeProxies()
      await database.drop()
    },
  }
}

function through({ urlFor }: FreshDatabase, { address }: PostgresProxy): string {
  const url = new URL(urlFor(loginName('execution')))
  url.host = address
  return url.href
}

const readyLimitMs = 60_000

type StandbyOptions = { directory: string; cluster: TestCluster; kubeconfig: string; databaseUrl: string; env: Record<string, string> }

async function startStandby({ directory, cluster, kubeconfig, databaseUrl, env }: StandbyOptions): Promise<Standby> {
  const [port = 0] = await freePorts(1)
  const { pid, child, log } = startServer({
    directory: stack.directory,
    command: process.execPath,
    args: ['--import', 'tsx', join(checkout, 'workers/execution.ts')],
    log: join(directory, 'logs', `standby-${port}.log`),
    cwd: checkout,
    env: {
      ...env,
      DATABASE_URL: databaseUrl,
      TEMPORAL_ADDRESS: stack.temporal.address,
      AEGIS_CLUSTER: cluster.name,
      KUBECONFIG: kubeconfig,
      AEGIS_WARRANT_PUBLIC_KEYS_FILE: join(directory, 'warrant.pub'),
      AEGIS_HEALTH_PORT: `${port}`,
    },
  })
  await untilReady('the standby', { pid, child, log }, async () => (await fetch(`http://127.0.0.1:${port}/ready`)).ok, readyLimitMs)
  return { pid, stop: () => void child.kill('SIGKILL') }
}
