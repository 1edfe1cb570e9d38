import type { Knex } from 'knex'
import { guarded } from './failures.ts'
import { rows } from './sql.ts'

type Page = { idleMs: number; limit: number; after?: string | undefined }

/**
 * Started, without a terminal row, and silent for `idleMs`: their runs may have ended without one. By id, from
 * `after` on, so that a page of runs that merely wait hides none behind it.
 */
export const unsettledRemediations = guarded((db: Knex, { idleMs, limit, after }: Page): Promise<{ id: string; cluster: string }[]> =>
  rows(
    db,
    `select r.id, r.cluster
     from ledger.request r join ledger.stream_head h on h.stream = r.id::text
     where r.phase <> 'closed' and r.started_at is not null and greatest(h.last_at, r.started_at) <= now() - :idleMs::bigint * interval '1 ms'
       and (:after::uuid is null or r.id > :after::uuid)
     order by r.id limit :limit`,
    { idleMs, limit, after: after ?? null },
  ),
)

/** Accepted, never started, and past their deadline. Oldest first. */
export const overdueRequests = guarded((db: Knex, limit: number): Promise<{ id: string }[]> =>
  rows(
    db,
    `select id from ledger.request
     where phase <> 'closed' and started_at is null and deadline_at <= now() order by accepted_at limit :limit`,
    { limit },
  ),
)
