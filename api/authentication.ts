import { randomBytes } from 'node:crypto'
import type { Knex } from 'knex'
import { findApiKeys, type ApiKey, type ApiKeyDraft } from '../adapters/postgres/keys.ts'
import { freshId, sha256Hex } from '../adapters/signing.ts'
import { Failure } from '../domain/failure.ts'
import type { Principal } from '../domain/remediation.ts'
import { grouped, type Grouped } from './grouped.ts'
import { HttpProblem } from './problems.ts'

/** `aegis_<prefix>_<secret>`: the prefix is shown in lists, the secret holds 256 bits and is shown once. */
const keyForm = /^aegis_([a-z0-9]{8})_[A-Za-z0-9_-]{43}$/

export type NewKey = { key: string; draft: ApiKeyDraft }

/** A fresh key and the row that knows only its hash. */
export function newApiKey(wanted: Pick<ApiKeyDraft, 'name' | 'roles' | 'owner' | 'expiresAt'>): NewKey {
  const prefix = randomBytes(4).toString('hex')
  const key = `aegis_${prefix}_${randomBytes(32).toString('base64url')}`
  return { key, draft: { ...wanted, keyId: freshId(), prefix, hash: sha256Hex(key) } }
}

/** By the key's hash; calls that come together ask the database together. */
export type KeyLookup = Grouped<string, ApiKey | undefined>

const mostWaiting = 5_000

export const keyLookup = (db: Knex): KeyLookup =>
  grouped((hashes: string[]) => findApiKeys(db, hashes), {
    mostInGroup: 100,
    mostRunning: 4,
    mostWaiting,
    full: () => new Failure('limited', 'too_many_calls', `${mostWaiting} calls wait for their key to be looked up: call again in a moment`),
  })

/** Who calls, by the credential alone. Asked anew for every call, so that a revoked key ends at once. */
export async function authenticate(findKey: KeyLookup, authorization: string | undefined): Promise<Principal> {
  if (authorization === undefined) throw unauthenticated('no_credential', 'this needs an API key')
  const [scheme = '', key = '', ...rest] = authorization.split(' ')
  const sound = scheme.toLowerCase() === 'bearer' && rest.length === 0 && keyForm.test(key)
  const found = sound ? await findKey(sha256Hex(key)) : undefined
  if (!found) throw unauthenticated('bad_credential', 'the API key is not known, revoked or expired')
  return { id: `key:${found.keyId}`, kind: 'key', owner: found.owner, roles: found.roles }
}

const unauthenticated = (code: string, detail: string) =>
  new HttpProblem({
    status: 401,
    code,
    detail,
    nextStep: 'send `Authorization: Bearer aegis_…`; an admin makes keys with `aegis key create`',
    headers: { 'WWW-Authenticate': 'Bearer realm="aegis"' },
  })
