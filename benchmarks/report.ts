import { cpus, totalmem } from 'node:os'

export type BenchRow = { case: string; metric: string; value: number; unit: string }

/** A promise and whether the measured value keeps it. */
export type BenchBar = { name: string; limit: number; value: number; holds: boolean }

export type BenchReport = {
  name: string
  machine: string
  /** ISO 8601, UTC. */
  date: string
  rows: BenchRow[]
  bars: BenchBar[]
  /** Lines for people, where one for each row would be too many; not kept. */
  table?: string[]
}

/** Processor, memory and Node version: without them a number says little. */
export function describeMachine(): string {
  const cores = cpus()
  const gib = Math.round(totalmem() / 2 ** 30)
  return `${cores.length} × ${cores[0]?.model.trim() ?? 'unknown processor'}, ${gib} GiB, Node ${process.version}`
}

/** The value below which `share` (0 to 1) of the sorted values lie. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  if (sorted.length === 0) return Number.NaN
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
}

/** A value of a benchmark that was run before in the same go: the machine drifts, so a ratio says more than two figures. */
export const earlierValue = (earlier: readonly BenchReport[], name: string, rowCase: string, metric: string): number | undefined =>
  earlier.find((report) => report.name === name)?.rows.find((row) => row.case === rowCase && row.metric === metric)?.value

export const atMost = (name: string, limit: number, value: number): BenchBar => ({ name, limit, value, holds: value <= limit })

export const atLeast = (name: string, limit: number, value: number): BenchBar => ({ name, limit, value, holds: value >= limit })
