import type { Knex } from 'knex'
import { canonicalJson } from '../../domain/canonical.ts'
import type { Rung } from '../../domain/autonomy/rung.ts'
import type { Standing } from '../../domain/autonomy/standing.ts'
import type { Floor } from '../../domain/policy/floor.ts'
import type { Trial } from '../../domain/policy/trial.ts'
import type { Proceed } from '../../domain/policy/mode.ts'
import type { ActionName, Mode, WorkloadRef } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { systemActor } from './ledger.ts'
import { setPhase } from './requests.ts'
import { first, inTransaction, iso, isoOrNull, rows } from './sql.ts'
import type { StepOf } from './steps.ts'
import { write } from './write.ts'

/** What the policy engine answered, whole; these fields must be there so that it can be repeated. */
export type DecisionRecord = { effect: string; code: string; snapshot: string; now: number; tzdata: string }

export type DecisionRow<D extends DecisionRecord = DecisionRecord> = {
  decisionId: string
  id: string
  planDigest: string
  input: object
  decision: D
  /** What capped it; kept, for rungs move on. */
  autonomy: Autonomy
  proceed: Proceed
  answerBy: Date | null
}

/** `given` and `rungs` cap the decision; `standing` is where that leaves each policy that permits; `floor` is what needs two people and `trial` what new policies were held back from (left out before there was one); the rest is the answer. */
export type Autonomy = { given: Mode; rungs: Rung[]; standing: Standing[]; mode: Mode; code: string; message: string; floor?: Floor | null; trial?: Trial | null }

export type StoredDecision = {
  decisionId: string
  id: string
  planDigest: string
  input: Record<string, unknown>
  decision: DecisionRecord & Record<string, unknown>
  /** Null for decisions that were made before it was kept. */
  autonomy: Autonomy | null
  proceed: Proceed
  answerBy: string | null
  decidedAt: string
}

/**
 * Row and ledger entry hold the decision with its full input: it can be repeated from either. One that asks
 * people opens the door for their answers.
 */
export const saveDecision = guarded(async (db: Knex, row: DecisionRow, step?: StepOf<void>): Promise<void> => {
  if (row.proceed !== 'ask') return insertDecision(db, row, step)
  await inTransaction(db, async (trx) => {
    await setPhase(trx, row.id, 'awaiting_approval') // first, for the remediation's lock comes before its stream's
    await insertDecision(trx, row, step)
  })
})

async function insertDecision(db: Knex, row: DecisionRow, step?: StepOf<void>): Promise<void> {
  const { decisionId, id, planDigest, autonomy, proceed, answerBy } = row
  const body = { decisionId, planDigest, proceed, answerBy: isoOrNull(answerBy), input: row.input, decision: row.decision, autonomy }
  await write(db, {
    changes: `
      new as (
        insert into ledger.decision (decision_id, id, plan_digest, input, decision, autonomy, proceed, answer_by)
        values (:decisionId, :id, :planDigest, :input, :decision, :autonomy, :proceed, :answerBy) on conflict do nothing returning id
      )`,
    of: 'new',
    parameters: { decisionId, id, planDigest, proceed, answerBy, input: canonicalJson(row.input), decision: canonicalJson(row.decision), autonomy: JSON.stringify(autonomy) },
    entry: { stream: id, stepKey: `decision/${decisionId}`, kind: 'decision', actor: systemActor, body },
    step: step?.(),
  })
}

type StoredRow = {
  decision_id: string
  id: string
  plan_digest: string
  input: string
  decision: string
  autonomy: Autonomy | null
  proceed: Proceed
  answer_by: Date | null
  decided_at: Date
}

export const latestDecision = guarded(async (db: Knex, id: string): Promise<StoredDecision | undefined> => {
  const row = await first<StoredRow>(db, 'select * from ledger.decision where id = :id order by ordinal desc limit 1', { id })
  return row && toStoredDecision(row)
})

const toStoredDecision = (row: StoredRow): StoredDecision => ({
  decisionId: row.decision_id,
  id: row.id,
  planDigest: row.plan_digest,
  input: JSON.parse(row.input) as Record<string, unknown>,
  decision: JSON.parse(row.decision) as StoredDecision['decision'],
  autonomy: row.autonomy,
  proceed: row.proceed,
  answerBy: isoOrNull(row.answer_by),
  decidedAt: iso(row.decided_at),
})

/** Effects proven within the window, and remediations with an effect that ended `undone` or `needs_human`. */
export type HistoryCount = { windowMs: number; effects: number; bad: number }

export type History = {
  workload: HistoryCount[]
  namespace: HistoryCount[]
  /** The same action in the same namespace. */
  action: HistoryCount[]
  /** Milliseconds since the last proven effect on the workload; null: never. */
  sinceLastActionMs: number | null
}

type Scope = { workload: Omit<WorkloadRef, 'uid'>; action: ActionName }
type CountRow = Record<'workload' | 'namespace' | 'action' | 'workload_bad' | 'namespace_bad' | 'action_bad', number> & {
  window_ms: number
  since_ms: number | null
}

/** What happened lately, for policies. Undos are part of their remediation and not counted again. */
export const historyCounts = guarded(async (db: Knex, { workload, action }: Scope, windowsMs: readonly number[]): Promise<History> => {
  const { cluster, namespace, kind, name } = workload
  const counted = await rows<CountRow>(db, historySql, { cluster, namespace, kind, name, action, windowsMs: [...windowsMs] })
  const pick = (part: 'workload' | 'namespace' | 'action'): HistoryCount[] =>
    counted.map((row) => ({ windowMs: row.window_ms, effects: row[part], bad: row[`${part}_bad`] }))
  return { workload: pick('workload'), namespace: pick('namespace'), action: pick('action'), sinceLastActionMs: counted[0]?.since_ms ?? null }
})

const historySql = `
  with recent as (
    select i.settled_at, i.action, i.workload_kind = :kind and i.workload_name = :name as here,
      coalesce(t.outcome in ('undone', 'needs_human'), false) as bad
    from ledger.intent i left join ledger.terminal t using (id)
    where i.cluster = :cluster and i.namespace = :namespace and i.phase = 'act' and i.result in ('applied', 'presumed')
      and i.settled_at > now() - (select max(w) from unnest(:windowsMs::bigint[]) w) * interval '1 ms'
  ), last as (
    select (extract(epoch from clock_timestamp() - max(settled_at)) * 1000)::float8 as since_ms from ledger.intent
    where cluster = :cluster and namespace = :namespace and workload_kind = :kind and workload_name = :name
      and phase = 'act' and result in ('applied', 'presumed')
  )
  select w.ms::float8 as window_ms, (select since_ms from last),
    count(*) filter (where here)::integer as workload, count(*) filter (where here and bad)::integer as workload_bad,
    count(recent.settled_at)::integer as namespace, count(*) filter (where bad)::integer as namespace_bad,
    count(*) filter (where action = :action)::integer as action, count(*) filter (where action = :action and bad)::integer as action_bad
  from unnest(:windowsMs::bigint[]) with ordinality w(ms, place)
  left join recent on recent.settled_at > now() - w.ms * interval '1 ms'
  group by w.ms, w.place order by w.place`
