import type { BenchBar, BenchReport, BenchRow } from './report.ts'

/** The report for people: its own table, or its rows by case; bars below. */
export function tableOf({ name, machine, date, rows, bars, table = rowLines(rows) }: BenchReport): string {
  const lines = table.map((line) => (line === '' ? '' : `  ${line}`))
  return [`${name}   ${machine}   ${date}`, '', ...lines, ...(bars.length > 0 ? ['', ...bars.map(barLine)] : []), ''].join('\n')
}

export function rowLines(rows: readonly BenchRow[]): string[] {
  const widths = { case: longest(rows.map((row) => row.case)), metric: longest(rows.map(({ metric }) => metric)), value: longest(rows.map(({ value }) => text(value))) }
  return rows.map((row, index) => {
    const repeated = rows[index - 1]?.case === row.case
    return `${(repeated ? '' : row.case).padEnd(widths.case)}  ${row.metric.padEnd(widths.metric)}  ${text(row.value).padStart(widths.value)} ${row.unit}`.trimEnd()
  })
}

const barLine = ({ name, limit, value, holds }: BenchBar): string => `  ${holds ? 'holds ' : 'BROKEN'}  ${name}: ${text(value)} (bar: ${text(limit)})`

const text = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 1 })
const longest = (texts: readonly string[]): number => Math.max(0, ...texts.map(({ length }) => length))
