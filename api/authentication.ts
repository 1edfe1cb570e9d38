import { randomBytes } from 'node:crypto'
import type { Knex } from 'knex'
import { findApiKeys, touchApiKeys, type ApiKey, type ApiKeyDraft } from '../adapters/postgres/keys.ts'
import { freshId, sha256Hex } from '../adapters/signing.ts'
import { Failure } from '../domain/failure.ts'
import type { TokenRefusal } from '../adapters/tokens.ts'
import { distinctRoles, globally } from '../domain/identity.ts'
import type { Principal } from '../domain/remediation.ts'
import { grouped, type Grouped } from './grouped.ts'
import { HttpProblem } from './problems.ts'
import type { ApiDeps, Caller, CallerSession } from './route.ts'

/** `aegis_<prefix>_<secret>`: the prefix is shown in lists, the secret holds 256 bits and is shown once. */
const keyForm = /^aegis_([a-z0-9]{8})_[A-Za-z0-9_-]{43}$/

export type NewKey = { key: string; draft: ApiKeyDraft }

/** A fresh key and the row that knows only its hash. */
export function newApiKey(wanted: Pick<ApiKeyDraft, 'name' | 'roles' | 'owner' | 'expiresAt'> & Partial<Pick<ApiKeyDraft, 'bindings'>>): NewKey {
  const prefix = randomBytes(4).toString('hex')
  const key = `aegis_${prefix}_${randomBytes(32).toString('base64url')}`
  return { key, draft: { bindings: null, ...wanted, keyId: freshId(), prefix, hash: sha256Hex(key) } }
}

/** By the key's hash; calls that come together ask the database together. */
export type KeyLookup = Grouped<string, ApiKey | undefined>

const mostWaiting = 5_000

export const keyLookup = (db: Knex): KeyLookup =>
  grouped(async (hashes: string[]) => {
    const found = await findApiKeys(db, hashes)
    const unseen = found.flatMap((key) => (key && isStale(key) ? [key.keyId] : []))
    // A courtesy to whoever lists keys: a call does not wait for it, nor fail with it.
    if (unseen.length > 0) void touchApiKeys(db, unseen).catch(() => undefined)
    return found
  }, {
    mostInGroup: 100,
    mostRunning: 2,
    mostWaiting,
    full: () => new Failure('limited', 'too_many_calls', `${mostWaiting} calls wait for their key to be looked up: call again in a moment`),
  })

const isStale = ({ lastUsedAt }: ApiKey): boolean => lastUsedAt === null || Date.now() - Date.parse(lastUsedAt) > 60_000

export type Authenticated = { principal: Caller; session: CallerSession | null }

/**
 * Who calls, by the credential alone: a key or an access token. Keys are looked up anew for every call, sessions at
 * least every 5 s. `known` hears whose a credential was that is good no longer.
 */
export async function authenticate(deps: Pick<ApiDeps, 'findKey' | 'accounts'>, authorization: string | undefined, known: (principal: Principal) => void): Promise<Authenticated> {
  if (authorization === undefined) throw unauthenticated('no_credential', 'this needs a login or an API key')
  const [scheme = '', credential = '', ...rest] = authorization.split(' ')
  if (scheme.toLowerCase() !== 'bearer' || rest.length > 0) throw unauthenticated('bad_credential', badKey)
  return credential.includes('.') ? byToken(deps, credential, known) : byKey(deps.findKey, credential)
}

const badKey = 'the API key is not known, revoked or expired'

async function byKey(findKey: KeyLookup, key: string): Promise<Authenticated> {
  const found = keyForm.test(key) ? await findKey(sha256Hex(key)) : undefined
  if (!found) throw unauthenticated('bad_credential', badKey)
  const bindings = found.bindings ?? globally(found.roles)
  return { principal: { id: `key:${found.keyId}`, kind: 'key', owner: found.owner, roles: distinctRoles(bindings), bindings, groups: [] }, session: null }
}

async function byToken({ accounts }: Pick<ApiDeps, 'accounts'>, token: string, known: (principal: Principal) => void): Promise<Authenticated> {
  const checked = await accounts.tokens.check(token)
  if (checked.refused !== undefined) {
    // A token that merely ran out is what every client sends a few times a day.
    if (checked.userId !== null && checked.refused !== 'token_expired') known(personOf(checked.userId, `user:${checked.userId}`))
    throw unauthenticated(checked.refused, explanations[checked.refused], inToken)
  }
  const { claims } = checked
  const standing = await accounts.sessions.find(claims.sessionId)
  if (!standing || standing.userId !== claims.userId) throw unauthenticated('session_unknown', 'the session of this access token is not known', inToken)
  const { userId, username, state, ended, bindings, groups } = standing
  if (state === 'disabled' || ended) known(personOf(userId, username))
  if (state === 'disabled') throw unauthenticated('account_disabled', 'the account is disabled', 'ask an admin to enable it')
  if (ended) throw unauthenticated('session_ended', 'the session was ended', inToken)
  return { principal: { ...personOf(userId, username), roles: distinctRoles(bindings), bindings, groups }, session: { sessionId: claims.sessionId, userId, authTimeMs: claims.authTimeMs } }
}

const personOf = (userId: string, owner: string) => ({ id: `user:${userId}`, kind: 'person' as const, owner, roles: [] })

const inToken = 'refresh it, or log in again: `aegis login`'

const explanations: Record<TokenRefusal, string> = {
  token_malformed: 'this is no access token',
  token_algorithm: 'the access token names another signature algorithm than ours',
  token_header: 'the header of the access token holds more than ours ever do',
  token_type: 'this token was made for something else than calls',
  token_key_unknown: 'the access token names a key that is not in use',
  token_signature: 'the signature of the access token is not good',
  token_expired: 'the access token has expired',
  token_not_yet: 'the access token does not hold yet',
  token_issuer: 'the access token was made by somebody else',
  token_audience: 'the access token was made for somebody else',
  token_claims: 'the access token lacks something that ours have',
}

const unauthenticated = (code: string, detail: string, nextStep = 'send `Authorization: Bearer …` with an access token or an API key; `aegis login` gets one, an admin makes keys with `aegis key create`') =>
  new HttpProblem({ status: 401, code, detail, nextStep, headers: { 'WWW-Authenticate': 'Bearer realm="aegis"' } })
