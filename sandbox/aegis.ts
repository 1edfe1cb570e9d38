/**
 * Aegis itself on the embedded stack: the API, the decision worker, one execution worker for each
 * cluster, the watcher and the guard, each as the process it is in production, with its own role and rights.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { migrate } from '../adapters/postgres/connect.ts'
import { createLoginRoles, databaseRoles, loginName, type DatabaseRole } from '../adapters/postgres/roles.ts'
import { createKeys } from '../adapters/signing.ts'
import { freePorts } from './ports.ts'
import { startServer, untilReady, type Server } from './processes.ts'
import { thaw } from './servers/backstop.ts'
import { checkout } from './setup/programs.mjs'
import type { Stack } from './stack.ts'

export type AegisOptions = {
  stack: Pick<Stack, 'temporal' | 'postgres' | 'clusters'>
  /** Keys, logs and the first API key go here. */
  directory: string
  /** Marks the processes as belonging to this stack, so that they end with it. */
  stackDirectory: string
  /** The database's owner URL; its schema is made if it is not there. */
  database: Pick<Stack['postgres'], 'ownerUrl' | 'urlFor'>
  /** Settings on top of the sandbox's own, for every process. */
  env?: Record<string, string>
  apis?: number
  /** Without it the watcher runs too. */
  watcher?: boolean
  /** Addresses to use instead of the real ones, such as a proxy's: `temporal`, `database`, a cluster's name. */
  through?: { temporal?: string; database?: string; kubeconfigs?: Record<string, string> }
  progress?: (line: string) => void
}

/** One of Aegis's processes. It can be killed, paused and started again, as in a cluster. */
export type AegisProcess = {
  name: string
  /** Of the process that runs now. */
  pid(): number
  healthUrl: string
  kill(signal: NodeJS.Signals): void
  start(): Promise<void>
  /** Ends it in order and waits. */
  stop(): Promise<void>
}

export type Aegis = {
  apis: { url: string; process: AegisProcess }[]
  /** The first API's address, and an admin's key. */
  url: string
  apiKey: string
  decision: AegisProcess
  executions: Record<string, AegisProcess>
  watcher: AegisProcess | undefined
  guard: AegisProcess
  readyMs: number
  stop(): Promise<void>
}

const readyLimitMs = 60_000
const stopLimitMs = 30_000

export async function startAegis(options: AegisOptions): Promise<Aegis> {
  const begun = Date.now()
  const { stack, directory, database, progress = () => undefined, watcher: withWatcher = true } = options
  mkdirSync(join(directory, 'logs'), { recursive: true, mode: 0o700 })
  const urls = await prepareDatabase(database)
  const keys = { private: join(directory, 'warrant.key'), public: join(directory, 'warrant.pub') }
  const policyKeys = { private: join(directory, 'policy.key'), public: join(directory, 'policy.pub') }
  const tokenKeys = { private: join(directory, 'token.key'), public: join(directory, 'token.pub') }
  for (const pair of [keys, policyKeys, tokenKeys]) if (!existsSync(pair.private)) createKeys(pair.private, pair.public)
  const callerKeysFile = join(directory, 'caller-keys')
  if (!existsSync(callerKeysFile)) writeFileSync(callerKeysFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })

  const apiCount = options.apis ?? 1
  const ports = await freePorts(2 * apiCount + 3 + stack.clusters.length)
  const nextPort = () => ports.shift() ?? 0
  const publicUrl = `http://127.0.0.1:${ports[0]}` // one Aegis, however many processes answer for it
  const common = { ...commonEnv(options), AEGIS_POLICY_PUBLIC_KEYS_FILE: policyKeys.public }
  const through = (role: DatabaseRole) => inProxy(urls[role], options.through?.database)
  const firstKeyFile = join(directory, 'first-key')

  const apis = Array.from({ length: apiCount }, (_, index) => {
    const port = nextPort()
    const env = { ...common, DATABASE_URL: through('api'), PORT: `${port}`, AEGIS_FIRST_KEY_FILE: firstKeyFile, AEGIS_POLICY_KEY_FILE: policyKeys.private, AEGIS_TOKEN_KEY_FILE: tokenKeys.private, AEGIS_TOKEN_PUBLIC_KEYS_FILE: tokenKeys.public, AEGIS_PUBLIC_URL: publicUrl, UV_THREADPOOL_SIZE: '8', AEGIS_CALLER_KEYS_FILE: callerKeysFile }
    const healthUrl = `http://127.0.0.1:${port}/api/v1/health`
    return { url: `http://127.0.0.1:${port}`, process: processOf(options, { name: index === 0 ? 'api' : `api-${index + 1}`, entry: 'api/main.ts', env, healthUrl }) }
  })
  const worker = (name: string, entry: string, env: Record<string, string>) => {
    const port = nextPort()
    return processOf(options, { name, entry, env: { ...common, ...env, AEGIS_HEALTH_PORT: `${port}` }, healthUrl: `http://127.0.0.1:${port}/ready` })
  }
  const observers = stack.clusters.map(({ name, observerKubeconfig }) => `${name}=${observerKubeconfig}`).join(',')
  const decision = worker('decision', 'workers/decision.ts', { DATABASE_URL: through('decision'), AEGIS_CLUSTERS: observers, AEGIS_WARRANT_KEY_FILE: keys.private })
  const executions = Object.fromEntries(
    stack.clusters.map(({ name, executorKubeconfig }) => [
      name,
      worker(`execution-${name}`, 'workers/execution.ts', {
        DATABASE_URL: through('execution'),
        AEGIS_CLUSTER: name,
        KUBECONFIG: options.through?.kubeconfigs?.[name] ?? executorKubeconfig,
        AEGIS_WARRANT_PUBLIC_KEYS_FILE: keys.public,
      }),
    ]),
  )
  const watcher = withWatcher ? worker('watcher', 'workers/watcher.ts', { DATABASE_URL: through('watcher'), AEGIS_CLUSTERS: observers }) : undefined

  const guarded = stack.clusters.map(({ name, guardKubeconfig }) => `${name}=${guardKubeconfig}`).join(',')
  const guard = worker('guard', 'workers/guard.ts', { DATABASE_URL: through('guard'), AEGIS_CLUSTERS: guarded })
  // What an Aegis of before left frozen in the cluster is nothing that this one's database has lost.
  await Promise.all(stack.clusters.map(({ kubeconfig }) => thaw(kubeconfig)))

  const [firstApi, ...otherApis] = apis.map((api) => api.process)
  const all = [...apis.map((api) => api.process), decision, ...Object.values(executions), guard, ...(watcher ? [watcher] : [])]
  // The first API makes the first key; the others find it made.
  await Promise.all([firstApi?.start(), decision.start(), ...Object.values(executions).map((each) => each.start()), watcher?.start(), guard.start()])
  await Promise.all(otherApis.map((each) => each.start()))
  const readyMs = Date.now() - begun
  progress(`Aegis is up (${(readyMs / 1000).toFixed(1)} s)`)
  return {
    apis,
    url: apis[0]?.url ?? '',
    apiKey: readFileSync(firstKeyFile, 'utf8').trim(),
    decision,
    executions,
    watcher,
    guard,
    readyMs,
    stop: async () => void (await Promise.all(all.map((each) => each.stop()))),
  }
}

function commonEnv({ stack, env = {}, through }: AegisOptions): Record<string, string> {
  return {
    TEMPORAL_ADDRESS: through?.temporal ?? stack.temporal.address,
    TEMPORAL_UI_URL: stack.temporal.uiUrl,
    AEGIS_CLUSTERS: stack.clusters.map(({ name }) => name).join(','),
    AEGIS_POLICY_DIRECTORY: join(checkout, 'policies'),
    AEGIS_RULES_FILE: join(checkout, 'rules/default.yaml'),
    AEGIS_AUDIENCE: 'aegis-sandbox',
    AEGIS_POLICY_TRIAL_MS: '0', // everything is new here
    ...env,
  }
}

/** Migrates as the owner, then gives each process a login of its own. Returns each role's URL. */
async function prepareDatabase({ ownerUrl, urlFor }: AegisOptions['database']): Promise<Record<DatabaseRole, string>> {
  await migrate(ownerUrl)
  const each = <T>(value: (role: DatabaseRole) => T) => Object.fromEntries(databaseRoles.map((role) => [role, value(role)])) as Record<DatabaseRole, T>
  const urls = each((role) => urlFor(loginName(role)))
  await createLoginRoles(ownerUrl, each((role) => decodeURIComponent(new URL(urls[role]).password)))
  return urls
}

function inProxy(url: string, proxy: string | undefined): string {
  if (proxy === undefined) return url
  const changed = new URL(url)
  changed.host = proxy
  return changed.href
}

type Entry = { name: string; entry: string; env: Record<string, string>; healthUrl: string }

function processOf({ directory, stackDirectory }: AegisOptions, { name, entry, env, healthUrl }: Entry): AegisProcess {
  let server: Server | undefined
  const log = join(directory, 'logs', `${name}.log`)
  const alive = () => server !== undefined && server.child.exitCode === null && server.child.signalCode === null
  const kill = (signal: NodeJS.Signals) => {
    if (server && alive()) process.kill(server.pid, signal)
  }
  return {
    name,
    healthUrl,
    pid: () => server?.pid ?? 0,
    kill,
    async start() {
      const args = ['--import', 'tsx', join(checkout, entry)]
      server = startServer({ directory: stackDirectory, command: process.execPath, args, log, env, cwd: checkout })
      await untilReady(name, server, async () => (await fetch(healthUrl)).ok, readyLimitMs)
    },
    async stop() {
      kill('SIGCONT') // a paused process cannot end in order
      kill('SIGTERM')
      const hardAtMs = Date.now() + stopLimitMs
      while (alive() && Date.now() < hardAtMs) await sleep(20)
      kill('SIGKILL')
    },
  }
}
