/** Accounts of people, for those who manage them. */
import { z } from 'zod'
import { isImportable } from '../adapters/passwords.ts'
import { together } from '../adapters/postgres/connect.ts'
import { actorOf } from '../adapters/postgres/ledger.ts'
import { changeUser, createUser, issueOneTime, listUsers, loadUser, type User, type UserChange } from '../adapters/postgres/users.ts'
import { freshId, sha256Hex } from '../adapters/signing.ts'
import { nameTaken, username } from './auth.ts'
import { freshOneTimeToken } from './credentials.ts'
import { HttpProblem } from './problems.ts'
import { reply, route, type ApiDeps, type Caller, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Accounts'
const manage = { permission: 'users:manage', scope: 'global', stepUp: true, tag } as const
const look = { permission: 'users:read', scope: 'global', tag } as const

const userView = z.strictObject({
  userId: z.uuid(),
  username: z.string(),
  displayName: z.string(),
  state: z.enum(['active', 'disabled']),
  hasPassword: z.boolean(),
  oidc: z.strictObject({ issuer: z.string(), sub: z.string() }).nullable(),
  bindings: z.array(shape.binding),
  groups: z.array(z.string()),
  createdBy: z.string(),
  createdAt: z.string(),
  changedAt: z.string(),
})
const issuedView = z.strictObject({ ...userView.shape, oneTimeToken: z.string() })

const userId = z.strictObject({ id: z.uuid({ error: 'must be a userId (a UUID) that `GET /api/v1/users` shows' }) })
const groups = z.array(z.string().trim().min(1).max(256)).max(200)
const bindings = z.array(shape.binding).max(100)
const displayName = z.string().trim().min(1).max(200)

const create = route({
  ...manage,
  method: 'post',
  path: '/api/v1/users',
  summary: 'Make an account; the answer holds a one-time token to set its password with',
  description: 'Give the token to the person: it is good for one use within 24 hours and shown this once, so nobody else ever knows the password. `passwordHash` takes over a bcrypt hash (`$2a$` or `$2b$`, cost 10 to 14), which the next login replaces.',
  body: z.strictObject({
    username,
    displayName: displayName.optional(),
    bindings: bindings.default([]),
    groups: groups.default([]),
    passwordHash: z.string().refine(isImportable, 'must be a bcrypt hash (`$2a$` or `$2b$`) of cost 10 to 14').optional(),
  }),
  output: { 201: issuedView },
  handle: async ({ deps, body, principal }) => {
    const token = freshOneTimeToken()
    const user = await together(deps.db, async (trx) => {
      const { username: name, passwordHash = null } = body
      const made = await createUser(trx, { userId: freshId(), username: name, displayName: body.displayName ?? name, passwordHash, oidc: null, groups: body.groups, bindings: body.bindings }, actorOf(principal))
      if (!made.created) throw nameTaken(name)
      await issue({ ...deps, db: trx }, made.user.userId, token, principal)
      return made.user
    })
    return reply(201, { ...user, oneTimeToken: token })
  },
})

const dayMs = 86_400_000

const issue = ({ db }: Pick<ApiDeps, 'db'>, id: string, token: string, by: Caller): Promise<void> =>
  issueOneTime(db, { hash: sha256Hex(token), purpose: 'password', userId: id, lifeMs: dayMs }, actorOf(by))

const list = route({
  ...look,
  method: 'get',
  path: '/api/v1/users',
  summary: 'All accounts, by name',
  query: z.strictObject(shape.paging),
  output: { 200: shape.page(userView) },
  handle: async ({ deps, query }) => reply(200, await listUsers(deps.db, shape.given(query))),
})

const show = route({
  ...look,
  method: 'get',
  path: '/api/v1/users/:id',
  summary: 'One account',
  params: userId,
  output: { 200: userView },
  handle: async ({ deps, params }) => reply(200, found(await loadUser(deps.db, params.id), params.id)),
})

const change = route({
  ...manage,
  method: 'put',
  path: '/api/v1/users/:id',
  summary: 'Change what an account may do, its name, its groups',
  description: 'In force for every session within 5 s. What is left out stays; `bindings` are replaced whole.',
  params: userId,
  body: z.strictObject({ displayName: displayName.optional(), bindings: bindings.optional(), groups: groups.optional() }),
  output: { 200: userView },
  handle: async ({ deps, params, body, principal }) => reply(200, await changed(deps, params.id, shape.given(body), principal)),
})

const disable = route({
  ...manage,
  method: 'post',
  path: '/api/v1/users/:id/disable',
  summary: 'Shut an account out; its sessions end, and keys that it owns are refused',
  params: userId,
  output: { 200: userView },
  handle: async ({ deps, params, principal }) => reply(200, await changed(deps, params.id, { state: 'disabled' }, principal)),
})

const enable = route({
  ...manage,
  method: 'post',
  path: '/api/v1/users/:id/enable',
  summary: 'Let an account in again',
  params: userId,
  output: { 200: userView },
  handle: async ({ deps, params, principal }) => reply(200, await changed(deps, params.id, { state: 'active' }, principal)),
})

const reset = route({
  ...manage,
  method: 'post',
  path: '/api/v1/users/:id/reset',
  summary: 'A one-time token to set a new password with',
  params: userId,
  output: { 201: issuedView },
  handle: async ({ deps, params, principal }) => {
    const token = freshOneTimeToken()
    const user = found(await loadUser(deps.db, params.id), params.id)
    await issue(deps, user.userId, token, principal)
    return reply(201, { ...user, oneTimeToken: token })
  },
})

async function changed(deps: ApiDeps, id: string, what: UserChange, by: Caller): Promise<User> {
  const result = await changeUser(deps.db, id, what, actorOf(by))
  deps.accounts.sessions.forget()
  if (result !== 'last_admin') return found(result, id)
  throw new HttpProblem({ status: 409, code: 'last_admin', detail: 'nobody would be left who may do everything everywhere', nextStep: 'make somebody else an admin first' })
}

function found(user: User | undefined, id: string): User {
  if (user) return user
  throw new HttpProblem({ status: 404, code: 'no_such_user', detail: `there is no account \`${id}\``, nextStep: '`GET /api/v1/users` lists what there is' })
}

export const userRoutes: Route[] = [create, list, show, change, disable, enable, reset]
