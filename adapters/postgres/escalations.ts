import { createHash } from 'node:crypto'
import type { Knex } from 'knex'
import { closesCircle, type Escalation, type EscalationRule } from '../../domain/approvals/escalation.ts'
import type { Principal } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { actorOf, appendEntry, systemActor } from './ledger.ts'
import { first, inTransaction, iso, rows } from './sql.ts'
import type { StepOf } from './steps.ts'
import { write } from './write.ts'

export type KeptRule = EscalationRule & { setBy: string; setAt: string }

/** Every decision that waits for a group reads them all. */
const mostRules = 100

export type RuleSet = { set: true; rule: KeptRule } | { set: false; because: 'circle' | 'too_many' }

/** In force for whatever waits, from now on. */
export const setEscalation = guarded((db: Knex, { group, to, afterMs }: EscalationRule, principal: Principal): Promise<RuleSet> =>
  inTransaction(db, async (trx): Promise<RuleSet> => {
    await lockRules(trx)
    const others = (await listEscalations(trx)).filter((one) => one.group !== group)
    if (others.length >= mostRules) return { set: false, because: 'too_many' }
    if (closesCircle({ group, to, afterMs }, others)) return { set: false, because: 'circle' }
    const row = await first<RuleRow>(
      trx,
      `insert into ledger.escalation_rule (group_name, to_group, after_ms, set_by) values (:group, :to, :afterMs, :by)
       on conflict (group_name) do update set to_group = :to, after_ms = :afterMs, set_by = :by, set_at = clock_timestamp() returning ${ruleColumns}`,
      { group, to, afterMs, by: principal.id },
    )
    if (!row) throw new Error('keeping an escalation returned no row')
    await appendEntry(trx, { stream: 'escalations', stepKey: await freshKey(trx, 'set'), kind: 'escalation_set', actor: actorOf(principal), body: { group, to, afterMs } })
    return { set: true, rule: toRule(row) }
  }),
)

/** False: the group has none. */
export const removeEscalation = guarded((db: Knex, group: string, principal: Principal): Promise<boolean> =>
  inTransaction(db, async (trx) => {
    await lockRules(trx)
    const gone = await first(trx, 'delete from ledger.escalation_rule where group_name = :group returning group_name', { group })
    if (!gone) return false
    await appendEntry(trx, { stream: 'escalations', stepKey: await freshKey(trx, 'removed'), kind: 'escalation_removed', actor: actorOf(principal), body: { group } })
    return true
  }),
)

/** By group. */
export const listEscalations = guarded(async (db: Knex): Promise<KeptRule[]> =>
  (await rows<RuleRow>(db, `select ${ruleColumns} from ledger.escalation_rule order by group_name`)).map(toRule),
)

const lockRules = (trx: Knex) => rows(trx, `select pg_advisory_xact_lock(hashtextextended('ledger.escalation_rule', 0))`)

/** Entries of a stream that goes on for ever need keys of their own. */
const freshKey = async (trx: Knex, word: string): Promise<string> => `${word}/${(await first<{ id: string }>(trx, 'select gen_random_uuid()::text as id'))!.id}`

type RuleRow = { group_name: string; to_group: string; after_ms: number; set_by: string; set_at: Date }

const ruleColumns = 'group_name, to_group, after_ms::float8 as after_ms, set_by, set_at'

const toRule = (row: RuleRow): KeptRule => ({ group: row.group_name, to: row.to_group, afterMs: row.after_ms, setBy: row.set_by, setAt: iso(row.set_at) })

/** How the wait of one remediation for people who agree to one plan stands. */
export type Waiting = {
  rules: EscalationRule[]
  /** When people were first asked; null: they have not been. */
  askedAt: string | null
  waitedMs: number
  /** Groups that the newest decision asks for. */
  wanted: string[]
  done: (Omit<Escalation, 'inMs'> & { at: string })[]
}

export const waitingOf = guarded(async (db: Knex, id: string, planDigest: string): Promise<Waiting> => {
  const row = await first<Omit<Waiting, 'askedAt' | 'waitedMs'> & { asked_at: Date | null; waited_ms: number | null }>(db, waitingSql, { id, planDigest })
  if (!row) throw new Error('looking at a wait gave no row')
  const { asked_at: askedAt, waited_ms: waitedMs, done, ...rest } = row
  return { ...rest, askedAt: askedAt && iso(askedAt), waitedMs: waitedMs ?? 0, done: done.map((one) => ({ ...one, at: iso(new Date(one.at)) })) }
})

const waitingSql = `
  select asked.at as asked_at, (extract(epoch from clock_timestamp() - asked.at) * 1000)::float8 as waited_ms,
    (select coalesce(jsonb_agg(jsonb_build_object('group', group_name, 'to', to_group, 'afterMs', after_ms) order by group_name), '[]') from ledger.escalation_rule) as rules,
    (select coalesce((select decision::jsonb #> '{obligations,approverGroups}' from ledger.decision where id = :id order by ordinal desc limit 1), '[]')) as wanted,
    (select coalesce(jsonb_agg(jsonb_build_object('group', group_name, 'to', to_group, 'at', at) order by at, group_name), '[]')
     from ledger.escalation where id = :id and plan_digest = :planDigest) as done
  from (select min(decided_at) as at from ledger.decision where id = :id and plan_digest = :planDigest and proceed = 'ask') asked`

/** That a group's voice has come to another, once for this plan. */
export const recordEscalation = guarded(
  (db: Knex, { id, planDigest, group, to }: { id: string; planDigest: string; group: string; to: string }, step?: StepOf<boolean>): Promise<boolean> =>
    write(db, {
      changes: `
        new as (
          insert into ledger.escalation (id, plan_digest, group_name, to_group)
          select id, :planDigest, :group, :to from ledger.request where id = :id and phase <> 'closed' on conflict do nothing returning id
        )`,
      of: 'new',
      parameters: { id, planDigest, group, to },
      entry: { stream: id, stepKey: `escalated/${keyOf(planDigest, group, to)}`, kind: 'approval_escalated', actor: systemActor, body: { planDigest, group, to } },
      step: step?.(true),
    }),
)

/** Groups have names of all kinds, and the key of an entry is a plain word. */
const keyOf = (...parts: string[]): string => createHash('sha256').update(JSON.stringify(parts)).digest('hex')
