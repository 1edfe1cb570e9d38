import { createHash } from 'node:crypto'
import type { Knex } from 'knex'
import { canonicalJson } from '../../domain/canonical.ts'
import { guarded } from './failures.ts'
import { appendEntry, systemActor, type NewEntry } from './ledger.ts'
import { iso } from './sql.ts'

export type StepResult = 'ok' | 'failed'

export type StepRecord = {
  id: string
  step: string
  /** Tells one call of a step from another of the same remediation. */
  call: string
  /** Which attempt of this call, from 1. */
  attempt: number
  startedAt: Date
  endedAt: Date
  result: StepResult
  /** Of a failure. */
  code: string | null
  summary: string
  facts: Record<string, unknown>
}

const factsLimitBytes = 32_768
const summaryLimit = 2_000

/**
 * The entry of the step that ends with a write, for that write to append behind its own. It is asked for with what
 * the write returns if it succeeds, and with nothing else; undefined when nobody wants the step recorded.
 */
export type StepOf<Stored> = (stored: Stored) => StepRecord | undefined

/**
 * One attempt of one step. The same attempt recorded again is one entry. An attempt that Temporal ran
 * twice (a local activity whose task was lost) began twice, and is two.
 */
export const recordStep = guarded(async (db: Knex, record: StepRecord): Promise<void> => {
  await appendEntry(db, stepEntry(record))
})

export function stepEntry({ id, step, call, attempt, startedAt, endedAt, result, code, summary, facts }: StepRecord): NewEntry {
  return {
    stream: id,
    stepKey: `step/${step}/${call}/${attempt}/${startedAt.getTime()}`,
    kind: 'step',
    actor: systemActor,
    body: {
      step,
      call,
      attempt,
      startedAt: iso(startedAt),
      endedAt: iso(endedAt),
      result,
      code,
      summary: summary.slice(0, summaryLimit),
      facts: bounded(facts),
    },
  }
}

/** Evidence too large for an entry is kept as its digest: an entry that cannot be stored would stop the remediation. */
function bounded(facts: Record<string, unknown>): Record<string, unknown> {
  const text = canonicalJson(facts)
  if (Buffer.byteLength(text) <= factsLimitBytes) return facts
  return { tooLarge: true, bytes: Buffer.byteLength(text), digest: `sha256:${createHash('sha256').update(text).digest('hex')}` }
}
