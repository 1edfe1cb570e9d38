import type { Knex } from 'knex'
import type { RecordedDecision } from '../../domain/policy/transitions.ts'
import { guarded } from './failures.ts'
import { first, orNull, rows } from './sql.ts'

/** Decisions made from `since` on (all when left out) and before `until`. */
export type HistorySpan = { since?: Date; until: Date }

/** Remediations are decided about in `ledger`, and questions put to the policies directly are answered in `control`: two records, asked one after the other. */
const records = [
  { table: 'ledger.decision', key: 'decision_id', remediation: 'id', at: 'decided_at' },
  { table: 'control.policy_audit_logs', key: 'log_id', remediation: 'null::uuid', at: 'at' },
] as const
type Table = (typeof records)[number]

export const countDecisions = guarded(async (db: Knex, { since, until }: HistorySpan): Promise<number> => {
  const counts = records.map(({ table, at }) =>
    first<{ total: number }>(
      db,
      `select count(*)::float8 as total from ${table} where ${at} < :until and (:since::timestamptz is null or ${at} >= :since)`,
      orNull({ since, until }),
    ),
  )
  return (await Promise.all(counts)).reduce((sum, row) => sum + (row?.total ?? 0), 0)
})

/** When the oldest decision on record was made; null without any. */
export async function historyBegan(db: Knex): Promise<Date | null> {
  const begun = await Promise.all(records.map((record) => beganIn(db, record)))
  return begun.reduce((oldest, at) => (oldest && (!at || oldest < at) ? oldest : at), null)
}

const beganIn = guarded(async (db: Knex, { table, at }: Table): Promise<Date | null> => (await first<{ at: Date | null }>(db, `select min(${at}) as at from ${table}`))?.at ?? null)

const pageSize = 500

/**
 * Of each record in the order in which they were made, a page at a time: a history of any length passes through a
 * bounded memory.
 */
export async function* recordedDecisions(db: Knex, span: HistorySpan): AsyncGenerator<RecordedDecision[]> {
  for (const record of records) yield* pagesOf(db, record, span)
}

async function* pagesOf(db: Knex, record: Table, span: HistorySpan): AsyncGenerator<RecordedDecision[]> {
  let coming = pageAfter(db, record, { at: (span.since ?? new Date(0)).toISOString(), key: lowestId }, span.until)
  for (;;) {
    const page = await coming
    const last = page.at(-1)
    if (!last) return
    // The database reads the next page while this one is worked on. Whoever stops here is not told how that went.
    if (page.length === pageSize) (coming = pageAfter(db, record, last, span.until)).catch(() => undefined)
    yield page.map(({ key: decisionId, remediation: remediationId, input }) => ({ decisionId, remediationId, input: JSON.parse(input) as RecordedDecision['input'] }))
    if (page.length < pageSize) return
  }
}

/** `at` as text, for a Date has not the microseconds of the column. */
type Row = { key: string; remediation: string | null; input: string; at: string }

const lowestId = '00000000-0000-0000-0000-000000000000'

const pageAfter = guarded((db: Knex, { table, key, remediation, at }: Table, after: Pick<Row, 'at' | 'key'>, until: Date) =>
  rows<Row>(
    db,
    `select ${key} as key, ${remediation} as remediation, input, ${at}::text as at from ${table}
     where (${at}, ${key}) > (:at::timestamptz, :key::uuid) and ${at} < :until
     order by ${at}, ${key} limit ${pageSize}`,
    { at: after.at, key: after.key, until },
  ),
)
