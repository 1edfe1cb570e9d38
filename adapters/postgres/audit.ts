import type { Knex } from 'knex'
import type { ActionName } from '../../domain/remediation.ts'
import { areasParameter, within, type Readable } from './areas.ts'
import { guarded } from './failures.ts'
import { fromCursor, toPage, type Page } from './pages.ts'
import { orNull, rows } from './sql.ts'

export type AuditFilter = {
  stream?: string
  kind?: string
  action?: ActionName
  namespace?: string
  /** Of closed remediations. */
  outcome?: string
  from?: Date
  to?: Date
  /** Where the asker may look. What belongs to no namespace is for those who may look everywhere. */
  areas: Readable
  /** 1 to 200. */
  limit: number
  cursor?: string
}

export type AuditItem = {
  eventId: string
  stream: string
  seq: number
  kind: string
  at: string
  step: string | null
  attempt: number | null
  outcome: string | null
  action: string | null
  cluster: string | null
  namespace: string | null
  actor: string
  body: Record<string, unknown>
}

/** Entries of all streams, newest first. Throws `Failure('invalid', 'bad_cursor')`. */
export const listAudit = guarded(async (db: Knex, filter: AuditFilter): Promise<Page<AuditItem>> => {
  const { stream, kind, action, namespace, outcome, from, to, cursor } = filter
  const [afterAt = null, afterId = null] = fromCursor(cursor, ['time', 'id'])
  const parameters = { stream, kind, action, namespace, outcome, from: from?.toISOString(), to: to?.toISOString(), afterAt, afterId, limit: filter.limit, ...areasParameter(filter.areas) }
  const found = await rows<AuditItem>(db, auditSql, orNull(parameters))
  return toPage(found, filter.limit, ({ at, eventId }) => [at, eventId])
})

// Ids and partitions go by the start of a stream: no later than its entries, and long before the end of one that was forgotten.
const auditSql = `
  select event_id as "eventId", stream, seq, kind, at, step, attempt, outcome, action, cluster, namespace, actor,
    (entry::jsonb) -> 'body' as body
  from ledger.audit_event e
  where (:afterAt::text is null or (at, event_id) < (:afterAt::text collate "C", :afterId::uuid))
    and (:stream::text is null or stream = :stream) and (:kind::text is null or kind = :kind)
    and (:action::text is null or action = :action) and (:namespace::text is null or namespace = :namespace)
    and (:outcome::text is null or outcome = :outcome)
    and (:from::text is null or at >= :from) and (:to::text is null or at < :to)
    and ${within('e')}
    and (:to::text is null or event_id < ledger.uuid_floor((extract(epoch from :to::timestamptz) * 1000)::bigint + 360000))
  order by at desc, event_id desc limit least(:limit::integer, 200) + 1`
