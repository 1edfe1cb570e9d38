import type { Features } from './engines/engine.ts'
import type { Figures } from './engines/measure.ts'
import { requestCount, sizes } from './engines/workload.ts'
import type { Size } from './engines/run.ts'
import type { BenchRow } from './report.ts'

/** One engine at one size. */
export type Cell = { engine: string; size: Size; features: Features; figures: Figures }

export function cellRows({ engine, size, figures }: Cell, aegis: Cell): BenchRow[] {
  const name = `${engine}, ${size.toLocaleString('en')} policies`
  const row = (metric: string, value: number, unit: string): BenchRow => ({ case: name, metric, value, unit })
  return [
    row('decisions', Number(figures.perSecond.toPrecision(4)), '1/s'),
    row('p50', Number(figures.p50.toFixed(1)), 'µs'),
    row('p99', Number(figures.p99.toFixed(1)), 'µs'),
    row('requests asked', figures.asked, `of ${requestCount}`),
    row('policies read in', Math.round(figures.loadMs), 'ms'),
    row('throughput as a share of Aegis', Number((figures.perSecond / aegis.figures.perSecond).toPrecision(3)), ''),
  ]
}

const yes = (has: boolean): string => (has ? 'yes' : 'no')

/** A line for each engine: what it can, and its decisions/s (p50/p99 in µs) × those of Aegis at each size. */
export function sideBySide(cells: readonly Cell[]): string[] {
  const engines = [...new Set(cells.map(({ engine }) => engine))]
  const head = ['decisions/s (p50/p99 in µs) × Aegis', 'explains', 'unknown-safe', 'obligations', ...sizes.map((size) => `${size.toLocaleString('en')} policies`)]
  const lines = engines.map((engine) => {
    const own = cells.filter((cell) => cell.engine === engine)
    const { explanation, unknownSafe, obligations } = own[0]!.features
    return [engine, explanation, yes(unknownSafe), yes(obligations), ...own.map((cell) => cellText(cell, cells))]
  })
  const widths = head.map((_, column) => Math.max(...[head, ...lines].map((line) => line[column]!.length)))
  return [head, ...lines].map((line) => line.map((text, column) => text.padEnd(widths[column]!)).join('  ').trimEnd())
}

function cellText({ size, figures }: Cell, cells: readonly Cell[]): string {
  const aegis = cells.find((cell) => cell.size === size)! // the first of the catalogue
  const { perSecond, p50, p99, asked } = figures
  const share = short(perSecond / aegis.figures.perSecond)
  return `${short(perSecond)} (${short(p50)}/${short(p99)}) × ${share}${asked < requestCount ? ` [${asked} asked]` : ''}`
}

/** Three digits: 1.09M, 52.1k, 0.31. */
export function short(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)}M`
  return value >= 1e4 ? `${(value / 1e3).toPrecision(3)}k` : `${Number(value.toPrecision(3))}`
}
