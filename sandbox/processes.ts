/**
 * Which processes belong to a stack, and how they end. Every server carries its stack's directory in its environment,
 * so no list of pids has to be kept and none can go stale: what carries the mark is ours, nothing else is touched.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { openSync, closeSync, readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { checkout } from './setup/programs.mjs'

const mark = 'AEGIS_SANDBOX'

export const markFor = (directory: string) => ({ [mark]: directory })

export type Server = { pid: number; child: ChildProcess; log: string }

type ServerCommand = {
  directory: string
  command: string
  args: readonly string[]
  log: string
  account?: Account | undefined
  /** On top of this process's own environment. */
  env?: Record<string, string>
  cwd?: string
}

export type Account = { uid: number; gid: number }

/**
 * For servers written in Go: all of them share one small machine. Memory is easier to spare there than processor time, and
 * half the cores each leave the others room: six schedulers that look for work on every core cost a tenth of a remediation.
 */
export const goSettings = { GOGC: '300', GOMEMLIMIT: '1GiB', GOMAXPROCS: `${Math.max(1, Math.floor(availableParallelism() / 2))}` }

const closed = new Set<string>()

/** From now on nothing starts in the directory: a start that is still under way must not outrun the stop. */
export const close = (directory: string) => void closed.add(directory)
export const open = (directory: string) => void closed.delete(directory)

/** Starts one server in a session of its own, so that Ctrl-C in a terminal reaches us first and we stop it in order. */
export function startServer({ directory, command, args, log, account, env, cwd = '/' }: ServerCommand): Server {
  if (closed.has(directory)) throw new Error(`the stack in ${directory} is being stopped`)
  const output = openSync(log, 'a', 0o600)
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env, ...markFor(directory) },
    stdio: ['ignore', output, output],
    detached: true,
    ...account,
  })
  closeSync(output)
  child.once('error', () => undefined) // reported by whoever waits for the server: it has no pid then
  child.unref()
  return { pid: child.pid ?? 0, child, log }
}

/** Waits until `ready` answers true. Gives up when the server ends or `limitMs` is over, with the end of its log. */
export async function untilReady(what: string, server: Server, ready: () => Promise<boolean>, limitMs: number) {
  const deadline = Date.now() + limitMs
  while (Date.now() < deadline) {
    if (hasEnded(server)) throw new Error(`${what} ended while starting; the end of its log (${server.log}):\n${tail(server.log)}`)
    if (await ready().catch(() => false)) return
    await sleep(50)
  }
  throw new Error(`${what} was not ready within ${limitMs / 1000} s; the end of its log (${server.log}):\n${tail(server.log)}`)
}

const hasEnded = ({ pid, child }: Server) => pid === 0 || child.exitCode !== null || child.signalCode !== null

export const tail = (log: string, lines = 8): string => {
  try {
    return readFileSync(log, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  } catch {
    return '(no log)'
  }
}

/** The servers of the stack in `directory` that are alive now, whoever started them. */
export function serversOf(directory: string): number[] {
  const wanted = `${mark}=${directory}`
  return process.platform === 'linux' ? fromProc(wanted) : fromPs(wanted)
}

const fromProc = (wanted: string) =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => readOrEmpty(`/proc/${pid}/environ`).split('\0').includes(wanted))
    .map(Number)

const fromPs = (wanted: string) =>
  execFileSync('ps', ['-axEww', '-o', 'pid=,command='], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
    .split('\n')
    .filter((line) => `${line} `.includes(` ${wanted} `))
    .map((line) => Number.parseInt(line, 10))

const readOrEmpty = (path: string) => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // gone meanwhile, or another user's
  }
}

/** Ends every server of a stack and waits until none is left. */
export async function endServers(directory: string, found: (count: number) => void = () => undefined): Promise<void> {
  const count = serversOf(directory).length
  if (count === 0) return
  found(count)
  killServers(directory)
  const softUntil = Date.now() + 3_000
  const hardUntil = softUntil + 5_000
  for (let left = serversOf(directory); left.length > 0; left = serversOf(directory)) {
    if (Date.now() > hardUntil) throw new Error(`processes ${left.join(', ')} of ${directory} cannot be killed; end them by hand`)
    if (Date.now() > softUntil) left.forEach((pid) => send(pid, 'SIGKILL'))
    await sleep(25)
  }
}

/** One signal to each, without waiting: all that can be done in an exit handler. */
export function killServers(directory: string): void {
  for (const pid of serversOf(directory)) send(pid, isPostgres(pid) ? 'SIGQUIT' : 'SIGKILL')
}

// A killed PostgreSQL leaves shared memory behind; SIGQUIT is its own immediate stop and cleans up.
const isPostgres = (pid: number) =>
  process.platform === 'linux' && readOrEmpty(`/proc/${pid}/cmdline`).split('\0')[0]?.endsWith('/postgres') === true

const send = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(pid, signal)
  } catch {
    // it ended by itself meanwhile
  }
}

/** When a process started, so that a recycled pid is not taken for the process it once was. */
export const startedAt = (pid: number): string | undefined => {
  if (process.platform !== 'linux') return psStart(pid)
  const stat = readOrEmpty(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] || undefined
}

const psStart = (pid: number) => {
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined
  } catch {
    return undefined
  }
}

export type Watchdog = { dismiss(): void }

/**
 * Ends the servers when this process dies without a chance to do it itself (SIGKILL). A shell holds the other end of
 * a pipe and sleeps until the pipe breaks, so the watch costs a megabyte; only then it starts Node to sweep.
 */
export function startWatchdog(directory: string): Watchdog {
  const sweep = fileURLToPath(new URL('./sweep.ts', import.meta.url))
  const child = spawn(
    'sh',
    ['-c', 'cat > /dev/null; exec "$@"', 'aegis-watchdog', process.execPath, '--import', 'tsx', sweep, directory],
    { cwd: checkout, stdio: ['pipe', 'ignore', 'ignore'], detached: true },
  )
  child.once('error', () => undefined)
  child.stdin.once('error', () => undefined)
  child.unref()
  const { pid } = child
  // The whole group: the shell's `cat` would otherwise wait on.
  return { dismiss: () => void (pid && send(-pid, 'SIGKILL')) }
}
