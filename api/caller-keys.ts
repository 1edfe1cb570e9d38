import { z } from 'zod'
import { ed25519PublicKey } from '../adapters/caller-secrets.ts'
import { activateCallerKey, createCallerKey, listCallerKeys, retireCallerKey, revokeCallerKey, type CallerKey, type CallerMaterial } from '../adapters/postgres/caller-keys.ts'
import { freshId } from '../adapters/signing.ts'
import { callerKeyStates, signatureAlgorithms } from '../domain/request-signature/signature.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import { reply, route, type ApiDeps, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Caller keys'

const keyView = z.strictObject({
  keyId: z.uuid(),
  caller: z.string(),
  owner: z.string(),
  roles: z.array(shape.role),
  algorithm: z.enum(signatureAlgorithms),
  /** Which key of AEGIS_CALLER_KEYS_FILE seals the secret. */
  sealedBy: z.string().nullable(),
  actions: z.array(shape.action),
  namespaces: z.array(z.string()),
  maxReplicas: z.int(),
  audiences: z.array(z.string()),
  /** `retired`: its overlap is over. */
  state: z.enum([...callerKeyStates, 'retired']),
  createdBy: z.string(),
  createdAt: z.string(),
  activatedAt: z.string().nullable(),
  retiresAt: z.string().nullable(),
  revokedAt: z.string().nullable(),
})

const namespaceForm = /^([a-z0-9][a-z0-9-]{0,62}\*?\/|\*\/)?([a-z0-9][a-z0-9-]{0,62}\*?|\*)$/
const audience = z.string().regex(shape.audienceForm, 'must be the AEGIS_AUDIENCE of an installation')
const mostListed = 100
const day = 86_400

const create = route({
  method: 'post',
  path: '/api/v1/caller-keys',
  permission: 'keys:manage',
  scope: 'global',
  stepUp: true,
  summary: 'Make a key for a caller that signs its requests; a secret is shown this once',
  description: 'It is `pending` until it is activated. With `publicKey` (Ed25519, PEM) no secret is made: the caller keeps its private key.',
  tag,
  body: z.strictObject({
    caller: shape.labelName,
    owner: shape.owner,
    roles: z.array(shape.role).min(1).max(shape.role.options.length).default(['service']),
    actions: z.array(shape.action).min(1).max(shape.action.options.length),
    namespaces: z.array(z.string().regex(namespaceForm, 'must be `shop`, `main/shop` or `team-*`')).min(1).max(mostListed),
    maxReplicas: shape.replicas.default(0),
    audiences: z.array(audience).min(1).max(mostListed).optional(),
    publicKey: z.string().max(1_000).optional(),
  }),
  output: { 201: z.strictObject({ ...keyView.shape, secret: z.string().nullable() }) },
  handle: async ({ deps, body, principal }) => {
    const { caller, owner, namespaces, maxReplicas, publicKey } = body
    const keyId = freshId()
    const { material, secret } = publicKey === undefined ? freshSecret(deps, keyId) : { material: publicMaterial(publicKey), secret: null }
    const [roles, actions] = [[...new Set(body.roles)], [...new Set(body.actions)]]
    const audiences = body.audiences ?? ownAudience(deps)
    const key = await createCallerKey(deps.db, { keyId, caller, owner, roles, actions, namespaces, maxReplicas, audiences, material }, principal)
    return reply(201, { ...key, secret })
  },
})

function freshSecret({ callers: { secrets } }: ApiDeps, keyId: string): { material: CallerMaterial; secret: string } {
  if (!secrets) {
    throw new HttpProblem({
      status: 409,
      code: 'no_sealing_key',
      detail: 'this API has no key to seal a secret with',
      nextStep: 'give the `publicKey` of an Ed25519 pair, or let an operator set AEGIS_CALLER_KEYS_FILE',
    })
  }
  const secret = secrets.fresh()
  return { material: { algorithm: 'hmac-sha256', ...secrets.seal(keyId, secret) }, secret: `aegis_caller_${secret.toString('base64url')}` }
}

function publicMaterial(pem: string): CallerMaterial {
  const publicKey = ed25519PublicKey(pem)
  if (!publicKey) throw fieldProblem('bad_request', [{ field: 'publicKey', message: 'must be one Ed25519 public key in PEM (`openssl pkey -pubout`)' }])
  return { algorithm: 'ed25519', publicKey }
}

function ownAudience({ settings }: ApiDeps): string[] {
  if (settings.audience === '') throw fieldProblem('bad_request', [{ field: 'audiences', message: 'missing: this installation has no AEGIS_AUDIENCE to take' }])
  return [settings.audience]
}

const list = route({
  method: 'get',
  path: '/api/v1/caller-keys',
  permission: 'keys:manage',
  scope: 'global',
  summary: 'All keys of callers, with their bounds and states; no key material',
  tag,
  output: { 200: z.strictObject({ items: z.array(keyView) }) },
  handle: async ({ deps }) => reply(200, { items: await listCallerKeys(deps.db) }),
})

const params = z.strictObject({ id: z.uuid({ error: 'must be the keyId (a UUID) that `GET /api/v1/caller-keys` shows' }) })
const nothing = z.strictObject({})

const activate = route({
  method: 'post',
  path: '/api/v1/caller-keys/:id/activate',
  permission: 'keys:manage',
  scope: 'global',
  stepUp: true,
  summary: 'Take signatures of a pending key from now on',
  tag,
  params,
  body: nothing,
  output: { 200: keyView },
  handle: async ({ deps, params: { id }, principal }) => reply(200, changed(id, 'pending', await activateCallerKey(deps.db, id, principal))),
})

const retire = route({
  method: 'post',
  path: '/api/v1/caller-keys/:id/retire',
  permission: 'keys:manage',
  scope: 'global',
  stepUp: true,
  summary: 'Let a key run out while its caller changes over to the next one',
  description: 'Signatures of it are taken for `overlapSeconds` more, 24 h unless said otherwise. A running overlap can only be cut short.',
  tag,
  params,
  body: z.strictObject({ overlapSeconds: z.int().min(0).max(7 * day).default(day) }),
  output: { 200: keyView },
  handle: async ({ deps, params: { id }, body, principal }) => reply(200, changed(id, 'active or retiring', await retireCallerKey(deps.db, id, body.overlapSeconds, principal))),
})

const revoke = route({
  method: 'post',
  path: '/api/v1/caller-keys/:id/revoke',
  permission: 'keys:manage',
  scope: 'global',
  stepUp: true,
  summary: 'Revoke a key; its next call is refused',
  tag,
  params,
  body: nothing,
  output: { 200: keyView },
  handle: async ({ deps, params: { id }, principal }) => reply(200, changed(id, 'in use', await revokeCallerKey(deps.db, id, principal))),
})

function changed(id: string, state: string, key: CallerKey | undefined): CallerKey {
  if (key) return key
  throw new HttpProblem({ status: 404, code: 'no_such_key', detail: `there is no caller key \`${id}\` that is ${state}`, nextStep: '`GET /api/v1/caller-keys` lists all keys and their states' })
}

export const callerKeyRoutes: Route[] = [create, list, activate, retire, revoke]
