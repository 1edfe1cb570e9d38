import { createHash } from 'node:crypto'
import type { Knex } from 'knex'
import { Failure } from '../../domain/failure.ts'
import type { EffectPhase } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { appendEntry, systemActor } from './ledger.ts'
import { underLock } from './request-rows.ts'
import { first, iso } from './sql.ts'

export type WarrantRow = {
  warrantId: string
  id: string
  phase: EffectPhase
  planDigest: string
  decisionId: string
  keyId: string
  issuedAt: Date
  expiresAt: Date
  nonce: string
  /** Canonical text, exactly as signed. */
  document: string
  signature: string
}

const insertSql = `
  insert into ledger.warrant (warrant_id, id, phase, plan_digest, decision_id, key_id, issued_at, expires_at, nonce, document, signature)
  values (:warrantId, :id, :phase, :planDigest, :decisionId, :keyId, :issuedAt, :expiresAt, :nonce, :document, :signature)
  on conflict do nothing returning warrant_id`

/** A warrant nobody stored is worth nothing, and none is stored for a remediation that is closed. */
export const saveWarrant = guarded((db: Knex, row: WarrantRow): Promise<'saved' | 'known' | 'closed'> =>
  underLock(db, row.id, async (trx, request) => {
    if (request.phase === 'closed') return 'closed'
    if (await first(trx, insertSql, row)) {
      await appendEntry(trx, { stream: row.id, stepKey: `warrant/${row.warrantId}`, kind: 'warrant', actor: systemActor, body: entryBody(row) })
      return 'saved'
    }
    const standing = await loadWarrant(trx, row.warrantId)
    if (standing?.document === row.document) return 'known'
    throw new Failure('conflict', 'warrant_reused', 'this warrant id or nonce was used for another warrant: issue a new one')
  }),
)

/** The signature itself opens doors until it expires; its digest proves which one was meant. */
const entryBody = ({ warrantId, phase, planDigest, decisionId, keyId, issuedAt, expiresAt, nonce, document, signature }: WarrantRow) => ({
  warrantId,
  phase,
  planDigest,
  decisionId,
  keyId,
  issuedAt: iso(issuedAt),
  expiresAt: iso(expiresAt),
  nonce,
  documentDigest: `sha256:${createHash('sha256').update(document).digest('hex')}`,
  signatureDigest: `sha256:${createHash('sha256').update(signature).digest('hex')}`,
})

export const loadWarrant = guarded((db: Knex, warrantId: string): Promise<WarrantRow | undefined> =>
  first<WarrantRow>(
    db,
    `select warrant_id as "warrantId", id, phase, plan_digest as "planDigest", decision_id as "decisionId", key_id as "keyId",
       issued_at as "issuedAt", expires_at as "expiresAt", nonce, document, signature
     from ledger.warrant where warrant_id = :warrantId`,
    { warrantId },
  ),
)

/** The one clock that decides what has expired. */
export const databaseNow = guarded(async (db: Knex): Promise<Date> => {
  const row = await first<{ now: Date }>(db, 'select clock_timestamp() as now')
  if (!row) throw new Error('the database gave no time')
  return row.now
})
