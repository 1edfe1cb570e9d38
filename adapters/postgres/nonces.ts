import { createHash } from 'node:crypto'
import type { Knex } from 'knex'
import { Failure } from '../../domain/failure.ts'
import { guarded } from './failures.ts'
import { first } from './sql.ts'

/** The key and the nonce a request was signed with. `expiresS` is the signature's, in epoch seconds. */
export type SpentSignature = { keyId: string; nonce: string; expiresS: number }

/** How the ledger names a nonce. */
export const nonceDigest = (nonce: string): string => `sha256:${createHash('sha256').update(nonce, 'utf8').digest('hex')}`

/**
 * Spends the nonce in the caller's transaction: it is spent if, and only if, the request is accepted. `callId` tells a
 * call that is asked of the database again from a replay. Throws `Failure('conflict', 'nonce_used')`, or
 * `Failure('forbidden', 'signature_expired')` where the signature expired on its way here.
 */
export async function spendNonce(trx: Knex, { keyId, nonce, expiresS }: SpentSignature, callId: string): Promise<void> {
  const values = { keyId, nonce, callId, expiresS }
  if (await first(trx, spendSql, values)) return
  const standing = await first<{ call_id: string }>(trx, 'select call_id from ledger.caller_nonce where key_id = :keyId and nonce = :nonce', values)
  if (standing?.call_id !== callId) throw new Failure('conflict', 'nonce_used', 'this signed request was accepted already: sign anew, with a fresh nonce')
}

const spendSql = `
  insert into ledger.caller_nonce (key_id, nonce, call_id, expires_at) values (:keyId, :nonce, :callId, to_timestamp(:expiresS::bigint))
  on conflict do nothing returning call_id`

/** Forgets at most `most` nonces of signatures that have long expired; returns how many. */
export const forgetNonces = guarded(async (db: Knex, most: number): Promise<number> =>
  (await first<{ gone: number }>(db, 'select ledger.forget_nonces(:most) as gone', { most }))?.gone ?? 0,
)
