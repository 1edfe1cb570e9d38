import { setTimeout as sleep } from 'node:timers/promises'
import { rows } from '../adapters/postgres/sql.ts'
import type { AegisProcess } from '../sandbox/aegis.ts'
import { round, spreadOf } from './figures.ts'
import type { BenchFigures, Ground } from './ground.ts'
import { ask, coursesOf, untilClosed, type Course } from './remediations.ts'
import { atMost, type BenchRow } from './report.ts'

const trials = 4
const together = 8
const closeLimitMs = 120_000
const phaseLimitMs = 10_000
const restMs = 2_000

/**
 * Eight remediations are under way when their worker gets SIGKILL; it is started again at once, as an
 * orchestrator would. How long until each has moved on: its mutation, or its close where that was past.
 */
export async function run(ground: Ground): Promise<BenchFigures> {
  const execution = await killing(ground, ground.execution, 'acting')
  const decision = await killing(ground, ground.aegis.decision, 'planning')
  return {
    rows: [...resumeRows('execution worker', execution), ...resumeRows('decision worker', decision)],
    bars: [
      atMost('SIGKILL of the execution worker: slowest to move on, in s', 15, slowest(execution)),
      atMost('SIGKILL of the decision worker: slowest to move on, in s', 15, slowest(decision)),
    ],
  }
}

/** Seconds from the kill on. */
type Resumed = { mutation: number | undefined; closed: number; startedAgain: number }

const movedOn = ({ mutation, closed }: Resumed): number => mutation ?? closed
const slowest = (resumed: readonly Resumed[]): number => round(Math.max(...resumed.map(movedOn)))

async function killing(ground: Ground, process: AegisProcess, phase: 'planning' | 'acting'): Promise<Resumed[]> {
  const resumed: Resumed[] = []
  for (let trial = 0; trial < trials; trial++) {
    const ids = await Promise.all(Array.from({ length: together }, () => ask(ground, ground.targets.next())))
    await untilOneIs(ground, ids, phase)
    const killedMs = Date.now()
    process.kill('SIGKILL')
    await process.start()
    const startedAgain = (Date.now() - killedMs) / 1000
    await untilClosed(ground, ids, closeLimitMs)
    const cut = (await coursesOf(ground, ids)).filter(({ closedMs = Infinity }) => closedMs > killedMs)
    resumed.push(...cut.map((course) => ({ ...sinceKill(course, killedMs), startedAgain })))
    await sleep(restMs)
  }
  return resumed
}

async function untilOneIs({ db }: Ground, ids: readonly string[], phase: string): Promise<void> {
  const deadline = Date.now() + phaseLimitMs
  while (Date.now() < deadline) {
    const found = await rows(db, 'select id from ledger.request where id = any(:ids::uuid[]) and phase = :phase limit 1', { ids: [...ids], phase })
    if (found.length > 0) return
    await sleep(5)
  }
  throw new Error(`none of ${ids.length} remediations was ${phase} within ${phaseLimitMs / 1000} s`)
}

function sinceKill({ mutatedMs, closedMs = Infinity }: Course, killedMs: number): Omit<Resumed, 'startedAgain'> {
  const wasMutated = mutatedMs !== undefined && mutatedMs <= killedMs
  return { mutation: wasMutated || mutatedMs === undefined ? undefined : (mutatedMs - killedMs) / 1000, closed: (closedMs - killedMs) / 1000 }
}

function resumeRows(worker: string, resumed: readonly Resumed[]): BenchRow[] {
  const name = `SIGKILL of the ${worker}`
  const mutations = resumed.flatMap(({ mutation }) => (mutation === undefined ? [] : [mutation]))
  const closed = resumed.map((one) => one.closed)
  return [
    { case: name, metric: 'remediations cut off', value: resumed.length, unit: `in ${trials} kills` },
    { case: name, metric: 'kill → worker ready again, max', value: round(Math.max(...resumed.map(({ startedAgain }) => startedAgain))), unit: 's' },
    { case: name, metric: 'kill → mutation, p50', value: round(spreadOf(mutations).p50), unit: `s (${mutations.length} whose mutation was to come)` },
    { case: name, metric: 'kill → mutation, max', value: round(spreadOf(mutations).max), unit: 's' },
    { case: name, metric: 'kill → closed, p50', value: round(spreadOf(closed).p50), unit: 's' },
    { case: name, metric: 'kill → closed, max', value: round(spreadOf(closed).max), unit: 's' },
  ]
}
