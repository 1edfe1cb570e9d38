import type { Knex } from 'knex'
import { usualBreaker, type BreakerRules } from '../../domain/guards/breaker.ts'
import type { Proceed } from '../../domain/policy/mode.ts'
import type { Ending, Principal, Verdict } from '../../domain/remediation.ts'
import { openBreakersAfter } from './breakers.ts'
import { guarded } from './failures.ts'
import { turnHandoffsIntoRequests } from './handoffs.ts'
import { unresolved } from './intents.ts'
import { actorOf, appendEntry, systemActor } from './ledger.ts'
import { lockRequest, underLock, type RequestRow } from './request-rows.ts'
import { demoteAfter } from './rungs.ts'
import { first, inTransaction, rows } from './sql.ts'
import { write } from './write.ts'

export type Closing = {
  id: string
  ending: Ending
  source: 'workflow' | 'reconciler'
  runId: string | null
  /** Of the run chain that asks; one that is not bound to the request closes nothing. Null: no run asks. */
  firstRunId: string | null
  /** Fresh UUIDv7s for the requests that unread hand-offs become. */
  newId: () => string
  /** When a policy's breaker opens; left out: the usual rules. */
  breaker?: BreakerRules
}

/**
 * The only writer of the terminal row: one per remediation, whoever asks first. Settles the claim, the
 * reservations and the hand-offs in the same transaction, and takes the policies that permitted what ended badly down
 * a rung, or opens their breaker. While a call may still land it closes as `needs_human` and keeps claim and room, whatever ending was asked for.
 */
export const closeRemediation = guarded((db: Knex, closing: Closing): Promise<{ closed: boolean; ending: Ending }> =>
  underLock(db, closing.id, async (trx, request) => {
    await rows(trx, 'select token from ledger.claim where holder = :id for update', { id: closing.id })
    const { standing, mayLand, handedOff, ...effects } = await lookAtEnd(trx, closing.id)
    if (standing) return { closed: false, ending: standing }
    if (isForeign(request, closing)) return { closed: false, ending: closing.ending }
    const ending = mayLand ? unfenced(closing.ending) : borneOut(closing.ending, effects)
    // First, for the lock of rungs comes before the streams'.
    await demoteAfter(trx, request, ending, effects.acted || mayLand)
    await openBreakersAfter(trx, request, ending, effects.acted || mayLand, closing.breaker ?? usualBreaker)
    await writeTerminal(trx, { ...closing, ending }, mayLand)
    if (handedOff) await turnHandoffsIntoRequests(trx, request, closing.newId)
    return { closed: true, ending }
  }),
)

const isForeign = ({ first_run_id: bound }: RequestRow, { firstRunId }: Closing): boolean =>
  firstRunId !== null && bound !== null && bound !== firstRunId

type Effects = { acted: boolean; undone: boolean; verdict: Verdict | null; rejected: boolean; proceed: Proceed | null }
type End = Effects & {
  standing: Ending | null
  /** A call may have been sent whose outcome is not known. */
  mayLand: boolean
  /** There are hand-offs nobody has read. */
  handedOff: boolean
}

/** Asked when the locks are held: attempts wait for the first, and hand-offs are left under the second. */
async function lookAtEnd(trx: Knex, id: string): Promise<End> {
  const end = await first<End>(trx, endSql, { id })
  if (!end) throw new Error('looking at the end of a remediation gave no row')
  return end
}

const landed = `result in ('applied', 'presumed')`

const endSql = `
  select i.*,
    (select jsonb_build_object('outcome', outcome, 'reason', reason, 'message', message, 'verdict', verdict) from ledger.terminal where id = :id) as standing,
    exists (select from ledger.handoff where into_id = :id and read_at is null) as "handedOff"
  from (
    select coalesce(bool_or(${unresolved}), false) as "mayLand", coalesce(bool_or(phase = 'act' and ${landed}), false) as acted,
      coalesce(bool_or(phase = 'undo' and ${landed}), false) as undone,
      (select verdict from ledger.verification where id = :id order by ordinal desc limit 1) as verdict,
      exists (select from ledger.answer where id = :id and kind = 'reject') as rejected,
      (select proceed from ledger.decision where id = :id order by ordinal desc limit 1) as proceed
    from ledger.intent where id = :id
  ) i`

/**
 * An ending may neither deny an effect that is on record nor claim one that is not: a run that was reset finds its
 * own change in the cluster and thinks there is nothing to do, and a message may say anything. What the rows do not
 * bear out is left to a person.
 */
function borneOut(wanted: Ending, effects: Effects): Ending {
  // The verdict is the row's; a watching that failed has none, and is unknown.
  const verdict = effects.verdict ?? (wanted.verdict === null ? null : 'unknown')
  if (isBorneOut(wanted, effects)) return { ...wanted, verdict }
  const message = `${inTheCluster(effects)}; without that it would have ended ${wanted.outcome} (${wanted.reason})`
  return { outcome: 'needs_human', reason: 'unverified', message, verdict }
}

function isBorneOut({ outcome, reason }: Ending, { acted, undone, verdict, rejected, proceed }: Effects): boolean {
  if (outcome === 'needs_human') return true
  if (outcome === 'declined' && !rejected) return false
  if (outcome in proceedOf && proceed !== proceedOf[outcome as keyof typeof proceedOf]) return false
  if (outcome === 'healed') return acted && !undone && verdict === 'better'
  if (outcome === 'undone') return undone
  return !acted || (reason === 'cancelled_during_verify' && !undone)
}

/** What the newest decision said where policy or mode ended it. */
const proceedOf = { denied: 'deny', observed: 'observe', suggested: 'suggest' } as const

function inTheCluster({ acted, undone, verdict }: Effects): string {
  if (undone) return 'its change was taken back'
  if (!acted) return 'no change of it is on record'
  return verdict === null ? 'its change is in the cluster and was not verified' : `its change is in the cluster (${verdict})`
}

function unfenced(wanted: Ending): Ending {
  if (wanted.outcome === 'needs_human' && wanted.reason === 'unfenced') return wanted
  const message = `a change may still reach the cluster, so a person has to look; without that it would have ended ${wanted.outcome} (${wanted.reason})`
  return { outcome: 'needs_human', reason: 'unfenced', message, verdict: wanted.verdict }
}

async function writeTerminal(trx: Knex, { id, ending, source, runId }: Closing, mayLand: boolean): Promise<void> {
  const state = ending.outcome === 'needs_human' ? 'kept' : 'free'
  await write(trx, {
    changes: endedSql,
    of: 'new',
    parameters: { id, ...ending, source, runId, state, mayLand },
    entry: { stream: id, stepKey: 'closed', kind: 'closed', actor: systemActor, body: { ...ending, source, runId } },
    step: undefined, // the last entry of its stream
  })
}

// A claim that is kept for a person stays so, whatever becomes of the run. A reservation without an effect is given back; one with an effect holds its room until the window is over. A hand-off
// stands only for a request that ended by it: what was cancelled or lost asks for nothing any more. The phase
// comes after the row that it needs, which is why it is taken from there. Nothing fills the column `facts`.
const endedSql = `
  new as (
    insert into ledger.terminal (id, outcome, reason, message, verdict, source, run_id, facts)
    values (:id, :outcome, :reason, :message, :verdict, :source, :runId, '{}') returning id
  ), claims as (
    update ledger.claim set state = :state, holder = case when :state = 'kept' then holder end,
      action = case when :state = 'kept' then action end, since = now()
    where holder = :id and state = 'held'
  ), room as (
    update ledger.reservation set released_at = clock_timestamp()
    where id = :id and effect_at is null and released_at is null and not :mayLand
  ), handed as (
    update ledger.handoff set read_at = now() where from_id = :id and read_at is null and :outcome <> 'coalesced'
  ), ended as (
    update ledger.request r set phase = 'closed' from new where r.id = new.id
  )`

export type ClaimRef = { cluster: string; namespace: string; kind: string; name: string }

/**
 * `aegis release`: a person has looked, and gives back a claim that was kept for them. Room held for a
 * call that might have landed counts from now. False: no such claim is kept.
 */
export const releaseClaim = guarded((db: Knex, which: { workload: ClaimRef } | { id: string }, principal: Principal): Promise<boolean> =>
  inTransaction(db, async (trx) => {
    const holder = 'id' in which ? which.id : await keeperOf(trx, which.workload)
    if (holder === undefined) return false
    const request = await lockRequest(trx, holder)
    const [claim] = await rows<ClaimRef & { token: number }>(trx, releaseSql, { holder })
    if (!claim) return false
    const { token, ...workload } = claim
    await appendEntry(trx, {
      stream: 'claims',
      stepKey: `released/${holder}/${token}`,
      kind: 'claim_released',
      actor: actorOf(principal),
      about: { action: request.action, cluster: request.cluster, namespace: request.namespace, kind: request.kind, name: request.name },
      body: { remediation: holder, claim: token, workload },
    })
    return true
  }),
)

async function keeperOf(trx: Knex, workload: ClaimRef): Promise<string | undefined> {
  const row = await first<{ holder: string }>(
    trx,
    `select holder from ledger.claim where cluster = :cluster and namespace = :namespace and kind = :kind and name = :name and state = 'kept'`,
    workload,
  )
  return row?.holder
}

const releaseSql = `
  with released as (
    update ledger.claim set state = 'free', holder = null, action = null, since = now(), released_at = clock_timestamp()
    where holder = :holder and state = 'kept' returning cluster, namespace, kind, name, token::float8 as token
  ), room as (
    update ledger.reservation set effect_at = clock_timestamp()
    where id = :holder and effect_at is null and released_at is null and exists (select from released)
  )
  select * from released`
