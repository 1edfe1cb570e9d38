import type { Knex } from 'knex'
import type { Principal } from '../../domain/remediation.ts'
import type { AnswerKind } from '../../domain/transition.ts'
import { guarded } from './failures.ts'
import { coveringFreeze, latestDecisionId } from './freeze.ts'
import { unresolved } from './intents.ts'
import { actorOf, appendEntry, appendParameters, appendSql } from './ledger.ts'
import { lockWithFreeze, subjectOf, toRequest, type RequestRow } from './request-rows.ts'
import { first, inTransaction, iso, isoOrNull, rows } from './sql.ts'

export type AnswerDraft = {
  /** The caller's fresh id: the same answer sent again is one answer. */
  answerId: string
  id: string
  kind: Exclude<AnswerKind, 'resolve'>
  principal: Principal
  /** The digest the person looked at. Required to approve. */
  planDigest: string | null
  comment: string
}

export type AnswerRefusal = 'missing' | 'closed' | 'not_waiting' | 'own_request' | 'other_digest' | 'in_flight' | 'already_answered' | 'frozen'
export type AnswerResult = { recorded: true; answerId: string } | { recorded: false; because: AnswerRefusal }
export type Answer = Omit<AnswerDraft, 'kind'> & { kind: AnswerKind; at: string; deliveredAt: string | null }

/**
 * Commits an answer or says why not; either way the ledger knows. A cancel that comes while a call may
 * be on its way is `in_flight`: it is no answer, but it stops every further attempt at the act.
 */
export const recordAnswer = guarded((db: Knex, draft: AnswerDraft): Promise<AnswerResult> =>
  inTransaction(db, async (trx): Promise<AnswerResult> => {
    const request = await lockWithFreeze(trx, draft.id)
    if (!request) return { recorded: false, because: 'missing' }
    const facts = await lookAtAnswers(trx, request, draft)
    if (facts.same) return { recorded: true, answerId: draft.answerId }
    const because = refusalOf(request, draft, facts)
    if (draft.kind === 'cancel' && (because === null || because === 'in_flight')) await stopAttempts(trx, draft.id)
    if (because === null) await store(trx, draft)
    else await recordRefusal(trx, request, draft, because)
    return because === null ? { recorded: true, answerId: draft.answerId } : { recorded: false, because }
  }),
)

type Facts = { same: boolean; answered: boolean; in_flight: boolean; frozen: boolean; asked_digest: string | null; asked_late: boolean }

async function lookAtAnswers(trx: Knex, { id, cluster, namespace, action }: RequestRow, { answerId, principal, planDigest, kind }: AnswerDraft): Promise<Facts> {
  const facts = await first<Facts>(trx, factsSql, { id, cluster, namespace, action, answerId, owner: principal.owner, planDigest, kind })
  if (!facts) throw new Error('looking at the answers gave no row')
  return facts
}

/** People had said yes to this plan by then, and not all of them counted any more: whoever did may say it again. */
const someLapsed = `(d.decision::jsonb -> 'approvals' ->> 'given')::integer < (
    select count(distinct b.owner) from ledger.answer b where b.id = :id and b.kind = 'approve' and b.plan_digest = d.plan_digest and b.at <= d.decided_at)`

const factsSql = `
  select exists (select from ledger.answer where answer_id = :answerId and id = :id and kind = :kind) as same,
    exists (select from ledger.answer a where a.id = :id and (a.kind in ('reject', 'cancel') or (a.kind = 'resolve' and :kind <> 'cancel')
      or (a.kind = 'approve' and :kind = 'approve' and a.owner = :owner and a.plan_digest = :planDigest and not coalesce(a.at <= d.decided_at and ${someLapsed}, false)))) as answered,
    exists (select from ledger.intent where id = :id and ${unresolved}) as in_flight,
    exists (select from ${coveringFreeze(latestDecisionId)}) as frozen,
    d.plan_digest as asked_digest, coalesce(d.answer_by <= clock_timestamp(), false) as asked_late
  from (select) nothing
  left join lateral (select * from ledger.decision where id = :id order by ordinal desc limit 1) d on d.proceed = 'ask'`

function refusalOf(request: RequestRow, draft: AnswerDraft, facts: Facts): AnswerRefusal | null {
  if (request.phase === 'closed') return 'closed'
  if (facts.answered) return 'already_answered'
  if (draft.kind === 'cancel') return facts.in_flight ? 'in_flight' : null
  if (request.phase !== 'awaiting_approval' || facts.asked_digest === null || facts.asked_late) return 'not_waiting'
  if (draft.kind === 'reject') return null
  if (draft.principal.owner === request.owner) return 'own_request'
  if (draft.planDigest !== facts.asked_digest) return 'other_digest'
  return facts.frozen ? 'frozen' : null
}

const stopAttempts = (trx: Knex, id: string) =>
  rows(trx, 'update ledger.request set stop_attempts_at = now() where id = :id and stop_attempts_at is null', { id })

async function store(trx: Knex, draft: AnswerDraft): Promise<void> {
  const { answerId, id, kind, principal, planDigest, comment } = draft
  const body = { answerId, kind, planDigest, comment, principal }
  const entry = { stream: id, stepKey: `answer/${answerId}`, kind: 'answer', actor: actorOf(principal), body }
  await rows(
    trx,
    `with new as (
       insert into ledger.answer (answer_id, id, kind, principal, owner, plan_digest, comment)
       values (:answerId, :id, :kind, :principal, :owner, :planDigest, :comment) returning answer_id
     )
     select e.seq, pg_notify('aegis_answer', new.answer_id::text) from new, lateral ${appendSql} e`,
    { answerId, id, kind, planDigest, comment, owner: principal.owner, principal: JSON.stringify(principal), ...appendParameters(entry) },
  )
}

/** A closed remediation's stream has ended; what comes later goes to a stream of its own. */
async function recordRefusal(trx: Knex, request: RequestRow, draft: AnswerDraft, because: AnswerRefusal): Promise<void> {
  const { answerId, id, kind, principal, planDigest, comment } = draft
  await appendEntry(trx, {
    stream: request.phase === 'closed' ? 'answers' : id,
    stepKey: `refused/${answerId}/${because}`,
    kind: 'answer_refused',
    actor: actorOf(principal),
    about: subjectOf(toRequest(request)),
    body: { answerId, remediation: id, kind, planDigest, comment, because, principal },
  })
}

type AnswerRow = {
  answer_id: string
  id: string
  kind: AnswerKind
  principal: Principal
  plan_digest: string | null
  comment: string
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
