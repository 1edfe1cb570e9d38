import type { Knex } from 'knex'
import type { RecordedDecision } from '../../domain/policy/transitions.ts'
import { guarded } from './failures.ts'
import { first, orNull, rows } from './sql.ts'

/** Decisions made from `since` on (all when left out) and before `until`. */
export type HistorySpan = { since?: Date; until: Date }

export const countDecisions = guarded(async (db: Knex, { since, until }: HistorySpan): Promise<number> => {
  const row = await first<{ total: number }>(
    db,
    'select count(*)::float8 as total from ledger.decision where decided_at < :until and (:since::timestamptz is null or decided_at >= :since)',
    orNull({ since, until }),
  )
  return row?.total ?? 0
})

/** When the oldest decision on record was made; null without any. */
export const historyBegan = guarded(async (db: Knex): Promise<Date | null> => (await first<{ at: Date | null }>(db, 'select min(decided_at) as at from ledger.decision'))?.at ?? null)

const pageSize = 500

/** In the order in which they were made, a page at a time: a history of any length passes through a bounded memory. */
export async function* recordedDecisions(db: Knex, span: HistorySpan): AsyncGenerator<RecordedDecision[]> {
  let coming = pageAfter(db, { at: (span.since ?? new Date(0)).toISOString(), decision_id: lowestId }, span.until)
  for (;;) {
    const page = await coming
    const last = page.at(-1)
    if (!last) return
    // The database reads the next page while this one is worked on. Whoever stops here is not told how that went.
    if (page.length === pageSize) (coming = pageAfter(db, last, span.until)).catch(() => undefined)
    yield page.map(({ decision_id, id, input }) => ({ decisionId: decision_id, remediationId: id, input: JSON.parse(input) as RecordedDecision['input'] }))
    if (page.length < pageSize) return
  }
}

/** `at` as text, for a Date has not the microseconds of the column. */
type Row = { decision_id: string; id: string; input: string; at: string }

const lowestId = '00000000-0000-0000-0000-000000000000'

const pageAfter = guarded((db: Knex, { at, decision_id: decisionId }: Pick<Row, 'at' | 'decision_id'>, until: Date) =>
  rows<Row>(
    db,
    `select decision_id, id, input, decided_at::text as at from ledger.decision
     where (decided_at, decision_id) > (:at::timestamptz, :decisionId::uuid) and decided_at < :until
     order by decided_at, decision_id limit ${pageSize}`,
    { at, decisionId, until },
  ),
)
