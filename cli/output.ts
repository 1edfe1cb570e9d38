/** Plain lines for people, one JSON value for programs. Results go to standard output, all else to standard error. */
export type Output = {
  json: boolean
  /** The result: `value` as JSON, or else these lines. */
  result(value: unknown, lines: readonly string[]): void
  /** Progress and hints, for people only. */
  note(line: string): void
  /** How far long work is, redrawn in place; only where a person watches. */
  progress(what: string, done: number, total: number): void
  /** True when a person watches. */
  live: boolean
}

export type Streams = { out: (text: string) => void; err: (text: string) => void; terminal: boolean }

export const outputTo = ({ out, err, terminal }: Streams, json: boolean): Output => ({
  json,
  result: (value, lines) => out(json ? `${JSON.stringify(value, null, 2)}\n` : lines.map((line) => `${printable(line)}\n`).join('')),
  note: (line) => void (json || err(`${printable(line)}\n`)),
  progress: (what, done, total) => void (terminal && !json && err(`\r${bar(done, total)} ${what}${done >= total ? '\n' : ''}`)),
  live: terminal && !json,
})

const barWidth = 30

/** `[######----] 60 %`; all of nothing is done. */
export function bar(done: number, total: number): string {
  const share = total === 0 ? 1 : Math.min(done / total, 1)
  const full = Math.floor(share * barWidth)
  return `[${'#'.repeat(full)}${'-'.repeat(barWidth - full)}] ${String(Math.floor(share * 100)).padStart(3)} %`
}

/** What Aegis stores may come from labels and comments: control characters must not reach a terminal. */
export const printable = (line: string): string => line.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\uFFFD')

/** Columns as wide as their widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)))
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd())
}

export const duration = (ms: number): string => {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const seconds = ms / 1000
  return seconds < 120 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds / 60)} min`
}
