import type { Knex } from 'knex'
import { isReviewDue, type ReviewVerdict } from '../../domain/approvals/break-glass.ts'
import type { Area } from '../../domain/identity.ts'
import type { ActionName, Principal, Target } from '../../domain/remediation.ts'
import { areasParameter, within, type Readable } from './areas.ts'
import { guarded } from './failures.ts'
import { actorOf, appendEntry } from './ledger.ts'
import { fromCursor, toPage, type Page } from './pages.ts'
import { subjectOf, toRequest, type RequestRow } from './request-rows.ts'
import { first, inTransaction, iso, isoOrNull, orNull, rows } from './sql.ts'

/** One use of the emergency door, and what another person said of it. */
export type BreakGlass = {
  answerId: string
  remediationId: string
  action: ActionName
  target: Target
  by: string
  owner: string
  planDigest: string
  reason: string
  at: string
  review: { verdict: ReviewVerdict; comment: string; by: string; at: string } | null
}

/** Two of one person that come together count each other; what counts is read behind this. */
export const lockOwner = (trx: Knex, owner: string): Promise<unknown> =>
  rows(trx, `select pg_advisory_xact_lock(hashtextextended('ledger.break_glass/' || :owner, 0))`, { owner })

const isUnreviewed = 'a.break_glass and not exists (select from ledger.break_glass_review v where v.answer_id = a.answer_id)'

/** Whether others have to look at this person's uses first. The caller holds their lock. */
export async function isShutFor(trx: Knex, owner: string): Promise<boolean> {
  const row = await first<{ count: number; oldest_ms: number | null }>(
    trx,
    `select count(*)::integer as count, (extract(epoch from clock_timestamp() - min(a.at)) * 1000)::float8 as oldest_ms from ledger.answer a where a.owner = :owner and ${isUnreviewed}`,
    { owner },
  )
  return isReviewDue({ count: row?.count ?? 0, oldestMs: row?.oldest_ms ?? null })
}

/** Beside the answer, in a stream that outlives its remediation, for the review comes later. */
export async function tellBreakGlass(trx: Knex, request: RequestRow, { answerId, id, principal, planDigest, comment }: { answerId: string; id: string; principal: Principal; planDigest: string | null; comment: string }): Promise<void> {
  await appendEntry(trx, {
    stream: 'break_glass', stepKey: `used/${answerId}`, kind: 'break_glass', actor: actorOf(principal),
    about: subjectOf(toRequest(request)), body: { answerId, remediation: id, planDigest, reason: comment, principal },
  })
}

export type ReviewDraft = { answerId: string; verdict: ReviewVerdict; comment: string; principal: Principal }
export type Reviewed = { reviewed: true; use: BreakGlass } | { reviewed: false; because: 'missing' | 'own_review' | 'persons_only' | 'reviewed_already' }

export const reviewBreakGlass = guarded((db: Knex, { answerId, verdict, comment, principal }: ReviewDraft): Promise<Reviewed> =>
  inTransaction(db, async (trx): Promise<Reviewed> => {
    const found = await loadBreakGlass(trx, answerId)
    if (!found) return { reviewed: false, because: 'missing' }
    if (found.owner === principal.owner) return { reviewed: false, because: 'own_review' }
    if (principal.kind !== 'person') return { reviewed: false, because: 'persons_only' }
    const given = await first(
      trx,
      `insert into ledger.break_glass_review (answer_id, verdict, comment, reviewer, owner) values (:answerId, :verdict, :comment, :by, :owner) on conflict do nothing returning answer_id`,
      { answerId, verdict, comment, by: principal.id, owner: principal.owner },
    )
    if (!given) return { reviewed: false, because: 'reviewed_already' }
    await appendEntry(trx, {
      stream: 'break_glass', stepKey: `reviewed/${answerId}`, kind: 'break_glass_reviewed', actor: actorOf(principal),
      about: { action: found.action, ...found.target }, body: { answerId, remediation: found.remediationId, verdict, comment },
    })
    return { reviewed: true, use: (await loadBreakGlass(trx, answerId))! }
  }),
)

const uses = `
  select a.answer_id, a.id, r.action, r.cluster, r.namespace, r.kind, r.name, a.principal ->> 'id' as by, a.owner, a.plan_digest, a.comment, a.at,
    v.verdict, v.comment as review_comment, v.reviewer, v.at as reviewed_at
  from ledger.answer a join ledger.request r using (id) left join ledger.break_glass_review v using (answer_id)
  where a.break_glass`

export const loadBreakGlass = guarded(async (db: Knex, answerId: string): Promise<BreakGlass | undefined> => {
  const row = await first<Row>(db, `${uses} and a.answer_id = :answerId`, { answerId })
  return row && toUse(row)
})

export type BreakGlassFilter = { state?: 'open' | 'reviewed'; areas: Readable; limit: number; cursor?: string }

/** Newest first. */
export const listBreakGlass = guarded(async (db: Knex, { state, areas, limit, cursor }: BreakGlassFilter): Promise<Page<BreakGlass>> => {
  const [before] = fromCursor(cursor, ['id'])
  const found = await rows<Row>(
    db,
    `${uses} and (:state::text is null or (v.answer_id is null) = (:state = 'open')) and (:before::uuid is null or a.answer_id < :before::uuid) and ${within('r')}
     order by a.answer_id desc limit least(:limit::integer, 200) + 1`,
    orNull({ state, before, limit, ...areasParameter(areas) }),
  )
  return toPage(found.map(toUse), limit, ({ answerId }) => [answerId])
})

/** Undefined: that answer is no break-glass. */
export const areaOfBreakGlass = guarded(async (db: Knex, answerId: string): Promise<Area | undefined> =>
  first<Area>(db, 'select r.cluster, r.namespace from ledger.answer a join ledger.request r using (id) where a.break_glass and a.answer_id = :answerId', { answerId }),
)

/** Of everybody: how many wait for a review, and since when the oldest does. */
export const openReviews = guarded(async (db: Knex): Promise<{ count: number; oldestAt: string | null }> => {
  const row = await first<{ count: number; oldest_at: Date | null }>(db, `select count(*)::integer as count, min(a.at) as oldest_at from ledger.answer a where ${isUnreviewed}`)
  return { count: row?.count ?? 0, oldestAt: isoOrNull(row?.oldest_at ?? null) }
})

type Row = {
  answer_id: string
  id: string
  action: ActionName
  cluster: string
  namespace: string
  kind: Target['kind']
  name: string
  by: string
  owner: string
  plan_digest: string
  comment: string
  at: Date
  verdict: ReviewVerdict | null
  review_comment: string | null
  reviewer: string | null
  reviewed_at: Date | null
}

function toUse(row: Row): BreakGlass {
  const { cluster, namespace, kind, name, verdict, review_comment: comment, reviewer, reviewed_at: reviewedAt } = row
  return {
    answerId: row.answer_id,
    remediationId: row.id,
    action: row.action,
    target: { cluster, namespace, kind, name },
    by: row.by,
    owner: row.owner,
    planDigest: row.plan_digest,
    reason: row.comment,
    at: iso(row.at),
    review: verdict && reviewedAt ? { verdict, comment: comment ?? '', by: reviewer ?? '', at: iso(reviewedAt) } : null,
  }
}
