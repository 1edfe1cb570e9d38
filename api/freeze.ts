import { z } from 'zod'
import { areaOfFreeze, areaOfRemediation } from '../adapters/postgres/areas.ts'
import { activeFreezes, liftFreeze, setFreeze, type Freeze } from '../adapters/postgres/freeze.ts'
import { releaseClaim } from '../adapters/postgres/close.ts'
import { defaultCluster } from './accept.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import { reply, route, type Route } from './route.ts'
import { placeOf } from './scopes.ts'
import * as shape from './shapes.ts'

const tag = 'Stopping'

const scope = z.strictObject({ cluster: shape.labelName.optional(), namespace: shape.labelName.optional(), action: shape.action.optional() })
const freezeView = z.strictObject({
  freezeId: z.string(),
  scope: z.strictObject({ cluster: z.string().optional(), namespace: z.string().optional(), action: shape.action.optional() }),
  reason: z.string(),
  setBy: z.string(),
  setAt: z.string(),
})
const freezeReply = z.strictObject({ ...freezeView.shape, known: z.boolean() })

const toView = ({ freezeId, scope, reason, setBy, setAt }: Freeze) => ({ freezeId, scope: shape.given(scope), reason, setBy, setAt })

const list = route({
  method: 'get',
  path: '/api/v1/freeze',
  permission: 'freeze:read',
  scope: 'filtered',
  summary: 'The freezes in force',
  tag,
  output: { 200: z.strictObject({ items: z.array(freezeView) }) },
  handle: async ({ deps, areas }) => reply(200, { items: (await activeFreezes(deps.db, areas)).map(toView) }),
})

const set = route({
  method: 'post',
  path: '/api/v1/freeze',
  permission: 'freeze:set',
  scope: ({ body }) => ({ cluster: body.scope.cluster ?? null, namespace: body.scope.namespace ?? null }),
  summary: 'Freeze: no new attempt begins; a call that is already under way may still arrive',
  description: 'An empty scope freezes everything. 201 for a new freeze, 200 when the same scope is frozen already.',
  tag,
  body: z.strictObject({ scope: scope.default({}), reason: shape.reason }),
  output: { 200: freezeReply, 201: freezeReply },
  handle: async ({ deps, body, principal }) => {
    const cluster = body.scope.cluster
    if (cluster !== undefined && !deps.settings.clusters.includes(cluster)) {
      throw fieldProblem('unknown_cluster', [{ field: 'scope.cluster', message: `\`${cluster}\` is not a cluster of this Aegis: use ${deps.settings.clusters.join(', ')}` }])
    }
    const freeze = await setFreeze(deps.db, { scope: shape.given(body.scope), reason: body.reason, principal })
    const view = { ...toView(freeze), known: freeze.known }
    return freeze.known ? reply(200, view) : reply(201, view)
  },
})

const lift = route({
  method: 'delete',
  path: '/api/v1/freeze/:id',
  permission: 'freeze:lift',
  scope: { lookUp: ({ params }, { db }) => areaOfFreeze(db, params.id) },
  summary: 'Lift a freeze',
  tag,
  params: z.strictObject({ id: z.uuid({ error: 'must be the freezeId (a UUID) that `GET /api/v1/freeze` shows' }) }),
  output: { 200: z.strictObject({ lifted: z.literal(true) }) },
  handle: async ({ deps, params, principal }) => {
    if (await liftFreeze(deps.db, params.id, principal)) return reply(200, { lifted: true })
    throw new HttpProblem({ status: 404, code: 'no_such_freeze', detail: `there is no freeze \`${params.id}\` in force`, nextStep: '`GET /api/v1/freeze` lists those in force' })
  },
})

const kindName = z.string().regex(/^[A-Z][A-Za-z0-9]{0,62}$/, 'must be a kind such as Deployment')

const release = route({
  method: 'post',
  path: '/api/v1/claims/release',
  permission: 'claims:release',
  scope: {
    lookUp: async ({ body }, { db, settings }) => (body.workload ? placeOf(body.workload, settings) : areaOfRemediation(db, body.id ?? '')),
  },
  summary: 'Release a workload that is kept for a person',
  description: 'After `needs_human` nothing acts on the workload until someone has looked and says so here. Name the remediation, or the workload.',
  tag,
  body: z
    .strictObject({
      id: shape.id.optional(),
      workload: z.strictObject({ cluster: shape.labelName.optional(), namespace: shape.labelName, kind: kindName, name: shape.objectName }).optional(),
    })
    .refine(({ id, workload }) => (id === undefined) !== (workload === undefined), 'name either `id` or `workload`'),
  output: { 200: z.strictObject({ released: z.literal(true) }) },
  handle: async ({ deps, body, principal }) => {
    const { id, workload } = body
    const which = workload ? { workload: { ...workload, cluster: workload.cluster ?? defaultCluster(deps.settings) } } : { id: id ?? '' }
    if (await releaseClaim(deps.db, which, principal)) return reply(200, { released: true })
    throw new HttpProblem({ status: 404, code: 'no_such_claim', detail: 'no workload is kept for a person under that name', nextStep: '`GET /api/v1/remediations?outcome=needs_human` lists what may be kept' })
  },
})

export const stoppingRoutes: Route[] = [list, set, lift, release]
