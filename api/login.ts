/** Logging in: who it is, whether one may try, and what one gets. */
import { randomUUID } from 'node:crypto'
import { appendEntry } from '../adapters/postgres/ledger.ts'
import { giveBackAttempt, isKnownDevice, takeAttempt, type AttemptRule } from '../adapters/postgres/login-attempts.ts'
import { endSessions, openSession, refreshSession, sessionLifeMs } from '../adapters/postgres/sessions.ts'
import { actorOfUser, findCredentials, upgradePasswordHash, type Credentials } from '../adapters/postgres/users.ts'
import { freshId, sha256Hex } from '../adapters/signing.ts'
import { canonicalUsername } from '../domain/identity.ts'
import type { ClientFacts } from './client.ts'
import { clientHash, cookie, cookieNames, freshDeviceToken, freshRefreshToken, freshSalt, isDeviceToken, isRefreshToken, successorOf } from './credentials.ts'
import { HttpProblem } from './problems.ts'
import type { ApiDeps, ReplyHeaders } from './route.ts'

/** `cookie`: for browsers, the refresh token where no script can read it. `token`: in the body, for programs. */
export type Delivery = 'cookie' | 'token'

const minuteMs = 60_000
const perAccount = { limit: 10, windowMs: 15 * minuteMs }
const perNetwork = { limit: 100, windowMs: 60 * minuteMs }

type Try = { username: string; client: ClientFacts; device: string | null }

/**
 * Failures are counted for each account from each network, and for each network. A device that has logged in to this
 * account before is counted by itself: whoever attacks the account from the same network locks nobody out of it.
 */
async function rulesFor({ db }: ApiDeps, { username, client, device }: Try): Promise<AttemptRule[]> {
  const account = sha256Hex(username)
  if (device !== null && (await isKnownDevice(db, sha256Hex(device), username))) return [{ key: `device:${sha256Hex(device)}:${account}`, ...perAccount }]
  return [
    { key: `account:${account}:${client.network}`, ...perAccount },
    { key: `network:${client.network}`, ...perNetwork },
  ]
}

/** Takes a place in the log of failures; `succeeded` gives it back. Throws 429 where there is none. */
export async function beginTry(deps: ApiDeps, tried: Try): Promise<{ succeeded: () => Promise<void> }> {
  const attemptId = randomUUID()
  const taken = await takeAttempt(deps.db, attemptId, await rulesFor(deps, tried))
  if (taken.taken) return { succeeded: () => giveBackAttempt(deps.db, attemptId) }
  const seconds = Math.ceil(taken.retryAfterMs / 1000)
  throw new HttpProblem({
    status: 429,
    code: 'too_many_logins',
    detail: 'too many logins failed',
    nextStep: `wait ${seconds} s, or log in where you have logged in before`,
    headers: { 'Retry-After': `${seconds}` },
  })
}

/** Passwords wait for a free place; when too many wait, the caller is told when to come back. */
export async function hashing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (failure) {
    if ((failure as { code?: unknown }).code !== 'hashing_busy') throw failure
    throw new HttpProblem({ status: 503, code: 'hashing_busy', detail: 'too many passwords wait to be checked', nextStep: 'try again in a moment', headers: { 'Retry-After': '2' } })
  }
}

/**
 * The account, if the password is its own. An account that is not there, one without a password, one that is disabled
 * and a wrong password are told apart by nobody: same answer, same work.
 */
export async function checkPassword(deps: ApiDeps, { username: given, password, client, device }: Omit<Try, 'username'> & { username: string; password: string }): Promise<Credentials> {
  const username = canonicalUsername(given)
  const attempt = await beginTry(deps, { username, client, device })
  const found = await findCredentials(deps.db, username)
  const { ok, outdated } = await hashing(deps.accounts.passwords.verify(found?.passwordHash ?? null, password)).catch(async (failure: unknown) => {
    await attempt.succeeded() // nothing was tried
    throw failure
  })
  if (!found || !ok || found.state !== 'active') {
    await recordRefusedLogin(deps, found, client)
    throw badLogin()
  }
  await attempt.succeeded()
  if (outdated && found.passwordHash !== null) await upgradePasswordHash(deps.db, found.userId, found.passwordHash, await hashing(deps.accounts.passwords.hash(password)))
  return found
}

/** For every failure alike. What was typed for a name is not on record: it may have been the password. */
async function recordRefusedLogin({ db }: ApiDeps, found: Credentials | undefined, { network }: ClientFacts): Promise<void> {
  const actor = found ? actorOfUser(found) : ({ id: 'nobody', kind: 'person', owner: 'nobody' } as const)
  await appendEntry(db, { stream: 'logins', stepKey: `refused/${randomUUID()}`, kind: 'login_refused', actor, body: { userId: found?.userId ?? null, network } })
}

const badLogin = (): HttpProblem =>
  new HttpProblem({
    status: 401,
    code: 'bad_login',
    detail: 'the user name or the password is wrong',
    nextStep: 'check both; an admin resets a forgotten password with `aegis user reset`',
  })

type Given = { user: Pick<Credentials, 'userId' | 'username' | 'sessionVersion'>; client: ClientFacts; device: string | null; delivery: Delivery; how: 'password' | 'oidc' }
export type SessionReply = { accessToken: string; tokenType: 'Bearer'; expiresIn: number; sessionId: string; refreshToken: string | null; deviceToken: string | null }

/** Using the token up says whose session it is; what it brings is thrown away. False: it was no session's any more. */
export async function endSessionOf(deps: ApiDeps, token: string, client: ClientFacts, device: string | null): Promise<boolean> {
  const next = (salt: string) => ({ hash: sha256Hex(successorOf(token, salt)), salt: freshSalt() })
  const result = isRefreshToken(token) ? await refreshSession(deps.db, { hash: sha256Hex(token), clientHash: clientHash(client, device ?? ''), successorOf: next }) : null
  const ended = result?.refreshed ? await endSessions(deps.db, { userId: result.userId, only: result.sessionId, because: 'logout', by: actorOfUser(result) }) : 0
  deps.accounts.sessions.forget()
  return ended > 0
}

/** A session of its own for each login; in a browser it takes the place of the one before. */
export async function beginSession(deps: ApiDeps, { user, client, device: shown, delivery, how }: Given): Promise<{ body: SessionReply; headers: ReplyHeaders }> {
  const before = client.cookies[cookieNames.refresh]
  if (delivery === 'cookie' && before !== undefined) await endSessionOf(deps, before, client, shown)
  const sessionId = freshId()
  const device = shown !== null && isDeviceToken(shown) ? shown : freshDeviceToken()
  const refreshToken = freshRefreshToken()
  const { userId, sessionVersion } = user
  await openSession(
    deps.db,
    { sessionId, userId, sessionVersion, clientHash: clientHash(client, device), client: client.userAgent || 'unnamed client', refresh: { hash: sha256Hex(refreshToken), salt: freshSalt() }, deviceHash: sha256Hex(device) },
    { actor: actorOfUser(user), how },
  )
  return handOut(deps, { userId, sessionId, authTimeMs: Date.now(), refreshToken, device, delivery })
}

const deviceLifeS = 400 * 86_400

/** The access token is in the body alone, and the page keeps it in its memory. */
export async function handOut({ accounts }: ApiDeps, of: { userId: string; sessionId: string; authTimeMs: number; refreshToken: string; device: string | null; delivery: Delivery }): Promise<{ body: SessionReply; headers: ReplyHeaders }> {
  const { userId, sessionId, authTimeMs, refreshToken, device, delivery } = of
  const { token, expiresInS } = await accounts.tokens.issue({ userId, sessionId, authTimeMs })
  const byCookie = delivery === 'cookie'
  const cookies = [
    cookie(cookieNames.refresh, refreshToken, { maxAgeS: sessionLifeMs / 1000, sameSite: 'Strict' }),
    ...(device === null ? [] : [cookie(cookieNames.device, device, { maxAgeS: deviceLifeS, sameSite: 'Strict' })]),
  ]
  return {
    body: { accessToken: token, tokenType: 'Bearer', expiresIn: expiresInS, sessionId, refreshToken: byCookie ? null : refreshToken, deviceToken: byCookie ? null : device },
    headers: byCookie ? { 'Set-Cookie': cookies } : {},
  }
}

/** Cookies come along with whatever a browser sends: only our own pages may make use of them. */
export function refuseCrossSite({ accounts }: ApiDeps, { origin, fetchSite, marked }: ClientFacts): void {
  const ours = new URL(accounts.settings.publicUrl).origin
  const said = origin !== null || fetchSite !== null
  const foreign = (origin !== null && origin !== ours) || (fetchSite !== null && fetchSite !== 'same-origin')
  if (said && !foreign && marked) return
  throw new HttpProblem({
    status: 403,
    code: 'cross_site',
    detail: 'a cookie counts only from a page of this Aegis',
    nextStep: `call from ${ours}, with the header \`X-Aegis-CSRF\`; programs send tokens instead of cookies`,
  })
}
