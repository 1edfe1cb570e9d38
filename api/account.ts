/** What everybody may do with their own account. */
import { z } from 'zod'
import { actorOf } from '../adapters/postgres/ledger.ts'
import { endSessions, listSessions } from '../adapters/postgres/sessions.ts'
import { findCredentials, setPassword } from '../adapters/postgres/users.ts'
import { checkNewPassword, newPassword } from './auth.ts'
import { beginTry, hashing } from './login.ts'
import { HttpProblem } from './problems.ts'
import { reply, route, type ApiDeps, type Caller, type CallerSession, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Accounts'
const own = { permission: 'account:own', scope: 'anywhere', tag } as const

const me = route({
  ...own,
  method: 'get',
  path: '/api/v1/auth/me',
  summary: 'Who I am, and what I may do where',
  output: {
    200: z.strictObject({
      id: z.string(),
      kind: z.enum(['person', 'service', 'key']),
      owner: z.string(),
      roles: z.array(shape.role),
      bindings: z.array(shape.binding),
      groups: z.array(z.string()),
      /** Null for keys. */
      session: z.strictObject({ sessionId: z.uuid(), authTime: z.string() }).nullable(),
    }),
  },
  handle: async ({ principal, session }) => {
    const { id, kind, owner, roles, bindings, groups } = principal
    const mine = session && { sessionId: session.sessionId, authTime: new Date(session.authTimeMs).toISOString() }
    const body = { id, kind, owner, roles, bindings: [...bindings], groups: [...groups], session: mine }
    return reply(200, body)
  },
})

const sessionView = z.strictObject({ sessionId: z.uuid(), client: z.string(), createdAt: z.string(), lastUsedAt: z.string(), expiresAt: z.string(), current: z.boolean() })

const sessions = route({
  ...own,
  method: 'get',
  path: '/api/v1/auth/sessions',
  summary: 'Where I am logged in',
  output: { 200: z.strictObject({ items: z.array(sessionView) }) },
  handle: async ({ deps, session }) => {
    const { userId, sessionId } = personal(session)
    return reply(200, { items: (await listSessions(deps.db, userId)).map((one) => ({ ...one, current: one.sessionId === sessionId })) })
  },
})

const ended = { 200: z.strictObject({ ended: z.int() }) }

const endAll = route({
  ...own,
  method: 'delete',
  path: '/api/v1/auth/sessions',
  summary: 'Log me out everywhere, here too',
  output: ended,
  handle: ({ deps, principal, session }) => end(deps, principal, { userId: personal(session).userId }),
})

const endOne = route({
  ...own,
  method: 'delete',
  path: '/api/v1/auth/sessions/:id',
  summary: 'End one of my sessions',
  params: z.strictObject({ id: z.uuid({ error: 'must be a sessionId (a UUID) that `GET /api/v1/auth/sessions` shows' }) }),
  output: ended,
  handle: ({ deps, principal, session, params }) => end(deps, principal, { userId: personal(session).userId, only: params.id }),
})

async function end(deps: ApiDeps, by: Caller, which: { userId: string; only?: string }) {
  const count = await endSessions(deps.db, { ...which, because: which.only === undefined ? 'revoked' : 'logout', by: actorOf(by) })
  deps.accounts.sessions.forget()
  if (count === 0 && which.only !== undefined) throw new HttpProblem({ status: 404, code: 'no_such_session', detail: `you have no session \`${which.only}\``, nextStep: '`GET /api/v1/auth/sessions` lists them' })
  return reply(200, { ended: count })
}

const changePassword = route({
  ...own,
  method: 'post',
  path: '/api/v1/auth/password',
  summary: 'Change my password; every other session of mine ends',
  body: z.strictObject({ current: newPassword, password: newPassword }),
  output: { 200: z.strictObject({ changed: z.literal(true) }) },
  handle: async ({ deps, principal, session, body, client }) => {
    const { userId, sessionId } = personal(session)
    const found = await findCredentials(deps.db, principal.owner)
    checkNewPassword(deps, body.password, principal.owner, 'password')
    const attempt = await beginTry(deps, { username: principal.owner, client, device: null })
    const { ok } = await hashing(deps.accounts.passwords.verify(found?.passwordHash ?? null, body.current))
    if (!ok) throw new HttpProblem({ status: 403, code: 'wrong_password', detail: 'the current password is wrong', nextStep: 'an admin resets a forgotten password with `aegis user reset`' })
    await attempt.succeeded()
    await setPassword(deps.db, userId, await hashing(deps.accounts.passwords.hash(body.password)), actorOf(principal), sessionId)
    deps.accounts.sessions.forget()
    return reply(200, { changed: true })
  },
})

function personal(session: CallerSession | null): CallerSession {
  if (session) return session
  throw new HttpProblem({ status: 403, code: 'no_session', detail: 'a key has no session and no password', nextStep: 'log in as a person: `aegis login`' })
}

export const accountRoutes: Route[] = [me, sessions, endAll, endOne, changePassword]
