import type { Knex } from 'knex'
import type { ActionName, EffectPhase } from '../../domain/remediation.ts'
import { Failure } from '../../domain/failure.ts'
import { guarded } from './failures.ts'
import { appendEntry, systemActor } from './ledger.ts'
import { permission, type AttemptKey, type IntentRefusal } from './permission.ts'
import { underLock, underLockWithFreeze } from './request-rows.ts'
import { setPhase } from './requests.ts'
import { first, iso, isoOrNull, rows } from './sql.ts'
import type { StepOf } from './steps.ts'
import { write } from './write.ts'

export type { AttemptKey, IntentRefusal } from './permission.ts'

export type IntentResult = 'applied' | 'presumed' | 'overtaken' | 'fenced' | 'not_sent'
export type IntentState = 'recorded' | 'sent' | 'fencing' | 'settled'

export type Intent = {
  id: string
  phase: EffectPhase
  planDigest: string
  warrantId: string
  claimToken: number
  runId: string
  action: ActionName
  state: IntentState
  /** Attempts that were allowed to send. 0: nothing can have landed. */
  attempts: number
  recordedAt: string
  /** Of the last attempt. */
  sentAt: string | null
  result: IntentResult | null
  detail: Record<string, unknown> | null
  settledAt: string | null
}

export type IntentRecorded = 'recorded' | 'known' | IntentRefusal

/** Written before the first call; a retry, or a reissued warrant for the same plan, finds it again. */
export const recordIntent = guarded((db: Knex, intent: AttemptKey & { runId: string }, step?: StepOf<IntentRecorded>): Promise<IntentRecorded> =>
  underLockWithFreeze(db, intent.id, async (trx, request) => {
    const checked = await permission(trx, request, intent)
    if (checked.refusal) return checked.refusal
    if (intent.phase === 'undo') await setPhase(trx, intent.id, 'undoing')
    if (checked.state !== null) {
      await rows(trx, rebindSql, intent)
      return 'known'
    }
    const { id, phase, planDigest, warrantId, claimToken, runId } = intent
    const body = { phase, planDigest, warrantId, claim: claimToken, runId }
    await write(trx, {
      changes: insertSql,
      of: 'new',
      parameters: { ...intent, action: request.action },
      entry: { stream: id, stepKey: `intent/${phase}`, kind: 'intent', actor: systemActor, body },
      step: step?.('recorded'),
    })
    return 'recorded'
  }),
)

const insertSql = `
  new as (
    insert into ledger.intent (id, phase, plan_digest, warrant_id, claim_token, run_id, action, cluster, namespace, workload_kind, workload_name)
    select :id, :phase, :planDigest, :warrantId, :claimToken, :runId, :action, cluster, namespace, kind, name
    from ledger.claim where holder = :id and token = :claimToken returning id
  )`

const rebindSql = `update ledger.intent set warrant_id = :warrantId, claim_token = :claimToken where id = :id and phase = :phase and state <> 'settled'`

/** `no_intent`: nothing may be sent that is not on record. */
export type Begun = { go: true; attempt: number } | { go: false; because: IntentRefusal | 'no_intent' }

/**
 * The last word before the call. Checks everything by database time, marks the intent `sent` and
 * commits; only then may the caller send. `attempt`: its number, from 1; each was let through, and may land.
 */
export const beginAttempt = guarded((db: Knex, attempt: AttemptKey): Promise<Begun> =>
  underLockWithFreeze(db, attempt.id, async (trx, request): Promise<Begun> => {
    const { refusal, state, attempts } = await permission(trx, request, attempt)
    if (state === null) return { go: false, because: 'no_intent' }
    if (refusal) return { go: false, because: refusal }
    if (state !== 'recorded' && state !== 'sent') return { go: false, because: 'stopped' }
    const { id, phase, warrantId } = attempt
    await write(trx, {
      changes: sentSql,
      of: 'sent',
      parameters: { id, phase },
      entry: {
        stream: id,
        stepKey: `attempt/${phase}/${attempts + 1}`,
        kind: 'attempt',
        actor: systemActor,
        body: { phase, attempt: attempts + 1, warrantId },
      },
      step: undefined,
    })
    return { go: true, attempt: attempts + 1 }
  }),
)

const sentSql = `
  sent as (
    update ledger.intent set state = 'sent', sent_at = clock_timestamp(), attempts = attempts + 1 where id = :id and phase = :phase returning id
  )`

/** `not_sent` is true only of the attempts its writer knows of, which are `attempts` in all. */
export type Result = { detail: Record<string, unknown> } & ({ result: Exclude<IntentResult, 'not_sent'> } | { result: 'not_sent'; attempts: number })
export type Settlement = { id: string; phase: EffectPhase } & Result

export type Settled = { settled: boolean; result: IntentResult | null }

/**
 * First writer wins; `settled: false` gives the result that stands instead. Null: none does, for attempts have begun
 * that the writer does not know of, and what became of those only a fence can tell.
 */
export const settleIntent = guarded((db: Knex, settlement: Settlement, step?: StepOf<Settled>): Promise<Settled> =>
  underLock(db, settlement.id, async (trx) => {
    const { id, phase, result, detail } = settlement
    const intent = await first<{ result: IntentResult | null; attempts: number }>(
      trx,
      'select result, attempts from ledger.intent where id = :id and phase = :phase',
      { id, phase },
    )
    if (!intent) throw new Failure('missing', 'intent_missing', `remediation \`${id}\` has no intent to ${phase}`)
    if (intent.result !== null) return { settled: intent.result === result, result: intent.result }
    if (settlement.result === 'not_sent' && settlement.attempts !== intent.attempts) return { settled: false, result: null }
    const settled = { settled: true, result }
    await write(trx, {
      changes: settleSql,
      parameters: { id, phase, result, detail: JSON.stringify(detail), room: roomAfter(result, intent.attempts) },
      entry: { stream: id, stepKey: `settled/${phase}`, kind: 'settled', actor: systemActor, body: { phase, result, detail, attempts: intent.attempts } },
      step: step?.(settled),
    })
    return settled
  }),
)

/** A slot is given back only when no effect can have come or can still come. */
const roomAfter = (result: IntentResult, attempts: number): 'used' | 'free' =>
  result === 'fenced' || result === 'not_sent' || (result === 'overtaken' && attempts === 0) ? 'free' : 'used'

// The effect's time is not after this, so counting from here holds the room a little longer, never shorter.
const settleSql = `
  settled as (
    update ledger.intent set state = 'settled', result = :result, detail = :detail::jsonb, settled_at = clock_timestamp()
    where id = :id and phase = :phase
  ), room as (
    update ledger.reservation set effect_at = case when :room = 'used' then clock_timestamp() end,
      released_at = case when :room = 'free' then clock_timestamp() end
    where id = :id and phase = :phase and released_at is null
  )`

/** From here on no attempt may send. False: there is no intent, or it is settled already. */
export const markFencing = guarded((db: Knex, id: string, phase: EffectPhase): Promise<boolean> =>
  underLock(db, id, async (trx) => {
    const marked = await first(
      trx,
      `update ledger.intent set state = 'fencing' where id = :id and phase = :phase and state in ('recorded', 'sent') returning id`,
      { id, phase },
    )
    if (marked) await appendEntry(trx, { stream: id, stepKey: `fencing/${phase}`, kind: 'fencing', actor: systemActor, body: { phase } })
    return marked !== undefined || (await loadIntent(trx, id, phase))?.state === 'fencing'
  }),
)

type IntentRow = {
  id: string
  phase: EffectPhase
  plan_digest: string
  warrant_id: string
  claim_token: string
  run_id: string
  action: ActionName
  state: IntentState
  attempts: number
  recorded_at: Date
  sent_at: Date | null
  result: IntentResult | null
  detail: Record<string, unknown> | null
  settled_at: Date | null
}

const toIntent = (row: IntentRow): Intent => ({
  id: row.id,
  phase: row.phase,
  planDigest: row.plan_digest,
  warrantId: row.warrant_id,
  claimToken: Number(row.claim_token),
  runId: row.run_id,
  action: row.action,
  state: row.state,
  attempts: row.attempts,
  recordedAt: iso(row.recorded_at),
  sentAt: isoOrNull(row.sent_at),
  result: row.result,
  detail: row.detail,
  settledAt: isoOrNull(row.settled_at),
})

export const loadIntent = guarded(async (db: Knex, id: string, phase: EffectPhase): Promise<Intent | undefined> => {
  const row = await first<IntentRow>(db, 'select * from ledger.intent where id = :id and phase = :phase', { id, phase })
  return row && toIntent(row)
})

/** Both phases of these remediations, act before undo. */
export const intentsOf = async (db: Knex, ids: readonly string[]): Promise<Intent[]> =>
  (await rows<IntentRow>(db, 'select * from ledger.intent where id = any(:ids::uuid[]) order by id, phase', { ids: [...ids] })).map(toIntent)

/** Whether a call may have been sent whose outcome is not known. */
export const unresolved = `attempts > 0 and state <> 'settled'`
