import { createHash } from 'node:crypto'
import type { Knex } from 'knex'
import { canonicalJson } from '../../domain/canonical.ts'
import type { Health, ObservedLabels, Plan, PreflightCard, Refusal, WorkloadTerms } from '../../domain/plan.ts'
import { guarded } from './failures.ts'
import { systemActor } from './ledger.ts'
import { first, iso } from './sql.ts'
import type { StepOf } from './steps.ts'
import { write } from './write.ts'

/** How long its effect is watched: committed with the plan, so that no message shortens it. */
export type WatchTimes = { settleMs: number; timeoutMs: number }

/** `terms` are null for a plan of before, of whose workload nothing is known. */
export type PlanRow = { id: string; plan: Plan; digest: string; baseline: Health; labels: ObservedLabels; terms: WorkloadTerms | null; observedAt: string; watch: WatchTimes }
export type StoredPlan = Omit<PlanRow, 'id' | 'watch'>
export type PreflightRow = { id: string; digest: string; card: PreflightCard; refusal: Refusal | null }
export type StoredPreflight = Omit<PreflightRow, 'id'> & { at: string }

/**
 * Kept once per digest. A plan that comes out the same again brings its newer baseline, for policy and
 * verdict go by the health just before acting; once an intent is recorded the baseline stands.
 */
export const savePlan = guarded(async (db: Knex, { id, plan, digest, baseline, labels, terms, observedAt, watch }: PlanRow, step?: StepOf<void>): Promise<void> => {
  await write(db, {
    changes: `
      new as (
        insert into ledger.plan (id, digest, plan, baseline, labels, terms, observed_at, watch)
        values (:id, :digest, :plan, :baseline, :labels, :terms, :observedAt, :watch)
        on conflict do nothing returning id
      ), newer as (
        update ledger.plan p set baseline = :baseline, labels = :labels, terms = :terms, observed_at = :observedAt
        where p.id = :id and p.digest = :digest and not exists (select from new) and not exists (select from ledger.intent i where i.id = p.id)
      )`,
    of: 'new',
    parameters: { id, digest, plan: canonicalJson(plan), baseline: JSON.stringify(baseline), labels: JSON.stringify(labels), terms: terms && JSON.stringify(terms), observedAt, watch: JSON.stringify(watch) },
    entry: { stream: id, stepKey: `plan/${digest}`, kind: 'planned', actor: systemActor, body: { digest, plan, baseline, labels, terms, observedAt, watch } },
    step: step?.(),
  })
})

export type StoredPlanRow = { digest: string; plan: string; baseline: Health; labels: ObservedLabels; terms: WorkloadTerms | null; observed_at: Date }

export const planColumns = 'p.digest, p.plan, p.baseline, p.labels, p.terms, p.observed_at'

export const loadPlan = guarded(async (db: Knex, id: string, digest: string): Promise<StoredPlan | undefined> => {
  const row = await first<StoredPlanRow>(
    db,
    `select ${planColumns} from ledger.plan p where p.id = :id and p.digest = :digest`,
    { id, digest },
  )
  return row && toStoredPlan(row)
})

export type Verifying = StoredPlan & {
  /** Null for a plan that was made before these were kept with it. */
  watch: WatchTimes | null
  /** Epoch milliseconds at which the change was sent for the last time; 0 when only its stamp proves it. */
  sentAtMs: number
}

/** Reads the plan whose act is proven, and says that its effect is being verified; undefined: there is no such act. */
export const beginVerifying = guarded(async (db: Knex, id: string, digest: string): Promise<Verifying | undefined> => {
  const row = await first<StoredPlanRow & { watch: WatchTimes | null; sent_at: Date | null }>(
    db,
    `with stored as (
       select ${planColumns}, p.watch, i.sent_at from ledger.plan p
       join ledger.intent i on i.id = p.id and i.plan_digest = p.digest and i.phase = 'act' and i.result in ('applied', 'presumed')
       where p.id = :id and p.digest = :digest
     ), standing as (
       update ledger.request set phase = :phase where id = :id and phase not in ('closed', :phase) and exists (select from stored)
     )
     select * from stored`,
    { id, digest, phase: 'verifying' },
  )
  return row && { ...toStoredPlan(row), watch: row.watch, sentAtMs: row.sent_at?.getTime() ?? 0 }
})

export const toStoredPlan = ({ digest, plan, baseline, labels, terms, observed_at: observedAt }: StoredPlanRow): StoredPlan => ({
  digest,
  plan: JSON.parse(plan) as Plan,
  baseline,
  labels,
  terms,
  observedAt: iso(observedAt),
})

/** What the execution side found before acting. The same card again is the same row and entry, and the newest. */
export const savePreflight = guarded(async (db: Knex, { id, digest, card, refusal }: PreflightRow, step?: StepOf<void>): Promise<void> => {
  const cardDigest = createHash('sha256').update(canonicalJson({ card, refusal })).digest('hex')
  await write(db, {
    changes: `
      new as (
        insert into ledger.preflight (id, digest, card_digest, card, refusal) values (:id, :digest, :cardDigest, :card, :refusal)
        on conflict (id, digest, card_digest) do update set at = now() returning id
      )`,
    of: 'new',
    parameters: { id, digest, cardDigest, card: JSON.stringify(card), refusal: refusal && JSON.stringify(refusal) },
    entry: { stream: id, stepKey: `preflight/${digest}/${cardDigest}`, kind: 'preflight', actor: systemActor, body: { digest, card, refusal } },
    step: step?.(),
  })
})

/** The newest card of this plan. */
export const loadPreflight = guarded(async (db: Knex, id: string, digest: string): Promise<StoredPreflight | undefined> => {
  const row = await first<{ digest: string; card: PreflightCard; refusal: Refusal | null; at: Date }>(
    db,
    'select digest, card, refusal, at from ledger.preflight where id = :id and digest = :digest order by at desc limit 1',
    { id, digest },
  )
  return row && { ...row, at: iso(row.at) }
})
