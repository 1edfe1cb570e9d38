/** What each process of the stack uses, from /proc. Elsewhere than on Linux there is nothing to read, and no rows. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { serversOf } from '../sandbox/processes.ts'
import type { BenchRow } from './report.ts'

/** `cpuMs` since the process began; PostgreSQL's backends are one with their server. */
export type ProcessUse = { name: string; rssBytes: number; cpuMs: number }

/** The clock of /proc/<pid>/stat on every Linux there is. */
const msPerTick = 10

export function processUses(directory: string): ProcessUse[] {
  if (!existsSync('/proc/self/status')) return []
  const pids = serversOf(directory)
  const byName = new Map<string, number[]>()
  for (const pid of new Set([...pids, ...childrenOf(pids)])) {
    const name = nameOf(pid)
    if (name !== undefined) byName.set(name, [...(byName.get(name) ?? []), pid])
  }
  return [...byName].map(([name, group]) => ({ name, rssBytes: rssOf(group), cpuMs: group.reduce((sum, pid) => sum + cpuMsOf(pid), 0) })).sort((a, b) => b.rssBytes - a.rssBytes)
}

const aegis = { 'api/main.ts': 'api', 'workers/decision.ts': 'decision worker', 'workers/execution.ts': 'execution worker', 'workers/watcher.ts': 'watcher' }

function nameOf(pid: number): string | undefined {
  const [program = '', ...args] = readOrEmpty(`/proc/${pid}/cmdline`).split('\0')
  if (program === '') return undefined
  const own = Object.entries(aegis).find(([entry]) => args.some((arg) => arg.endsWith(entry)))
  if (own) return own[1]
  if (program.startsWith('postgres') || program.endsWith('/postgres')) return 'PostgreSQL'
  return basename(program) === 'temporal' ? 'Temporal' : basename(program)
}

/** A PostgreSQL backend writes its title over its environment, so it is known by its parent alone. */
function childrenOf(pids: readonly number[]): number[] {
  const parents = new Set(pids)
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parents.has(field(pid, 'PPid')))
}

/** Shared memory counts once for a group. */
function rssOf(pids: readonly number[]): number {
  const shared = pids.map((pid) => field(pid, 'RssShmem'))
  const own = pids.reduce((sum, pid, index) => sum + field(pid, 'VmRSS') - (shared[index] ?? 0), 0)
  return (own + Math.max(...shared)) * 1024
}

/** A number of /proc/<pid>/status; sizes are in KiB. 0: the process is gone. */
const field = (pid: number, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0)

/** User and system time, its own and that of children it has seen end. */
function cpuMsOf(pid: number): number {
  const stat = readOrEmpty(`/proc/${pid}/stat`)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) * msPerTick
}

const readOrEmpty = (path: string): string => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // gone meanwhile
  }
}

export const megabytes = (bytes: number): number => Math.round(bytes / 1e6)

export const rssRows = (uses: readonly ProcessUse[], name = 'RSS'): BenchRow[] =>
  uses.map((use) => ({ case: name, metric: use.name, value: megabytes(use.rssBytes), unit: 'MB' }))

/** Processor time between two looks, by what was done in between. */
export function cpuRows(before: readonly ProcessUse[], after: readonly ProcessUse[], count: number, each = 'mutation'): BenchRow[] {
  const used = after.map(({ name, cpuMs }) => ({ name, cpuMs: cpuMs - (before.find((use) => use.name === name)?.cpuMs ?? 0) }))
  const total = used.reduce((sum, { cpuMs }) => sum + cpuMs, 0)
  return [...used.sort((a, b) => b.cpuMs - a.cpuMs), { name: 'all', cpuMs: total }].map(({ name, cpuMs }) => ({
    case: `processor time per ${each}`,
    metric: name,
    value: Math.round((cpuMs / count) * 100) / 100,
    unit: 'ms',
  }))
}
