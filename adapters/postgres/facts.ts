import type { Knex } from 'knex'
import type { StandIn } from '../../domain/approvals/stand-in.ts'
import type { Rung } from '../../domain/autonomy/rung.ts'
import type { Proceed } from '../../domain/policy/mode.ts'
import type { FaultClass, Principal, Verdict } from '../../domain/remediation.ts'
import type { DecisionRecord } from './decisions.ts'
import { guarded } from './failures.ts'
import type { IntentResult } from './intents.ts'
import { planColumns, toStoredPlan, type StoredPlan, type StoredPlanRow } from './plans.ts'
import { toStoredRequest, type RequestRow, type StoredRequest } from './request-rows.ts'
import { standingRungs, toRungs } from './rungs.ts'
import { first, iso } from './sql.ts'

/** What a step has to know, in one statement. `now` is the one clock that decides what has expired. */
type Known = { now: Date; plan: StoredPlan | undefined }

type PlanPart = { [Column in keyof StoredPlanRow]: StoredPlanRow[Column] | null }
const planOf = (row: PlanPart): StoredPlan | undefined => (row.plan === null ? undefined : toStoredPlan(row as StoredPlanRow))

export type FactsForDecision = Known & {
  request: StoredRequest
  /** Committed approvals of this plan by those who may still give them, oldest first; one that comes out the same again finds them. */
  approvals: { principal: Principal; at: string; standsFor: StandIn[]; breakGlass: boolean }[]
  /** Until when people are being asked about this plan already; null: they are not. */
  askedUntil: Date | null
  /** Those that stand where the request is aimed, of all policies. */
  rungs: Rung[]
}

/** Undefined: there is no such request. */
export const factsForDecision = guarded(async (db: Knex, id: string, digest: string): Promise<FactsForDecision | undefined> => {
  const row = await first<RequestRow & PlanPart & Pick<FactsForDecision, 'approvals'> & { now: Date; asked_until: Date | null; rungs: Parameters<typeof toRungs>[0] }>(
    db,
    `select r.*, ${planColumns}, clock_timestamp() as now, (
       select coalesce(jsonb_agg(jsonb_build_object('principal', a.principal, 'at', a.at, 'standsFor', a.stands_for, 'breakGlass', a.break_glass) order by a.at, a.answer_id), '[]')
       from ledger.answer a where a.id = r.id and a.kind = 'approve' and a.plan_digest = :digest and ledger.approver_stands(a.principal, r.cluster, r.namespace)
     ) as approvals, (
       select case when d.proceed = 'ask' and d.plan_digest = :digest then d.answer_by end from ledger.decision d where d.id = r.id order by d.ordinal desc limit 1
     ) as asked_until, ${standingRungs} as rungs
     from ledger.request r left join ledger.plan p on p.id = r.id and p.digest = :digest where r.id = :id`,
    { id, digest },
  )
  return row && { request: toStoredRequest(row), plan: planOf(row), now: row.now, approvals: row.approvals, askedUntil: row.asked_until, rungs: toRungs(row.rungs) }
})

export type FactsForWarrant = Known & {
  /** The newest decision, whatever it is about. */
  latest: { decisionId: string; decidedAt: string; planDigest: string; proceed: Proceed; decision: DecisionRecord & Record<string, unknown> } | undefined
  /** What the newest preflight of this plan came to; null: there was none. */
  preflight: 'clear' | 'refused' | null
  /** Committed approvals of this plan, oldest first. */
  approvals: { answerId: string; at: string }[]
  /** The act on record, the decision behind the warrant it is bound to, and what that says of an act that changed nothing. */
  act: { planDigest: string; result: IntentResult | null; decisionId: string; decidedAt: string; undoSame: boolean } | undefined
  /** The newest verdict on this plan's effect. */
  verdict: Verdict | null
}

type WarrantFactsRow = PlanPart & { now: Date; latest_id: string | null; latest_at: Date; latest_digest: string; proceed: Proceed; decision: string } & {
  preflight: 'clear' | 'refused' | null
  approvals: FactsForWarrant['approvals']
  act_digest: string | null
  act_at: Date
  result: IntentResult | null
  act_decision: string
  undo_same: boolean
  verdict: Verdict | null
}

export const factsForWarrant = guarded(async (db: Knex, id: string, digest: string): Promise<FactsForWarrant> => {
  const row = await first<WarrantFactsRow>(db, warrantFactsSql, { id, digest })
  if (!row) throw new Error('looking for the grounds of a warrant gave no row')
  return {
    now: row.now,
    plan: planOf(row),
    latest: row.latest_id === null ? undefined : { decisionId: row.latest_id, decidedAt: iso(row.latest_at), planDigest: row.latest_digest, proceed: row.proceed, decision: JSON.parse(row.decision) as DecisionRecord & Record<string, unknown> },
    preflight: row.preflight,
    approvals: row.approvals,
    act: row.act_digest === null ? undefined : { planDigest: row.act_digest, result: row.result, decisionId: row.act_decision, decidedAt: iso(row.act_at), undoSame: row.undo_same },
    verdict: row.verdict,
  }
})

const warrantFactsSql = `
  select clock_timestamp() as now, ${planColumns},
    d.decision_id as latest_id, d.decided_at as latest_at, d.plan_digest as latest_digest, d.proceed, d.decision,
    (select case when c.refusal is null then 'clear' else 'refused' end from ledger.preflight c where c.id = r.id and c.digest = :digest order by c.at desc limit 1) as preflight,
    (select coalesce(jsonb_agg(jsonb_build_object('answerId', a.answer_id, 'at', a.at) order by a.at, a.answer_id), '[]')
     from ledger.answer a where a.id = r.id and a.kind = 'approve' and a.plan_digest = :digest) as approvals,
    i.plan_digest as act_digest, i.result, b.decision_id as act_decision, b.decided_at as act_at,
    coalesce(v.verdict = 'same' and b.decision::jsonb -> 'obligations' -> 'undoOn' @> '["same"]', false) as undo_same,
    v.verdict
  from (select :id::uuid as id) r
  left join ledger.plan p on p.id = r.id and p.digest = :digest
  left join lateral (
    select decision_id, decided_at, plan_digest, proceed, decision from ledger.decision where id = r.id order by ordinal desc limit 1
  ) d on true
  left join ledger.intent i on i.id = r.id and i.phase = 'act'
  left join ledger.warrant w on w.warrant_id = i.warrant_id
  left join ledger.decision b on b.decision_id = w.decision_id
  left join lateral (
    select verdict from ledger.verification where id = r.id and digest = :digest order by ordinal desc limit 1
  ) v on true`

export type FactsForExecution = Known & {
  warrant: { document: string; signature: string } | undefined
  /** Null: a person wished it, whatever the target's state. */
  fault: FaultClass | null
}

export const factsForExecution = guarded(async (db: Knex, id: string, digest: string, warrantId: string): Promise<FactsForExecution> => {
  const row = await first<PlanPart & Pick<FactsForExecution, 'fault'> & { now: Date; document: string | null; signature: string }>(
    db,
    `select clock_timestamp() as now, ${planColumns}, q.fault, w.document, w.signature
     from (select :id::uuid as id) r
     left join ledger.request q on q.id = r.id
     left join ledger.plan p on p.id = r.id and p.digest = :digest
     left join ledger.warrant w on w.warrant_id = :warrantId`,
    { id, digest, warrantId },
  )
  if (!row) throw new Error('looking for a permission gave no row')
  const { now, fault, document, signature } = row
  return { now, plan: planOf(row), warrant: document === null ? undefined : { document, signature }, fault }
})
