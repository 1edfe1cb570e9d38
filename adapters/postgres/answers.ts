import type { Knex } from 'knex'
import type { StandIn } from '../../domain/approvals/stand-in.ts'
import type { Principal } from '../../domain/remediation.ts'
import type { AnswerKind } from '../../domain/transition.ts'
import { isShutFor, lockOwner, tellBreakGlass } from './break-glass.ts'
import { guarded } from './failures.ts'
import { coveringFreeze, latestDecisionId } from './freeze.ts'
import { unresolved } from './intents.ts'
import { actorOf, appendEntry, appendParameters, appendSql } from './ledger.ts'
import { lockWithFreeze, subjectOf, toRequest, type RequestRow } from './request-rows.ts'
import { first, inTransaction, iso, isoOrNull, rows } from './sql.ts'
import { standInsNow } from './stand-ins.ts'

export type AnswerDraft = {
  /** The caller's fresh id: the same answer sent again is one answer. */
  answerId: string
  id: string
  kind: Exclude<AnswerKind, 'resolve'>
  principal: Principal
  /** The digest the person looked at. Required to approve. */
  planDigest: string | null
  comment: string
  /** An approval by the emergency door: it stands in the place of whatever else people are asked for. */
  breakGlass?: boolean
}

export type AnswerRefusal =
  | 'missing' | 'closed' | 'not_waiting' | 'own_request' | 'other_digest' | 'in_flight' | 'already_answered' | 'frozen'
  | 'persons_only' // a break-glass is somebody's who just proved who they are
  | 'review_due' // others have to look at this person's break-glasses first
export type AnswerResult = { recorded: true; answerId: string } | { recorded: false; because: AnswerRefusal }
/** `standsFor`: the groups that its giver spoke for at that moment besides their own. */
export type Answer = Omit<AnswerDraft, 'kind' | 'breakGlass'> & { kind: AnswerKind; breakGlass: boolean; standsFor: StandIn[]; at: string; deliveredAt: string | null }

/**
 * Commits an answer or says why not; either way the ledger knows. A cancel that comes while a call may
 * be on its way is `in_flight`: it is no answer, but it stops every further attempt at the act.
 */
export const recordAnswer = guarded((db: Knex, draft: AnswerDraft): Promise<AnswerResult> =>
  inTransaction(db, async (trx): Promise<AnswerResult> => {
    const request = await lockWithFreeze(trx, draft.id)
    if (!request) return { recorded: false, because: 'missing' }
    if (draft.breakGlass) await lockOwner(trx, draft.principal.owner)
    const facts = await lookAtAnswers(trx, request, draft)
    if (facts.same) return { recorded: true, answerId: draft.answerId }
    const standsFor = draft.kind === 'approve' && draft.planDigest !== null ? await standInsNow(trx, request, draft.principal, draft.planDigest) : []
    const because = refusalOf(request, draft, facts, standsFor) ?? (draft.breakGlass && (await isShutFor(trx, draft.principal.owner)) ? 'review_due' : null)
    if (draft.kind === 'cancel' && (because === null || because === 'in_flight')) await stopAttempts(trx, draft.id)
    if (because === null) await store(trx, request, draft, standsFor)
    else await recordRefusal(trx, request, draft, because)
    return because === null ? { recorded: true, answerId: draft.answerId } : { recorded: false, because }
  }),
)

type Facts = {
  same: boolean
  /** Somebody's no, or the end of its alert: nothing is left to be said. */
  ended: boolean
  /** This person's yes to this plan, which still counts. */
  approved: boolean
  in_flight: boolean
  frozen: boolean
  asked_digest: string | null
  asked_late: boolean
  /** Groups that the decision lacks, and those that this person has stood in for already. */
  missing: string[]
  spoken: string[]
}

async function lookAtAnswers(trx: Knex, { id, cluster, namespace, action }: RequestRow, { answerId, principal, planDigest, kind, breakGlass = false }: AnswerDraft): Promise<Facts> {
  const facts = await first<Facts>(trx, factsSql, { id, cluster, namespace, action, answerId, owner: principal.owner, planDigest, kind, breakGlass })
  if (!facts) throw new Error('looking at the answers gave no row')
  return facts
}

/** People had said yes to this plan by then, and not all of them counted any more: whoever did may say it again. The requester's break-glass is nobody's yes. */
const someLapsed = `(d.decision::jsonb -> 'approvals' ->> 'given')::integer < (
    select count(distinct b.owner) from ledger.answer b join ledger.request q using (id)
    where b.id = :id and b.kind = 'approve' and b.plan_digest = d.plan_digest and b.at <= d.decided_at and b.owner <> q.owner)`

/** A break-glass that the decision did not name any more has lapsed. */
const hasLapsed = `case when :breakGlass::boolean then not coalesce(d.decision::jsonb #> '{approvals,breakGlass}' @> to_jsonb(a.owner), false) else ${someLapsed} end`

const factsSql = `
  select exists (select from ledger.answer where answer_id = :answerId and id = :id and kind = :kind) as same,
    exists (select from ledger.answer a where a.id = :id and (a.kind in ('reject', 'cancel') or (a.kind = 'resolve' and :kind <> 'cancel'))) as ended,
    exists (select from ledger.answer a where a.id = :id and a.kind = 'approve' and :kind = 'approve' and a.owner = :owner and a.plan_digest = :planDigest
      and a.break_glass >= :breakGlass::boolean and not coalesce(a.at <= d.decided_at and ${hasLapsed}, false)) as approved,
    coalesce(d.decision::jsonb #> '{approvals,missingGroups}', '[]') as missing,
    (select coalesce(jsonb_agg(s ->> 'group'), '[]') from ledger.answer a, jsonb_array_elements(a.stands_for) s
     where a.id = :id and a.owner = :owner and a.plan_digest = :planDigest) as spoken,
    exists (select from ledger.intent where id = :id and ${unresolved}) as in_flight,
    exists (select from ${coveringFreeze(latestDecisionId)}) as frozen,
    d.plan_digest as asked_digest, coalesce(d.answer_by <= clock_timestamp(), false) as asked_late
  from (select) nothing
  left join lateral (select * from ledger.decision where id = :id order by ordinal desc limit 1) d on d.proceed = 'ask'`

function refusalOf(request: RequestRow, draft: AnswerDraft, facts: Facts, standsFor: readonly StandIn[]): AnswerRefusal | null {
  if (request.phase === 'closed') return 'closed'
  if (draft.breakGlass && draft.principal.kind !== 'person') return 'persons_only'
  if (facts.ended || (facts.approved && !saysMore(facts, standsFor))) return 'already_answered'
  if (draft.kind === 'cancel') return facts.in_flight ? 'in_flight' : null
  if (request.phase !== 'awaiting_approval' || facts.asked_digest === null || facts.asked_late) return 'not_waiting'
  if (draft.kind === 'reject') return null
  if (draft.principal.owner === request.owner && !draft.breakGlass) return 'own_request'
  if (draft.planDigest !== facts.asked_digest) return 'other_digest'
  return facts.frozen ? 'frozen' : null
}

/** Whoever approved before a group's voice came to them may say so again: they still count as one person. */
const saysMore = ({ missing, spoken }: Facts, standsFor: readonly StandIn[]): boolean =>
  standsFor.some(({ group }) => missing.includes(group) && !spoken.includes(group))

const stopAttempts = (trx: Knex, id: string) =>
  rows(trx, 'update ledger.request set stop_attempts_at = now() where id = :id and stop_attempts_at is null', { id })

async function store(trx: Knex, request: RequestRow, draft: AnswerDraft, standsFor: readonly StandIn[]): Promise<void> {
  const { answerId, id, kind, principal, planDigest, comment, breakGlass = false } = draft
  const body = { answerId, kind, planDigest, comment, principal, ...(standsFor.length > 0 ? { standsFor } : {}), ...(breakGlass ? { breakGlass } : {}) }
  const entry = { stream: id, stepKey: `answer/${answerId}`, kind: 'answer', actor: actorOf(principal), body }
  await rows(
    trx,
    `with new as (
       insert into ledger.answer (answer_id, id, kind, principal, owner, plan_digest, comment, stands_for, break_glass)
       values (:answerId, :id, :kind, :principal, :owner, :planDigest, :comment, :standsFor, :breakGlass) returning answer_id
     )
     select e.seq, pg_notify('aegis_answer', new.answer_id::text) from new, lateral ${appendSql} e`,
    { answerId, id, kind, planDigest, comment, breakGlass, owner: principal.owner, principal: JSON.stringify(principal), standsFor: JSON.stringify(standsFor), ...appendParameters(entry) },
  )
  if (breakGlass) await tellBreakGlass(trx, request, draft)
}

/** A closed remediation's stream has ended; what comes later goes to a stream of its own. */
async function recordRefusal(trx: Knex, request: RequestRow, draft: AnswerDraft, because: AnswerRefusal): Promise<void> {
  const { answerId, id, kind, principal, planDigest, comment, breakGlass } = draft
  await appendEntry(trx, {
    stream: request.phase === 'closed' ? 'answers' : id,
    stepKey: `refused/${answerId}/${because}`,
    kind: 'answer_refused',
    actor: actorOf(principal),
    about: subjectOf(toRequest(request)),
    body: { answerId, remediation: id, kind, planDigest, comment, because, principal, ...(breakGlass ? { breakGlass } : {}) },
  })
}

type AnswerRow = {
  answer_id: string
  id: string
  kind: AnswerKind
  principal: Principal
  plan_digest: string | null
  comment: string
  stands_for: StandIn[]
  break_glass: boolean
  at: Date
  delivered_at: Date | null
}

const toAnswer = (row: AnswerRow): Answer => ({
  answerId: row.answer_id,
  id: row.id,
  kind: row.kind,
  principal: row.principal,
  planDigest: row.plan_digest,
  comment: row.comment,
  standsFor: row.stands_for,
  breakGlass: row.break_glass,
  at: iso(row.at),
  deliveredAt: isoOrNull(row.delivered_at),
})

export const loadAnswer = guarded(async (db: Knex, answerId: string): Promise<Answer | undefined> => {
  const row = await first<AnswerRow>(db, 'select * from ledger.answer where answer_id = :answerId', { answerId })
  return row && toAnswer(row)
})

/** Oldest first. */
export const answersOf = async (db: Knex, id: string): Promise<Answer[]> =>
  (await rows<AnswerRow>(db, 'select * from ledger.answer where id = :id order by at, answer_id', { id })).map(toAnswer)

/** Committed, and their workflow not told yet; oldest first. A closed remediation has nobody to tell. */
export const undeliveredAnswers = guarded(async (db: Knex, limit: number): Promise<Answer[]> => {
  const found = await rows<AnswerRow>(
    db,
    `select a.* from ledger.answer a join ledger.request r using (id)
     where a.delivered_at is null and r.phase <> 'closed' and r.started_at is not null order by a.at limit :limit`,
    { limit },
  )
  return found.map(toAnswer)
})

export const markDelivered = guarded(async (db: Knex, answerId: string): Promise<void> => {
  await rows(db, 'update ledger.answer set delivered_at = now() where answer_id = :answerId and delivered_at is null', { answerId })
})
