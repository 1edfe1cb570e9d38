/** Who calls, by a signature: read, judged and held against the raw body before anybody looks into that body. */
import type { Request } from 'express'
import type { Knex } from 'knex'
import { hasDigest, verifyEd25519, verifyHmac, type CallerSecrets } from '../adapters/caller-secrets.ts'
import { findCallerKeys, type CallerCredential } from '../adapters/postgres/caller-keys.ts'
import type { SpentSignature } from '../adapters/postgres/nonces.ts'
import { Failure } from '../domain/failure.ts'
import { globally } from '../domain/identity.ts'
import type { CallerBounds } from '../domain/request-signature/bounds.ts'
import { claimedSignature, judgeSignature, type ClaimedSignature, type ReceivedMessage } from '../domain/request-signature/signature.ts'
import { readBody } from './body.ts'
import { grouped, type Grouped } from './grouped.ts'
import type { ApiDeps, Caller, Route } from './route.ts'
import { signatureProblem } from './signature-problems.ts'
import type { SignatureRefusals } from './signature-refusals.ts'

export type Callers = {
  /** By what a caller claims to be its key id. */
  find: Grouped<string, CallerCredential | undefined>
  /** Null: only callers with a public key can be told. */
  secrets: CallerSecrets | null
  refusals: SignatureRefusals
}

/** A caller whose signature holds, for this very request. */
export type SignedCaller = {
  principal: Caller
  bounds: CallerBounds
  signature: SpentSignature
  /** The bytes that were signed. */
  body: Buffer
}

const mostWaiting = 5_000
/** What was said of a key holds for so long. */
const freshForMs = 1_000

/** Asked anew for every call, so that a revoked key ends at once; with the database's time of the answer. */
export const callerLookup = (db: Knex): Callers['find'] =>
  grouped((keyIds: string[]) => findCallerKeys(db, keyIds), {
    mostInGroup: 100,
    mostRunning: 2,
    mostWaiting,
    full: () => new Failure('limited', 'too_many_calls', `${mostWaiting} calls wait for their key to be looked up: call again in a moment`),
  })

export const received = (req: Request): ReceivedMessage => ({ method: req.method, target: req.originalUrl, header: (name) => req.headersDistinct[name] ?? [] })

export const showsSignature = (req: Request): boolean => ['signature', 'signature-input'].some((name) => req.headers[name] !== undefined)

/**
 * The caller of a signed request; null where no signature is shown, or one beside another credential on a route that
 * takes none. Reads the body of a request whose signature holds, and of no other.
 */
export async function signedCaller(route: Route, { callers, settings: { audience } }: Pick<ApiDeps, 'callers' | 'settings'>, req: Request): Promise<SignedCaller | null> {
  if (!showsSignature(req)) return null
  const beside = req.get('authorization') !== undefined
  if (!route.signed && beside) return null
  if (!route.signed) throw signatureProblem('signature_not_taken')
  if (beside) throw signatureProblem('two_credentials')
  if (audience === '') throw signatureProblem('signatures_off')
  const claimed = claimedSignature(received(req))
  if (typeof claimed === 'string') throw signatureProblem(claimed)
  const key = await judged(claimed, callers, audience, (found) => verifies(found, claimed, callers.secrets))
  const askedMs = performance.now()
  const body = await readBody(req, route.bodyLimitBytes)
  if (!hasDigest(body, claimed.digest)) throw signatureProblem('digest_mismatch')
  // A body may come slowly, and its key be revoked or its signature expire meanwhile.
  if (performance.now() - askedMs > freshForMs) await judged(claimed, callers, audience, () => true)
  return callerOf(key, claimed, body)
}

/** By the key as it stands now, and by the database's clock. */
async function judged(claimed: ClaimedSignature, { find }: Callers, audience: string, verify: (key: CallerCredential) => boolean): Promise<CallerCredential> {
  const key = await find(claimed.keyId)
  const known = key && { algorithm: key.material.algorithm, state: key.state, retiresAtMs: key.retiresAtMs, audiences: key.audiences }
  const refusal = judgeSignature(claimed, known, { audience, nowMs: key?.nowMs ?? 0 }, () => key !== undefined && verify(key))
  if (refusal || !key) throw signatureProblem(refusal ?? 'signature_key_unknown')
  return key
}

function verifies({ keyId, material }: CallerCredential, { base, signature }: ClaimedSignature, secrets: CallerSecrets | null): boolean {
  if (material.algorithm === 'ed25519') return verifyEd25519(material.publicKey, base, signature)
  if (!secrets) throw new Failure('unavailable', 'caller_secret_sealed', 'this API has no AEGIS_CALLER_KEYS_FILE, so it can open no caller secret')
  return verifyHmac(secrets.open(keyId, material), base, signature)
}

function callerOf({ keyId, caller, owner, roles, actions, namespaces, maxReplicas }: CallerCredential, { nonce, expiresS }: ClaimedSignature, body: Buffer): SignedCaller {
  const principal: Caller = { id: `caller:${caller}`, kind: 'service', owner, roles, bindings: globally(roles), groups: [] }
  return { principal, bounds: { actions, namespaces, maxReplicas }, signature: { keyId, nonce, expiresS }, body }
}
