import type { Knex } from 'knex'
import { Failure } from '../../domain/failure.ts'
import type { LedgerSubject } from '../../domain/ledger.ts'
import type { ActionName, ActionParameters, Door, FaultClass, Phase, Principal, RemediationRequest, Severity, Target } from '../../domain/remediation.ts'
import { actorOf, appendParameters, appendSql } from './ledger.ts'
import { nonceDigest, type SpentSignature } from './nonces.ts'
import { first, inTransaction, iso, isoOrNull } from './sql.ts'

/** A request before it is committed: times come from the database, `deadlineMs` counts from acceptance. */
export type RequestDraft = Omit<RemediationRequest, 'id' | 'acceptedAt' | 'deadlineAt' | 'attempt'> & {
  /** The caller's fresh UUIDv7; it becomes the remediation id and the workflow id. */
  id: string
  deadlineMs: number
  /** `bodyDigest` tells the same request from another one under the same key. Keys are per principal. */
  idempotency: { key: string; bodyDigest: string } | null
  /** Of a caller that signs: spent with the acceptance. */
  signature?: SpentSignature | undefined
}

/** `known`: nothing was stored, this is the request that stands. */
export type Accepted = { accepted: 'new' | 'known'; request: RemediationRequest }

export type StoredRequest = RemediationRequest & {
  phase: Phase
  firstRunId: string | null
  startedAt: string | null
  resolvedAt: string | null
  /** A cancel came: no further attempt at the act may send. */
  stopAttempts: boolean
}

export type RequestRow = {
  id: string
  door: Door
  principal: Principal
  /** The person behind the principal. */
  owner: string
  action: ActionName
  cluster: string
  namespace: string
  kind: Target['kind']
  name: string
  parameters: ActionParameters
  reason: string
  severity: Severity
  fault: FaultClass | null
  fingerprint: string | null
  starts_at: string | null
  attempt: number
  body_digest: string | null
  accepted_at: Date
  deadline_at: Date
  phase: Phase
  started_at: Date | null
  first_run_id: string | null
  resolved_at: Date | null
  stop_attempts_at: Date | null
}

/** Undefined when a unique rule says that such a request is there already. */
export async function insertRequest(db: Knex, draft: RequestDraft, attempt: number): Promise<RemediationRequest | undefined> {
  const row = await first<RequestRow>(db, insertSql, { ...draftParameters(draft, attempt), ...appendParameters(requestedEntry(draft, attempt)) })
  return row && toRequest(row)
}

const insertSql = `
  with new as (
    insert into ledger.request (id, door, principal, principal_id, owner, action, cluster, namespace, kind, name, parameters, reason,
      severity, fault, fingerprint, starts_at, attempt, idempotency_key, body_digest, deadline_ms, deadline_at)
    values (:id, :door, :principal, :principalId, :owner, :action, :cluster, :namespace, :kind, :name, :parameters, :reason,
      :severity, :fault, :fingerprint, :startsAt, :attempt, :idempotencyKey, :bodyDigest, :deadlineMs, now() + :deadlineMs::bigint * interval '1 ms')
    on conflict do nothing returning *
  )
  select new.*, e.seq, pg_notify('aegis_request', new.id::text) from new, lateral ${appendSql} e`

export const draftParameters = (draft: RequestDraft, attempt: number) => ({
  id: draft.id,
  door: draft.door,
  principal: JSON.stringify(draft.principal),
  principalId: draft.principal.id,
  owner: draft.principal.owner,
  action: draft.action,
  ...draft.target,
  parameters: JSON.stringify(draft.parameters),
  reason: draft.reason,
  severity: draft.severity,
  fault: draft.fault,
  fingerprint: draft.incident?.fingerprint ?? null,
  startsAt: draft.incident?.startsAt ?? null,
  attempt,
  idempotencyKey: draft.idempotency?.key ?? null,
  bodyDigest: draft.idempotency?.bodyDigest ?? null,
  deadlineMs: draft.deadlineMs,
})

export const subjectOf = ({ action, target }: Pick<RequestDraft, 'action' | 'target'>): LedgerSubject => ({ action, ...target })

function requestedEntry(draft: RequestDraft, attempt: number) {
  const { door, principal, parameters, reason, severity, fault, incident, deadlineMs, idempotency } = draft
  const bodyDigest = idempotency?.bodyDigest ?? null
  return {
    stream: draft.id,
    stepKey: 'requested',
    kind: 'requested',
    actor: actorOf(principal),
    about: subjectOf(draft),
    body: { door, principal, parameters, reason, severity, fault, incident, attempt, deadlineMs, bodyDigest, ...signatureUse(draft) },
  }
}

/** What the ledger says of the use of a caller's key. */
export const signatureUse = ({ signature }: RequestDraft) => (signature ? { signature: { keyId: signature.keyId, nonceDigest: nonceDigest(signature.nonce) } } : {})

export function toRequest(row: RequestRow): RemediationRequest {
  const { id, door, principal, action, cluster, namespace, kind, name, parameters, reason, severity, fault, attempt } = row
  const incident = row.fingerprint !== null && row.starts_at !== null ? { fingerprint: row.fingerprint, startsAt: row.starts_at } : null
  const times = { acceptedAt: iso(row.accepted_at), deadlineAt: iso(row.deadline_at) }
  return { id, door, principal, action, target: { cluster, namespace, kind, name }, parameters, reason, severity, fault, incident, attempt, ...times }
}

export const toStoredRequest = (row: RequestRow): StoredRequest => ({
  ...toRequest(row),
  phase: row.phase,
  firstRunId: row.first_run_id,
  startedAt: isoOrNull(row.started_at),
  resolvedAt: isoOrNull(row.resolved_at),
  stopAttempts: row.stop_attempts_at !== null,
})

/**
 * Takes the remediation's lock, which comes before all others (docs/tables.md). Throws
 * `Failure('missing', 'remediation_missing')`.
 */
export async function lockRequest(trx: Knex, id: string): Promise<RequestRow> {
  return present(id, await first<RequestRow>(trx, lockRequestSql, { id }))
}

export const lockRequestSql = 'select * from ledger.request where id = :id for no key update'

export function present<Row>(id: string, row: Row | undefined): Row {
  if (!row) throw new Failure('missing', 'remediation_missing', `there is no remediation \`${id}\``)
  return row
}

/** Every check for a freeze holds this lock shared, and setting one takes it whole. */
export const freezeLock = `hashtextextended('ledger.freeze', 0)`

/**
 * The same, and behind it holds off freezes until the transaction ends: whoever sets one waits for those who
 * have looked already. What is looked at comes in a later statement, so that it sees what was waited for.
 */
export const lockWithFreeze = (trx: Knex, id: string): Promise<RequestRow | undefined> => first<RequestRow>(trx, lockWithFreezeSql, { id })

const lockWithFreezeSql = `
  with locked as materialized (${lockRequestSql}) select locked.*, pg_advisory_xact_lock_shared(${freezeLock}) from locked`

/** Work under the remediation's lock. */
export const underLock = <Result>(db: Knex, id: string, work: (trx: Knex, request: RequestRow) => Promise<Result>): Promise<Result> =>
  inTransaction(db, async (trx) => work(trx, await lockRequest(trx, id)))

/** Work under the remediation's lock, with freezes held off. */
export const underLockWithFreeze = <Result>(db: Knex, id: string, work: (trx: Knex, request: RequestRow) => Promise<Result>): Promise<Result> =>
  inTransaction(db, async (trx) => work(trx, present(id, await lockWithFreeze(trx, id))))
