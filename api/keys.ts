import { z } from 'zod'
import { createApiKey, listApiKeys, revokeApiKey, type ApiKey } from '../adapters/postgres/keys.ts'
import { globally } from '../domain/identity.ts'
import { newApiKey } from './authentication.ts'
import { HttpProblem } from './problems.ts'
import { reply, route, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Keys'

const keyView = z.strictObject({
  keyId: z.uuid(),
  name: z.string(),
  prefix: z.string(),
  roles: z.array(shape.role),
  /** Where the roles hold. */
  bindings: z.array(shape.binding),
  owner: z.string(),
  createdAt: z.string(),
  createdBy: z.string(),
  expiresAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
  /** To the minute. */
  lastUsedAt: z.string().nullable(),
})

const toView = ({ keyId, name, prefix, roles, bindings, owner, createdAt, createdBy, expiresAt, revokedAt, lastUsedAt }: ApiKey) => ({
  keyId, name, prefix, roles, bindings: bindings ?? globally(roles), owner, createdAt, createdBy, expiresAt, revokedAt, lastUsedAt,
})

const dayMs = 86_400_000
const lifeLimitDays = 365

const create = route({
  method: 'post',
  path: '/api/v1/keys',
  permission: 'keys:manage',
  scope: 'global',
  stepUp: true,
  summary: 'Make an API key; it is shown this once',
  description: 'The owner is the person behind the key: four-eyes compares owners, so every key of one person has the same owner.',
  tag,
  body: z.strictObject({
    name: z.string().trim().min(1).max(100),
    owner: shape.owner,
    roles: z.array(shape.role).min(1).max(shape.role.options.length),
    /** Where the roles hold; everywhere, when there are none. A cluster that is left out is every cluster. */
    namespaces: z.array(z.strictObject({ cluster: shape.labelName.optional(), namespace: shape.labelName })).max(50).default([]),
    expiresInDays: z.int().min(1).max(lifeLimitDays).default(90),
  }),
  output: { 201: z.strictObject({ ...keyView.shape, key: z.string() }) },
  handle: async ({ deps, body, principal }) => {
    const { name, owner, expiresInDays } = body
    const roles = [...new Set(body.roles)]
    const places = body.namespaces.map(({ cluster = null, namespace }) => ({ cluster, namespace }))
    const bindings = places.length === 0 ? null : roles.flatMap((role) => places.map((place) => ({ role, ...place })))
    const { key, draft } = newApiKey({ name, owner, roles, bindings, expiresAt: new Date(Date.now() + expiresInDays * dayMs) })
    return reply(201, { ...toView(await createApiKey(deps.db, draft, principal)), key })
  },
})

const list = route({
  method: 'get',
  path: '/api/v1/keys',
  permission: 'keys:manage',
  scope: 'global',
  summary: 'All API keys, by prefix',
  tag,
  output: { 200: z.strictObject({ items: z.array(keyView) }) },
  handle: async ({ deps }) => reply(200, { items: (await listApiKeys(deps.db)).map(toView) }),
})

const revoke = route({
  method: 'delete',
  path: '/api/v1/keys/:id',
  permission: 'keys:manage',
  scope: 'global',
  stepUp: true,
  summary: 'Revoke a key; its next call is refused',
  tag,
  params: z.strictObject({ id: z.uuid({ error: 'must be the keyId (a UUID) that `GET /api/v1/keys` shows' }) }),
  output: { 200: z.strictObject({ revoked: z.literal(true) }) },
  handle: async ({ deps, params, principal }) => {
    if (await revokeApiKey(deps.db, params.id, principal)) return reply(200, { revoked: true })
    throw new HttpProblem({ status: 404, code: 'no_such_key', detail: `there is no key \`${params.id}\` in use`, nextStep: '`GET /api/v1/keys` lists all keys' })
  },
})

export const keyRoutes: Route[] = [create, list, revoke]
