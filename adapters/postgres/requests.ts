import type { Knex } from 'knex'
import { Failure } from '../../domain/failure.ts'
import type { Phase, RemediationRequest } from '../../domain/remediation.ts'
import { recordKeyEntry } from './caller-keys.ts'
import { guarded } from './failures.ts'
import { actorOf } from './ledger.ts'
import { spendNonce, type SpentSignature } from './nonces.ts'
import { draftParameters, insertRequest, signatureUse, toRequest, toStoredRequest, type Accepted, type RequestDraft, type RequestRow, type StoredRequest } from './request-rows.ts'
import { first, inTransaction, rows } from './sql.ts'

export type { Accepted, RequestDraft, StoredRequest } from './request-rows.ts'
export { acceptSignal, joinOpenRuns, markResolved, type Signal } from './signals.ts'

/**
 * Commits the request, its ledger entry and the hint to the relay in one statement, and for a caller that signs the
 * nonce in the same transaction. Throws `Failure('conflict', 'idempotency_conflict')` for a used key with another body,
 * and what `spendNonce` throws.
 */
export const acceptRequest = guarded((db: Knex, draft: RequestDraft): Promise<Accepted> => (draft.signature ? acceptSigned(db, draft, draft.signature) : acceptUnsigned(db, draft)))

async function acceptUnsigned(db: Knex, draft: RequestDraft): Promise<Accepted> {
  const inserted = await insertRequest(db, draft, 1)
  return inserted ? { accepted: 'new', request: inserted } : { accepted: 'known', request: await requestThatStands(db, draft) }
}

/** The nonce comes first: of a message that is sent many times at once, one waits for none and the others for it. */
const acceptSigned = (db: Knex, draft: RequestDraft, signature: SpentSignature): Promise<Accepted> =>
  inTransaction(db, async (trx) => {
    await spendNonce(trx, signature, draft.id)
    const accepted = await acceptUnsigned(trx, draft)
    // Of a new request the `requested` entry says which key was used; here another request stands.
    if (accepted.request.id !== draft.id) {
      const body = { ...signatureUse(draft), remediation: accepted.request.id }
      await recordKeyEntry(trx, { stepKey: `used/${draft.id}`, kind: 'caller_key_used', actor: actorOf(draft.principal), body })
    }
    return accepted
  })

/** By idempotency key, by id (our own retry), or the open run of the same incident or target. */
async function requestThatStands(db: Knex, draft: RequestDraft): Promise<RemediationRequest> {
  const sameKey = draft.idempotency && (await first<RequestRow>(db, byKeySql, { principalId: draft.principal.id, key: draft.idempotency.key }))
  if (sameKey && sameKey.body_digest !== draft.idempotency?.bodyDigest) {
    throw new Failure('conflict', 'idempotency_conflict', 'this `Idempotency-Key` was used for another request: send a new key')
  }
  const found = sameKey ?? (await first<RequestRow>(db, standingSql, draftParameters(draft, 1)))
  // The run that stood in the way may have closed in between; the caller asks again and gets its own.
  if (!found) throw new Failure('unavailable', 'try_again', 'a remediation of the same incident ended just now: ask again')
  return toRequest(found)
}

const byKeySql = 'select * from ledger.request where principal_id = :principalId and idempotency_key = :key'

const standingSql = `
  select * from ledger.request
  where id = :id or (fingerprint = :fingerprint and (phase <> 'closed' or (starts_at = :startsAt and attempt = :attempt)))
    or (:fingerprint::text is not null and fingerprint is not null and phase <> 'closed'
      and cluster = :cluster and namespace = :namespace and kind = :kind and name = :name and action = :action)
  order by (id = :id) desc, (phase <> 'closed') desc, accepted_at desc limit 1`

/** Accepted and not yet handed to Temporal: of each cluster the oldest, so that one cluster's backlog hides no other's. */
export const unstartedRequests = guarded(async (db: Knex, limit: number): Promise<RemediationRequest[]> => {
  const found = await rows<RequestRow>(
    db,
    `select * from (
       select r.*, row_number() over (partition by cluster order by accepted_at, id) as place from ledger.request r
       where phase <> 'closed' and started_at is null
     ) waiting where place <= :limit order by accepted_at, id`,
    { limit },
  )
  return found.map(toRequest)
})

export const markStarted = guarded(async (db: Knex, id: string): Promise<void> => {
  await rows(db, `update ledger.request set started_at = now() where id = :id and started_at is null`, { id })
})

/** Remediations at work in each cluster, for the cap before the mutation; those that wait for people, for a turn or for a disruption budget hold nothing. */
export const inFlightCounts = guarded(async (db: Knex): Promise<Map<string, number>> => {
  const found = await rows<{ cluster: string; count: number }>(
    db,
    `select cluster, count(*)::integer as count from ledger.request
     where phase in ('planning', 'acting') or (phase = 'accepted' and started_at is not null) group by cluster`,
  )
  return new Map(found.map(({ cluster, count }) => [cluster, count]))
})

export type Bound = { bound: 'bound'; request: StoredRequest } | { bound: 'other_run' | 'closed' | 'missing' }

/** The first workflow run to come is the remediation's; any other has no business with it. */
export const bindRun = guarded(async (db: Knex, id: string, firstRunId: string): Promise<Bound> => {
  const row = await first<RequestRow>(
    db,
    `update ledger.request set
       first_run_id = case when phase = 'closed' then first_run_id else coalesce(first_run_id, :firstRunId) end,
       started_at = coalesce(started_at, now()),
       phase = case when phase = 'accepted' then 'planning' else phase end
     where id = :id returning *`,
    { id, firstRunId },
  )
  if (!row) return { bound: 'missing' }
  if (row.phase === 'closed') return { bound: 'closed' }
  return row.first_run_id === firstRunId ? { bound: 'bound', request: toStoredRequest(row) } : { bound: 'other_run' }
})

export const loadRequest = guarded(async (db: Knex, id: string): Promise<StoredRequest | undefined> => {
  const row = await first<RequestRow>(db, 'select * from ledger.request where id = :id', { id })
  return row && toStoredRequest(row)
})

/**
 * What its preflight met passes with time: until it is planned again the run holds nothing and counts nowhere. Only
 * while it plans: the late word of an attempt that was given up takes back nothing that came after it.
 */
export const awaitPreflight = guarded(async (db: Knex, id: string): Promise<void> => {
  await rows(db, `update ledger.request set phase = 'waiting_turn' where id = :id and phase = 'planning'`, { id })
})

/** Where the remediation stands, for lists. After closing nothing changes it. */
export const setPhase = guarded(async (db: Knex, id: string, phase: Exclude<Phase, 'closed'>): Promise<void> => {
  await rows(db, `update ledger.request set phase = :phase where id = :id and phase not in ('closed', :phase)`, { id, phase })
})
