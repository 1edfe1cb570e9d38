import type { Check, Finding } from './finding.ts'

export type Result = { name: string; durationMs: number; findings: Finding[] }

/** More than this says no more than this. */
const mostFindings = 20

/** Runs one check to its end; one that breaks is a finding of its own and stops nobody else. */
export async function runCheck(check: Check, root: string, clock: () => number): Promise<Result> {
  const start = clock()
  const findings = await check.run(root).catch((failure: unknown): Finding[] => [`the check itself failed: ${reasonOf(failure)}`])
  return { name: check.name, durationMs: clock() - start, findings }
}

const reasonOf = (failure: unknown): string => (failure instanceof Error ? (failure.stack ?? failure.message) : String(failure))

/** One line for the check, and below it one for each finding. */
export function linesOf({ name, durationMs, findings }: Result): string[] {
  const seconds = `${(durationMs / 1000).toFixed(1)} s`.padStart(8)
  const shown = findings.slice(0, mostFindings).map((finding) => `       ${finding}`)
  const hidden = findings.length - shown.length
  return [
    `${findings.length === 0 ? 'ok    ' : 'FAILED'} ${name.padEnd(12)}${seconds}`,
    ...shown,
    ...(hidden > 0 ? [`       and ${hidden} more`] : []),
  ]
}
