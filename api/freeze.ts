import { z } from 'zod'
import { areaOfFreeze, areaOfRemediation } from '../adapters/postgres/areas.ts'
import { activeFreezes, keptFreezes, liftFreeze, setFreeze, type Freeze } from '../adapters/postgres/freeze.ts'
import { releaseClaim } from '../adapters/postgres/close.ts'
import { defaultCluster } from './accept.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import { reply, route, type Route } from './route.ts'
import { placeOf } from './scopes.ts'
import * as shape from './shapes.ts'

const tag = 'Stopping'

const scopeFields = { cluster: shape.labelName.optional(), namespace: shape.labelName.optional(), action: shape.action.optional(), policy: shape.policyId.optional() }
const clusterView = z.strictObject({ name: z.string(), state: z.enum(['pending', 'applied']), at: z.string().nullable() })
const freezeView = z.strictObject({
  freezeId: z.string(),
  scope: z.strictObject({ cluster: z.string().optional(), namespace: z.string().optional(), action: shape.action.optional(), policy: z.string().optional() }),
  reason: z.string(),
  setBy: z.string(),
  setAt: z.string(),
  liftedAt: z.string().nullable(),
  clusters: z.array(clusterView),
})
const freezeReply = z.strictObject({ ...freezeView.shape, known: z.boolean() })
const keptView = z.strictObject({ freezeId: z.string(), cluster: z.string(), keys: z.array(z.string()), since: z.string() })

/** What each cluster does by itself by now: refuse, or for one that is lifted admit again. */
function toView({ freezeId, scope, reason, setBy, setAt, liftedAt, applied }: Freeze, clusters: readonly string[]) {
  const covered = clusters.filter((name) => scope.cluster === undefined || scope.cluster === name)
  const stateOf = (name: string) => {
    const said = applied.find(({ cluster }) => cluster === name)
    const at = (liftedAt === null ? said?.frozenAt : said?.liftedAt) ?? null
    // Lifted before a cluster ever refused: there is nothing to take back.
    return { name, state: at !== null || (liftedAt !== null && !said) ? ('applied' as const) : ('pending' as const), at: at === null ? null : new Date(at).toISOString() }
  }
  return { freezeId, scope: shape.given(scope), reason, setBy, setAt, liftedAt, clusters: covered.map(stateOf) }
}

const list = route({
  method: 'get',
  path: '/api/v1/freeze',
  permission: 'freeze:read',
  scope: 'filtered',
  summary: 'The freezes in force, and what each cluster does about them',
  description:
    '`applied`: a dry run that was refused has proven that the cluster itself refuses, whatever a worker tries. A lifted freeze is shown until each cluster admits again. `kept`: what a cluster holds and this database does not know; lift it by its id.',
  tag,
  output: { 200: z.strictObject({ items: z.array(freezeView), kept: z.array(keptView) }) },
  handle: async ({ deps, areas }) => {
    const [freezes, kept] = await Promise.all([activeFreezes(deps.db, areas), areas === null ? keptFreezes(deps.db) : []])
    return reply(200, { items: freezes.map((freeze) => toView(freeze, deps.settings.clusters)), kept })
  },
})

const set = route({
  method: 'post',
  path: '/api/v1/freeze',
  permission: 'freeze:set',
  scope: ({ body }) => ({ cluster: body.scope.cluster ?? null, namespace: body.scope.namespace ?? null }),
  summary: 'Freeze: no new attempt begins; where a cluster is `applied`, no call arrives any more',
  description: 'An empty scope freezes everything. 201 for a new freeze, 200 when the same scope is frozen already.',
  tag,
  body: z.strictObject({ scope: z.strictObject(scopeFields).default({}), reason: shape.reason }),
  output: { 200: freezeReply, 201: freezeReply },
  handle: async ({ deps, body, principal }) => {
    const cluster = body.scope.cluster
    if (cluster !== undefined && !deps.settings.clusters.includes(cluster)) {
      throw fieldProblem('unknown_cluster', [{ field: 'scope.cluster', message: `\`${cluster}\` is not a cluster of this Aegis: use ${deps.settings.clusters.join(', ')}` }])
    }
    const { policy } = body.scope
    if (policy !== undefined && !deps.policies().snapshot.policies.some(({ document }) => document.id === policy)) {
      throw fieldProblem('unknown_policy', [{ field: 'scope.policy', message: `\`${policy}\` is not a policy in force: \`GET /api/v1/policy\` lists them` }])
    }
    const freeze = await setFreeze(deps.db, { scope: shape.given(body.scope), reason: body.reason, principal })
    const view = { ...toView(freeze, deps.settings.clusters), known: freeze.known }
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
  output: { 200: z.strictObject({ lifted: z.literal(true), freeze: freezeView }) },
  handle: async ({ deps, params, principal }) => {
    const lifted = await liftFreeze(deps.db, params.id, principal)
    if (lifted) return reply(200, { lifted: true, freeze: toView(lifted, deps.settings.clusters) })
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
