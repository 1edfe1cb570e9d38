import type { BenchBar, BenchReport, BenchRow } from './report.ts'

/** The report as a table for people: rows by case, bars below. */
export function tableOf({ name, machine, date, rows, bars }: BenchReport): string {
  const widths = { case: longest(rows.map((row) => row.case)), metric: longest(rows.map(({ metric }) => metric)), value: longest(rows.map(({ value }) => text(value))) }
  const line = (row: BenchRow, index: number) => {
    const repeated = rows[index - 1]?.case === row.case
    return `  ${(repeated ? '' : row.case).padEnd(widths.case)}  ${row.metric.padEnd(widths.metric)}  ${text(row.value).padStart(widths.value)} ${row.unit}`.trimEnd()
  }
  return [`${name}   ${machine}   ${date}`, '', ...rows.map(line), ...(bars.length > 0 ? ['', ...bars.map(barLine)] : []), ''].join('\n')
}

const barLine = ({ name, limit, value, holds }: BenchBar): string => `  ${holds ? 'holds ' : 'BROKEN'}  ${name}: ${text(value)} (bar: ${text(limit)})`

const text = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 1 })
const longest = (texts: readonly string[]): number => Math.max(0, ...texts.map(({ length }) => length))
