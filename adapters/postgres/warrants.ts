import { createHash } from 'node:crypto'
import type { Knex } from 'knex'
import { Failure } from '../../domain/failure.ts'
import type { EffectPhase, Phase } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { systemActor } from './ledger.ts'
import { present } from './request-rows.ts'
import { first, iso } from './sql.ts'
import type { StepOf } from './steps.ts'
import { write } from './write.ts'

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

type Saved = 'saved' | 'known' | 'closed'

/** A warrant nobody stored is worth nothing, and none is stored for a remediation that is closed. */
export const saveWarrant = guarded(async (db: Knex, row: WarrantRow, step?: StepOf<Saved>): Promise<Saved> => {
  const saved = await write(db, {
    changes: insertSql,
    of: 'new',
    parameters: row,
    entry: { stream: row.id, stepKey: `warrant/${row.warrantId}`, kind: 'warrant', actor: systemActor, body: entryBody(row) },
    step: step?.('saved'),
    stepNeedsRow: true,
  })
  return saved ? 'saved' : whyNot(db, row)
})

// Under the remediation's lock: the locked row is its newest version, so a close that was waited for is seen.
const insertSql = `
  standing as materialized (
    select phase from ledger.request where id = :id for no key update
  ), new as (
    insert into ledger.warrant (warrant_id, id, phase, plan_digest, decision_id, key_id, issued_at, expires_at, nonce, document, signature)
    select :warrantId::uuid, :id::uuid, :phase, :planDigest, :decisionId::uuid, :keyId, :issuedAt::timestamptz, :expiresAt::timestamptz, :nonce, :document, :signature
    from standing where standing.phase <> 'closed' on conflict do nothing returning warrant_id
  )`

/** Closed is for ever, and a warrant that stands never changes: both may be looked at afterwards. */
async function whyNot(db: Knex, { id, warrantId, document }: WarrantRow): Promise<Exclude<Saved, 'saved'>> {
  const sql = `
    select r.phase, w.document from ledger.request r left join ledger.warrant w on w.warrant_id = :warrantId where r.id = :id`
  const { phase, document: standing } = present(id, await first<{ phase: Phase; document: string | null }>(db, sql, { id, warrantId }))
  if (phase === 'closed') return 'closed'
  if (standing === document) return 'known'
  throw new Failure('conflict', 'warrant_reused', 'this warrant id or nonce was used for another warrant: issue a new one')
}

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
