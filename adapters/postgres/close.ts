import type { Knex } from 'knex'
import type { Ending, Outcome, Principal, Verdict } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { turnHandoffsIntoRequests } from './handoffs.ts'
import { unresolved } from './intents.ts'
import { actorOf, appendEntry, appendParameters, appendSql, systemActor } from './ledger.ts'
import { lockRequest, underLock, type RequestRow } from './request-rows.ts'
import { first, inTransaction, rows } from './sql.ts'

export type Closing = {
  id: string
  ending: Ending
  source: 'workflow' | 'reconciler'
  runId: string | null
  /** Of the run chain that asks; one that is not bound to the request closes nothing. Null: no run asks. */
  firstRunId: string | null
  facts: Record<string, unknown>
  /** Fresh UUIDv7s for the requests that unread hand-offs become. */
  newId: () => string
}

/**
 * The only writer of the terminal row: one per remediation, whoever asks first. Settles the claim, the
 * reservations and the hand-offs in the same transaction. While a call may still land it closes as
 * `needs_human` and keeps claim and room, whatever ending was asked for.
 */
export const closeRemediation = guarded((db: Knex, closing: Closing): Promise<{ closed: boolean; ending: Ending }> =>
  underLock(db, closing.id, async (trx, request) => {
    const standing = await endingOf(trx, closing.id)
    if (standing) return { closed: false, ending: standing }
    if (isForeign(request, closing)) return { closed: false, ending: closing.ending }
    await rows(trx, 'select token from ledger.claim where holder = :id for update', { id: closing.id })
    const mayLand = (await first(trx, `select id from ledger.intent where id = :id and ${unresolved} limit 1`, { id: closing.id })) !== undefined
    const ending = mayLand ? unfenced(closing.ending) : borneOut(closing.ending, await effectsOf(trx, closing.id))
    await writeTerminal(trx, { ...closing, ending })
    await settle(trx, closing.id, ending, mayLand)
    await turnHandoffsIntoRequests(trx, request, closing.newId)
    return { closed: true, ending }
  }),
)

const isForeign = ({ first_run_id: bound }: RequestRow, { firstRunId }: Closing): boolean =>
  firstRunId !== null && bound !== null && bound !== firstRunId

type Effects = { acted: boolean; undone: boolean }

async function effectsOf(trx: Knex, id: string): Promise<Effects> {
  const landed = `result in ('applied', 'presumed')`
  const row = await first<Effects>(
    trx,
    `select coalesce(bool_or(phase = 'act' and ${landed}), false) as acted, coalesce(bool_or(phase = 'undo' and ${landed}), false) as undone
     from ledger.intent where id = :id`,
    { id },
  )
  return row ?? { acted: false, undone: false }
}

/**
 * An ending may not deny an effect that is on record: a run that was reset finds its own change in the
 * cluster and thinks there is nothing to do. What was not verified then is left to a person.
 */
function borneOut(wanted: Ending, { acted, undone }: Effects): Ending {
  const says = wanted.outcome === 'healed' || wanted.outcome === 'needs_human' || wanted.reason === 'cancelled_during_verify'
  if (!acted || says || (wanted.outcome === 'undone' && undone)) return wanted
  const message = `its change is in the cluster and was not verified; without that it would have ended ${wanted.outcome} (${wanted.reason})`
  return { outcome: 'needs_human', reason: 'unverified', message, verdict: wanted.verdict }
}

function unfenced(wanted: Ending): Ending {
  if (wanted.outcome === 'needs_human' && wanted.reason === 'unfenced') return wanted
  const message = `a change may still reach the cluster, so a person has to look; without that it would have ended ${wanted.outcome} (${wanted.reason})`
  return { outcome: 'needs_human', reason: 'unfenced', message, verdict: wanted.verdict }
}

type TerminalRow = { outcome: Outcome; reason: string; message: string; verdict: Verdict | null }

export const endingOf = (db: Knex, id: string): Promise<Ending | undefined> =>
  first<TerminalRow>(db, 'select outcome, reason, message, verdict from ledger.terminal where id = :id', { id })

async function writeTerminal(trx: Knex, { id, ending, source, runId, facts }: Closing): Promise<void> {
  const body = { ...ending, source, runId, facts }
  const entry = { stream: id, stepKey: 'closed', kind: 'closed', actor: systemActor, body }
  await rows(
    trx,
    `with new as (
       insert into ledger.terminal (id, outcome, reason, message, verdict, source, run_id, facts)
       values (:id, :outcome, :reason, :message, :verdict, :source, :runId, :facts) returning id
     )
     select e.seq from new, lateral ${appendSql} e`,
    { id, ...ending, source, runId, facts: JSON.stringify(facts), ...appendParameters(entry) },
  )
}

/** A reservation without an effect is given back; one with an effect holds its room until the window is over. */
async function settle(trx: Knex, id: string, { outcome }: Ending, mayLand: boolean): Promise<void> {
  await rows(
    trx,
    `with claims as (
       update ledger.claim set state = :state, holder = case when :state = 'kept' then holder end,
         action = case when :state = 'kept' then action end, since = now()
       where holder = :id
     ), room as (
       update ledger.reservation set released_at = clock_timestamp()
       where id = :id and effect_at is null and released_at is null and not :mayLand
     )
     update ledger.request set phase = 'closed' where id = :id`,
    { id, state: outcome === 'needs_human' ? 'kept' : 'free', mayLand },
  )
}

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
    update ledger.claim set state = 'free', holder = null, action = null, since = now()
    where holder = :holder and state = 'kept' returning cluster, namespace, kind, name, token::float8 as token
  ), room as (
    update ledger.reservation set effect_at = clock_timestamp()
    where id = :holder and effect_at is null and released_at is null and exists (select from released)
  )
  select * from released`
