import type { Ending, Outcome, Verdict } from '../domain/remediation.ts'
import type { Ends } from './results.ts'

/** An ending and its line for the ledger. */
export function ended(outcome: Outcome, reason: string, message: string, verdict: Verdict | null = null): Ends {
  const ending: Ending = { outcome, reason, message, verdict }
  return { ending, summary: `${outcome}: ${message}` }
}
