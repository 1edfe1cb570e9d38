/**
 * The embedded stack: real Temporal, PostgreSQL and Kubernetes servers on this machine, for the demo, `npm start`,
 * tests and benchmarks. Everything listens on 127.0.0.1 and lives below one directory; nothing outlives its starter.
 */
import { chmodSync, mkdirSync, readFileSync, readdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { close, endServers, killServers, open, startWatchdog, startedAt } from './processes.ts'
import { freePorts } from './ports.ts'
import { portsPerCluster, startCluster, type SandboxCluster } from './servers/kubernetes.ts'
import { dataFolder, removeOutsideData, startPostgres, unprivilegedAccount, type PostgresServer } from './servers/postgres.ts'
import { startTemporal, type TemporalServer } from './servers/temporal.ts'
import { checkout, missingPrograms } from './setup/programs.mjs'

export type { SandboxCluster, PostgresServer, TemporalServer }

export type Stack = {
  directory: string
  temporal: TemporalServer
  postgres: PostgresServer
  clusters: SandboxCluster[]
  setUpMs: number
  stop(): Promise<void>
}

export type StackOptions = {
  directory: string
  clusters: readonly string[]
  progress?: (line: string) => void
  /** Keeps Temporal's state in this file, so that it survives a kill of Temporal itself. In memory without it. */
  temporalDbFilename?: string
  nodesPerCluster?: number
  /** `leave`: the caller handles SIGINT, SIGTERM and SIGHUP itself and calls `stop`. */
  signals?: 'stop' | 'leave'
}

export const defaultDirectory = join(checkout, '.aegis')

export async function startStack(options: StackOptions): Promise<Stack> {
  const begun = Date.now()
  mkdirSync(options.directory, { recursive: true })
  const directory = realpathSync(options.directory)
  const progress = options.progress ?? (() => undefined)
  refuseIfIncomplete()
  const release = claim(directory)
  try {
    await clear(directory, progress)
    open(directory)
    const watchdog = startWatchdog(directory)
    const leave = armExits(directory, options.signals ?? 'stop', () => stop())
    const stop = once(async () => {
      close(directory)
      await endServers(directory)
      await removeOutsideData(directory)
      rmSync(stackFile(directory), { force: true })
      watchdog.dismiss()
      leave()
      release()
    })
    const servers = await startServers(directory, options, progress).catch(async (failure: unknown) => {
      await stop()
      throw failure
    })
    const stack = { directory, ...servers, setUpMs: Date.now() - begun, stop }
    writeStackFile(directory, describe(stack))
    progress(`ready in ${(stack.setUpMs / 1000).toFixed(1)} s`)
    return stack
  } catch (failure) {
    release()
    throw failure
  }
}

function refuseIfIncomplete(): void {
  const missing = missingPrograms()
  if (missing.length > 0) throw new Error(`the servers are not set up (${missing.join(', ')}): run \`node sandbox/setup/ensure.mjs stack\` first`)
}

async function startServers(directory: string, options: StackOptions, progress: (line: string) => void) {
  const { clusters: names, nodesPerCluster = 3, temporalDbFilename: dbFilename } = options
  const [postgresPort = 0, temporalPort = 0, uiPort = 0, ...rest] = await freePorts(3 + names.length * portsPerCluster)
  const portsOf = (index: number) => rest.slice(index * portsPerCluster, (index + 1) * portsPerCluster)
  const timed = async <T>(what: string, starting: Promise<T>) => {
    const begun = Date.now()
    const started = await starting
    progress(`${what} is up (${((Date.now() - begun) / 1000).toFixed(1)} s)`)
    return started
  }
  progress(`starting Temporal, PostgreSQL and ${names.length === 1 ? 'one cluster' : `${names.length} clusters`} in ${directory}`)
  const temporal = timed('Temporal', startTemporal({ directory, port: temporalPort, uiPort, dbFilename }))
  const postgres = timed('PostgreSQL', startPostgres({ directory, port: postgresPort }))
  const clusters = names.map((name, index) =>
    timed(`cluster ${name}`, startCluster({ directory, name, nodes: nodesPerCluster, ports: portsOf(index) })),
  )
  // All are awaited even when one fails: a straggler must not start a server after the sweep.
  await Promise.allSettled([temporal, postgres, ...clusters])
  return { temporal: await temporal, postgres: await postgres, clusters: await Promise.all(clusters) }
}

const ownerFile = (directory: string) => join(directory, 'owner.json')

/** Makes the directory ours, or says whose it is. A claim whose process is gone does not count. */
function claim(directory: string): () => void {
  const mine = JSON.stringify({ pid: process.pid, startedAt: startedAt(process.pid) })
  const attempts = 3
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      writeFileSync(ownerFile(directory), mine, { flag: 'wx' })
      return once(() => rmSync(ownerFile(directory), { force: true }))
    } catch {
      refuseIfOwned(directory)
      rmSync(ownerFile(directory), { force: true })
    }
  }
  throw new Error(`${directory} cannot be claimed: several stacks are starting in it at once; try again, or choose another directory`)
}

function refuseIfOwned(directory: string): void {
  const owner = livingOwner(directory)
  if (owner) throw new Error(`a stack is already running in ${directory} (process ${owner}): stop it first, or choose another directory`)
}

function livingOwner(directory: string): number | undefined {
  const { pid, startedAt: since } = readJson(ownerFile(directory)) ?? {}
  return typeof pid === 'number' && startedAt(pid) === since ? pid : undefined
}

/** Removes stack directories below `folder` whose starter is gone, and ends what it may have left running. */
export async function removeAbandoned(folder: string): Promise<void> {
  const directories = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  for (const { name } of directories) {
    const directory = realpathSync(join(folder, name))
    if (livingOwner(directory)) continue
    await endServers(directory)
    await removeOutsideData(directory)
    rmSync(directory, { recursive: true, force: true })
  }
}

const readJson = (path: string): Record<string, unknown> | undefined => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
}

/** Ends what a killed starter left behind and removes its data. Other things in the directory (bench/) stay. */
async function clear(directory: string, progress: (line: string) => void): Promise<void> {
  await endServers(directory, (count) => progress(`ending ${count} servers an earlier stack left behind`))
  const account = await unprivilegedAccount()
  const ours = ['clusters', 'kubeconfigs', 'logs', 'stack.json'].map((name) => join(directory, name))
  for (const path of [...ours, dataFolder(directory, account)]) rmSync(path, { recursive: true, force: true })
  for (const name of ['clusters', 'kubeconfigs', 'logs']) mkdirSync(join(directory, name), { mode: 0o700 })
}

/** However the starter ends, its servers end: in order on a signal, at once on exit, by the watchdog on SIGKILL. */
function armExits(directory: string, signals: 'stop' | 'leave', stop: () => Promise<void>): () => void {
  const onExit = () => {
    killServers(directory)
    for (const path of [stackFile(directory), ownerFile(directory)]) rmSync(path, { force: true })
  }
  const onSignal = (signal: NodeJS.Signals) => {
    void stop()
      .catch((failure: unknown) => console.error(failure))
      .finally(() => process.kill(process.pid, signal)) // our handler is off by now: the signal ends us as it should
  }
  const watched: NodeJS.Signals[] = signals === 'stop' ? ['SIGINT', 'SIGTERM', 'SIGHUP'] : []
  process.once('exit', onExit)
  for (const signal of watched) process.once(signal, onSignal)
  return () => {
    process.removeListener('exit', onExit)
    for (const signal of watched) process.removeListener(signal, onSignal)
  }
}

const once = <T>(act: () => T): (() => T) => {
  let done: { with: T } | undefined
  return () => (done ??= { with: act() }).with
}

/** Where everything is, for other programs: `<directory>/stack.json`, readable by its owner alone. */
export type StackFile = {
  api: string | null
  apiKey: string | null
  temporal: string
  temporalUi: string
  postgres: string
  prometheus: string | null
  clusters: { name: string; kubeconfig: string; auditLog: string }[]
}

export const stackFile = (directory: string) => join(resolve(directory), 'stack.json')

const describe = ({ temporal, postgres, clusters }: Pick<Stack, 'temporal' | 'postgres' | 'clusters'>): StackFile => ({
  api: null,
  apiKey: null,
  temporal: temporal.address,
  temporalUi: temporal.uiUrl,
  postgres: postgres.ownerUrl,
  prometheus: null,
  clusters: clusters.map(({ name, kubeconfig, auditLog }) => ({ name, kubeconfig, auditLog })),
})

/** Adds to stack.json what others know, such as the API's address and key. */
export function updateStackFile(directory: string, patch: Partial<StackFile> & Record<string, unknown>): void {
  const current = readJson(stackFile(directory))
  if (!current) throw new Error(`no stack is running in ${directory}`)
  writeStackFile(directory, { ...current, ...patch })
}

function writeStackFile(directory: string, content: object): void {
  const path = stackFile(directory)
  const next = `${path}.${process.pid}`
  writeFileSync(next, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 })
  chmodSync(next, 0o600)
  renameSync(next, path) // readers see the old file or the new one, never half of one
}
