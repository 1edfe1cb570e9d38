import { z } from 'zod'
import { createApiKey, listApiKeys, revokeApiKey, type ApiKey } from '../adapters/postgres/keys.ts'
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
  owner: z.string(),
  createdAt: z.string(),
  createdBy: z.string(),
  expiresAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
})

const toView = ({ keyId, name, prefix, roles, owner, createdAt, createdBy, expiresAt, revokedAt }: ApiKey) => ({
  keyId, name, prefix, roles, owner, createdAt, createdBy, expiresAt, revokedAt,
})

const ownerForm = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$/
const dayMs = 86_400_000
const lifeLimitDays = 365

const create = route({
  method: 'post',
  path: '/api/v1/keys',
  permission: 'keys:manage',
  summary: 'Make an API key; it is shown this once',
  description: 'The owner is the person behind the key: four-eyes compares owners, so every key of one person has the same owner.',
  tag,
  body: z.strictObject({
    name: z.string().trim().min(1).max(100),
    owner: z.string().regex(ownerForm, 'must name a person, such as ann@example.org'),
    roles: z.array(shape.role).min(1).max(shape.role.options.length),
    expiresInDays: z.int().min(1).max(lifeLimitDays).default(90),
  }),
  output: { 201: z.strictObject({ ...keyView.shape, key: z.string() }) },
  handle: async ({ deps, body, principal }) => {
    const { name, owner, expiresInDays } = body
    const roles = [...new Set(body.roles)]
    const { key, draft } = newApiKey({ name, owner, roles, expiresAt: new Date(Date.now() + expiresInDays * dayMs) })
    return reply(201, { ...toView(await createApiKey(deps.db, draft, principal)), key })
  },
})

const list = route({
  method: 'get',
  path: '/api/v1/keys',
  permission: 'keys:manage',
  summary: 'All API keys, by prefix',
  tag,
  output: { 200: z.strictObject({ items: z.array(keyView) }) },
  handle: async ({ deps }) => reply(200, { items: (await listApiKeys(deps.db)).map(toView) }),
})

const revoke = route({
  method: 'delete',
  path: '/api/v1/keys/:id',
  permission: 'keys:manage',
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
