import { quantile, type BenchRow } from './report.ts'
import type { Course } from './remediations.ts'

export type Spread = { p50: number; p95: number; p99: number; max: number }

export const round = (value: number): number => Math.round(value * 10) / 10
export const ratio = (value: number, to: number): number => Math.round((value / to) * 100) / 100

export function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort()
  return { p50: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), p99: quantile(sorted, 0.99), max: quantile(sorted, 1) }
}

export const spreadRows = (name: string, what: string, spread: Spread): BenchRow[] =>
  (['p50', 'p95', 'p99', 'max'] as const).map((metric) => ({ case: name, metric: `${what}, ${metric}`, value: round(spread[metric]), unit: 'ms' }))

export const toMutation = (courses: readonly Course[]): number[] =>
  courses.flatMap(({ acceptedMs, mutatedMs }) => (mutatedMs === undefined ? [] : [mutatedMs - acceptedMs]))

export const unmutated = (courses: readonly Course[]): number => courses.filter(({ mutatedMs }) => mutatedMs === undefined).length

/** How many ended how. */
export function outcomeRows(name: string, courses: readonly Course[]): BenchRow[] {
  const counts = new Map<string, number>()
  for (const { outcome = 'open' } of courses) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  return [...counts].map(([outcome, value]) => ({ case: name, metric: `ended ${outcome}`, value, unit: `of ${courses.length}` }))
}
