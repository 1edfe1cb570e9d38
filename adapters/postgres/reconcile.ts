import type { Knex } from 'knex'
import { guarded } from './failures.ts'
import { intentsOf, type Intent } from './intents.ts'
import { iso, rows } from './sql.ts'

export type Unsettled = {
  id: string
  cluster: string
  firstRunId: string | null
  startedAt: string
  lastEntryAt: string
  deadlineAt: string
  /** Act before undo. */
  intents: Intent[]
}

type UnsettledRow = { id: string; cluster: string; first_run_id: string | null; started_at: Date; last_at: Date; deadline_at: Date }

/**
 * Started, without a terminal row, and silent for `idleMs`: their runs may have ended without one. By id, from
 * `after` on, so that a page of runs that merely wait hides none behind it.
 */
export const unsettledRemediations = guarded(async (db: Knex, { idleMs, limit, after }: { idleMs: number; limit: number; after?: string | undefined }): Promise<Unsettled[]> => {
  const found = await rows<UnsettledRow>(
    db,
    `select r.id, r.cluster, r.first_run_id, r.started_at, h.last_at, r.deadline_at
     from ledger.request r join ledger.stream_head h on h.stream = r.id::text
     where r.phase <> 'closed' and r.started_at is not null and greatest(h.last_at, r.started_at) <= now() - :idleMs::bigint * interval '1 ms'
       and (:after::uuid is null or r.id > :after::uuid)
     order by r.id limit :limit`,
    { idleMs, limit, after: after ?? null },
  )
  const intents = await intentsOf(db, found.map(({ id }) => id))
  return found.map((row) => ({
    id: row.id,
    cluster: row.cluster,
    firstRunId: row.first_run_id,
    startedAt: iso(row.started_at),
    lastEntryAt: iso(row.last_at),
    deadlineAt: iso(row.deadline_at),
    intents: intents.filter(({ id }) => id === row.id),
  }))
})

export type Overdue = { id: string; cluster: string; deadlineAt: string }

/** Accepted, never started, and past their deadline. Oldest first. */
export const overdueRequests = guarded(async (db: Knex, limit: number): Promise<Overdue[]> => {
  const found = await rows<{ id: string; cluster: string; deadline_at: Date }>(
    db,
    `select id, cluster, deadline_at from ledger.request
     where phase <> 'closed' and started_at is null and deadline_at <= now() order by accepted_at limit :limit`,
    { limit },
  )
  return found.map(({ id, cluster, deadline_at: deadlineAt }) => ({ id, cluster, deadlineAt: iso(deadlineAt) }))
})
