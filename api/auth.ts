/** The ways in: signing up, logging in, and what keeps somebody logged in. */
import { z } from 'zod'
import { together } from '../adapters/postgres/connect.ts'
import { systemActor } from '../adapters/postgres/ledger.ts'
import { refreshSession, type RefreshRefusal } from '../adapters/postgres/sessions.ts'
import { actorOfUser, createUser, isOneTime, loadUser, setPassword, spendOneTime } from '../adapters/postgres/users.ts'
import { freshId, sha256Hex } from '../adapters/signing.ts'
import { canonicalUsername, everywhere, usernameForm } from '../domain/identity.ts'
import { passwordProblem } from '../domain/password.ts'
import type { ClientFacts } from './client.ts'
import { clientHash, cookie, cookieNames, freshSalt, isDeviceToken, isRefreshToken, successorOf } from './credentials.ts'
import { beginSession, beginTry, checkPassword, endSessionOf, handOut, hashing, refuseCrossSite, type Delivery } from './login.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import { doorRoute, publicRoute, reply, type ApiDeps, type Route } from './route.ts'

const tag = 'Accounts'

/** In characters, before they are counted as people do: what is longer is not looked at. */
const longestText = 1_024
const secret = z.string().min(1).max(longestText)
export const newPassword = secret
export const username = z
  .string()
  .max(128)
  .transform(canonicalUsername)
  .refine((name) => usernameForm.test(name), 'must be a user name: at most 128 letters, digits and `._@+-`, with a letter or digit first')
const displayName = z.string().trim().min(1).max(200)
const delivery = z.enum(['cookie', 'token']).default('cookie')
const deviceToken = z.string().max(100).optional()

const sessionReply = z.strictObject({
  accessToken: z.string(),
  tokenType: z.literal('Bearer'),
  /** Seconds. */
  expiresIn: z.int(),
  sessionId: z.uuid(),
  /** Null where it is in a cookie. */
  refreshToken: z.string().nullable(),
  /** To be sent at the next login: it says that this device has logged in before. */
  deviceToken: z.string().nullable(),
})

const deviceOf = (client: ClientFacts, given: string | undefined): string | null => {
  const device = given ?? client.cookies[cookieNames.device]
  return device !== undefined && isDeviceToken(device) ? device : null
}

/** Refuses what would be guessed first, naming the field. */
export function checkNewPassword({ accounts }: ApiDeps, password: string, of: string, field: string): void {
  const problem = passwordProblem(password, { username: of, isCommon: accounts.passwords.isCommon })
  if (problem !== undefined) throw fieldProblem('weak_password', [{ field, message: problem }])
}

const signup = doorRoute({
  method: 'post',
  path: '/api/v1/auth/signup',
  summary: 'Make an account of one’s own',
  description: 'Off unless AEGIS_SIGNUP is `on`; the account then has no role until an admin binds one. With the one-time bootstrap token of a new installation it makes the first admin.',
  tag,
  body: z.strictObject({ username, displayName: displayName.optional(), password: newPassword, bootstrapToken: z.string().max(100).optional() }),
  output: { 201: z.strictObject({ userId: z.uuid(), username: z.string() }) },
  handle: async ({ deps, body, client }) => {
    const { signup: open, localLogin } = deps.accounts.settings
    const first = body.bootstrapToken !== undefined
    if ((!open && !first) || !localLogin) throw new HttpProblem({ status: 403, code: 'signup_off', detail: 'nobody signs up here by themselves', nextStep: 'ask an admin for an account: `aegis user create`' })
    checkNewPassword(deps, body.password, body.username, 'password')
    if (first && !(await isOneTime(deps.db, sha256Hex(body.bootstrapToken ?? ''), 'bootstrap'))) throw badToken()
    // Left to itself this would be a free oracle of names, and free work for us.
    await beginTry(deps, { username: `signup:${body.username}`, client, device: null })
    const passwordHash = await hashing(deps.accounts.passwords.hash(body.password))
    const userId = freshId()
    const made = await together(deps.db, async (trx) => {
      const hash = sha256Hex(body.bootstrapToken ?? '')
      if (first && !(await spendOneTime(trx, hash, 'bootstrap'))) throw badToken()
      const bindings = first ? [{ role: 'admin' as const, ...everywhere }] : []
      const draft = { userId, username: body.username, displayName: body.displayName ?? body.username, passwordHash, oidc: null, groups: [], bindings }
      const result = await createUser(trx, draft, first ? systemActor : actorOfUser(draft))
      if (!result.created) throw nameTaken(body.username)
      return result.user
    })
    return reply(201, { userId: made.userId, username: made.username })
  },
})

export const nameTaken = (name: string): HttpProblem =>
  new HttpProblem({ status: 409, code: 'username_taken', detail: `there is an account \`${name}\` already`, nextStep: 'choose another name' })

const badToken = (): HttpProblem =>
  new HttpProblem({ status: 401, code: 'bad_one_time_token', detail: 'the one-time token is not known, was used, or has expired', nextStep: 'ask an admin for another: `aegis user reset`' })

const login = doorRoute({
  method: 'post',
  path: '/api/v1/auth/login',
  summary: 'Log in with a password',
  description: 'With `session: cookie` (browsers) the refresh token is in a `__Host-` cookie, and the call needs the header `X-Aegis-CSRF`; with `session: token` (programs) it is in the body.',
  tag,
  body: z.strictObject({ username: z.string().min(1).max(256), password: secret, session: delivery, deviceToken }),
  output: { 200: sessionReply },
  handle: async ({ deps, body, client }) => {
    if (!deps.accounts.settings.localLogin) throw new HttpProblem({ status: 403, code: 'local_login_off', detail: 'nobody logs in with a password here', nextStep: 'log in at `GET /api/v1/auth/oidc/start`' })
    if (body.session === 'cookie') refuseCrossSite(deps, client)
    const device = deviceOf(client, body.deviceToken)
    const user = await checkPassword(deps, { username: body.username, password: body.password, client, device })
    const { body: session, headers } = await beginSession(deps, { user, client, device, delivery: body.session, how: 'password' })
    return reply(200, session, headers)
  },
})

type Presented = { token: string; device: string | null; delivery: Delivery }

/** From the body, or else from the cookie, which counts only from a page of ours. */
function presented(deps: ApiDeps, client: ClientFacts, body: { refreshToken?: string | undefined; deviceToken?: string | undefined }): Presented {
  const inBody = body.refreshToken
  const token = inBody ?? client.cookies[cookieNames.refresh]
  if (token === undefined) throw fieldProblem('no_refresh_token', [{ field: 'refreshToken', message: 'is missing, and there is no cookie either: log in' }])
  if (inBody === undefined) refuseCrossSite(deps, client)
  return { token, device: deviceOf(client, body.deviceToken), delivery: inBody === undefined ? 'cookie' : 'token' }
}

const presentedBody = z.strictObject({ refreshToken: z.string().max(100).optional(), deviceToken })

const refresh = doorRoute({
  method: 'post',
  path: '/api/v1/auth/refresh',
  summary: 'A new access token, and the refresh token after this one',
  description: 'A refresh token is good for one use. Sent again within 10 s by the same client (user agent and device token) it brings the same successor, because the first reply may have been lost; any other second use ends the session.',
  tag,
  body: presentedBody,
  output: { 200: sessionReply },
  handle: async ({ deps, body, client }) => {
    const { token, device, delivery: by } = presented(deps, client, body)
    if (!isRefreshToken(token)) throw refreshRefused('refresh_unknown')
    const next = (salt: string) => ({ hash: sha256Hex(successorOf(token, salt)), salt: freshSalt() })
    const result = await refreshSession(deps.db, { hash: sha256Hex(token), clientHash: clientHash(client, device ?? ''), successorOf: next })
    if (!result.refreshed) {
      if (result.because === 'refresh_reused') deps.accounts.sessions.forget()
      throw refreshRefused(result.because)
    }
    const { userId, sessionId, authTimeMs, salt } = result
    const { body: session, headers } = await handOut(deps, { userId, sessionId, authTimeMs, refreshToken: successorOf(token, salt), device: null, delivery: by })
    return reply(200, session, headers)
  },
})

const refusals: Record<RefreshRefusal, string> = {
  refresh_unknown: 'the refresh token is not known',
  refresh_reused: 'the refresh token was used before: its session is ended, because two parties hold it',
  session_ended: 'the session was ended',
  session_expired: 'the session is 7 days old',
  session_idle: 'the session lay idle for 24 hours',
  account_disabled: 'the account is disabled',
}

const refreshRefused = (code: RefreshRefusal): HttpProblem =>
  new HttpProblem({ status: 401, code, detail: refusals[code], nextStep: 'log in again: `aegis login`', headers: { 'Set-Cookie': cookie(cookieNames.refresh, '', { maxAgeS: 0, sameSite: 'Strict' }) } })

const logout = doorRoute({
  method: 'post',
  path: '/api/v1/auth/logout',
  summary: 'End the session of a refresh token',
  description: 'Its access tokens are refused within 5 s.',
  tag,
  body: presentedBody,
  output: { 200: z.strictObject({ ended: z.boolean() }) },
  handle: async ({ deps, body, client }) => {
    const { token, device } = presented(deps, client, body)
    const ended = await endSessionOf(deps, token, client, device)
    return reply(200, { ended }, { 'Set-Cookie': cookie(cookieNames.refresh, '', { maxAgeS: 0, sameSite: 'Strict' }) })
  },
})

const reset = doorRoute({
  method: 'post',
  path: '/api/v1/auth/reset',
  summary: 'Set a password with a one-time token',
  description: 'An admin gives the token out (`aegis user create`, `aegis user reset`); it is good for one use within 24 hours. All sessions of the account end.',
  tag,
  body: z.strictObject({ token: z.string().min(1).max(100), password: newPassword }),
  output: { 200: z.strictObject({ username: z.string() }) },
  handle: async ({ deps, body }) => {
    if (!(await isOneTime(deps.db, sha256Hex(body.token), 'password'))) throw badToken() // hashing is work that nobody gets for nothing
    const passwordHash = await hashing(deps.accounts.passwords.hash(body.password))
    const user = await together(deps.db, async (trx) => {
      const spent = await spendOneTime(trx, sha256Hex(body.token), 'password')
      const found = spent?.userId ? await loadUser(trx, spent.userId) : undefined
      if (!found || found.state === 'disabled') throw badToken()
      checkNewPassword(deps, body.password, found.username, 'password') // rolls back: the token is not spent
      await setPassword(trx, found.userId, passwordHash, actorOfUser(found))
      return found
    })
    deps.accounts.sessions.forget()
    return reply(200, { username: user.username })
  },
})

const jwk = z.looseObject({ kty: z.string(), kid: z.string() })

const jwks = publicRoute({
  path: '/.well-known/jwks.json',
  summary: 'The public keys of access tokens; two during a rotation',
  tag,
  output: { 200: z.strictObject({ keys: z.array(jwk) }) },
  handle: async ({ deps }) => reply(200, { keys: (await deps.accounts.tokens.jwks()) as z.infer<typeof jwk>[] }),
})

export const authRoutes: Route[] = [signup, login, refresh, logout, reset, jwks]
