import type { Knex } from 'knex'
import type { EffectPhase } from '../../domain/remediation.ts'
import { coveringFreeze } from './freeze.ts'
import type { RequestRow } from './request-rows.ts'
import { first } from './sql.ts'

export type AttemptKey = { id: string; phase: EffectPhase; planDigest: string; warrantId: string; claimToken: number }

export type IntentRefusal =
  | 'closed'
  | 'cancelled' // a cancel came before this was sent; the undo does not ask
  | 'rejected' // a person declined, whatever the run was told; the undo does not ask
  | 'other_digest' // the intent stands for another plan
  | 'stopped' // settled, or being fenced
  | 'claim_lost'
  | 'frozen'
  | 'warrant_unknown'
  | 'warrant_expired'
  | 'limited' // its room in the limits is gone
  | 'deadline' // the act was not sent in its time; it would come as a surprise now

export type Permission = { refusal: IntentRefusal | null; state: 'recorded' | 'sent' | 'fencing' | 'settled' | null; attempts: number }

type Facts = {
  intent_digest: string | null
  state: Permission['state']
  attempts: number | null
  claimed: boolean
  frozen: boolean
  warranted: boolean
  expired: boolean
  rejected: boolean
  reserved: boolean
  late: boolean
}

/**
 * Whether this phase may be recorded or sent now, under the remediation's lock and with freezes held off. The claim needs no lock
 * of its own: only `close` and `reserve` of this remediation move it, and both take the same lock.
 */
export async function permission(trx: Knex, request: RequestRow, attempt: AttemptKey): Promise<Permission> {
  const { cluster, namespace, action } = request
  const facts = await first<Facts>(trx, factsSql, { ...attempt, cluster, namespace, action })
  if (!facts) throw new Error('looking at a permission gave no row')
  return { refusal: refusalOf(request, attempt, facts), state: facts.state, attempts: facts.attempts ?? 0 }
}

const factsSql = `
  select i.plan_digest as intent_digest, i.state, i.attempts,
    exists (select from ledger.claim c where c.holder = r.id and c.state = 'held' and c.token = :claimToken) as claimed,
    exists (select from ${coveringFreeze('select x.decision_id from ledger.warrant x where x.warrant_id = :warrantId')}) as frozen,
    w.warrant_id is not null as warranted,
    coalesce(w.expires_at <= clock_timestamp(), true) as expired,
    not exists (select from ledger.reservation v where v.id = r.id and v.phase = :phase and (v.released_at is not null or v.effect_at is not null)) as reserved,
    exists (select from ledger.answer a where a.id = r.id and a.kind = 'reject') as rejected,
    (select q.deadline_at <= clock_timestamp() from ledger.request q where q.id = r.id) as late
  from (select :id::uuid as id) r
  left join ledger.intent i on i.id = r.id and i.phase = :phase
  left join ledger.warrant w on w.warrant_id = :warrantId and w.id = r.id and w.phase = :phase and w.plan_digest = :planDigest`

function refusalOf(request: RequestRow, { phase, planDigest }: AttemptKey, facts: Facts): IntentRefusal | null {
  if (request.phase === 'closed') return 'closed'
  if (facts.intent_digest !== null && facts.intent_digest !== planDigest) return 'other_digest'
  if (facts.state === 'settled' || facts.state === 'fencing') return 'stopped'
  if (phase === 'act' && request.stop_attempts_at !== null) return 'cancelled'
  if (phase === 'act' && facts.rejected) return 'rejected'
  if (phase === 'act' && facts.late && !facts.attempts) return 'deadline'
  if (!facts.claimed) return 'claim_lost'
  if (facts.frozen) return 'frozen'
  if (!facts.warranted) return 'warrant_unknown'
  if (facts.expired) return 'warrant_expired'
  return facts.reserved ? null : 'limited'
}
