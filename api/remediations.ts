import { z } from 'zod'
import { getRemediation, listRemediations } from '../adapters/postgres/views.ts'
import { accept, acceptedReply } from './accept.ts'
import { allows } from './permissions.ts'
import { HttpProblem } from './problems.ts'
import { remediationDetail, remediationSummary, toDetail, toSummary } from './remediation-views.ts'
import { reply, route, type Route } from './route.ts'
import { ofRemediation, placeOf } from './scopes.ts'
import * as shape from './shapes.ts'

const tag = 'Remediations'

const target = <Kind extends 'Pod' | 'Deployment'>(kind: Kind) =>
  z.strictObject({ cluster: shape.labelName.optional(), namespace: shape.labelName, kind: z.literal(kind), name: shape.objectName })

const common = {
  /** Goes into the ledger and the Temporal UI; say what made you ask. */
  reason: shape.reason.default('no reason given'),
  severity: shape.severity.default('medium'),
}

export const remediationBody = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('restart_pod'), target: target('Pod'), parameters: z.strictObject({}).default({}), ...common }),
  z.strictObject({
    action: z.literal('scale_deployment'),
    target: target('Deployment'),
    parameters: z.strictObject({ replicas: shape.replicas }),
    ...common,
  }),
  z.strictObject({
    action: z.literal('rollback_deployment'),
    target: target('Deployment'),
    parameters: z.strictObject({ revision: shape.revision.optional() }).default({}),
    ...common,
  }),
])

const listQuery = z.strictObject({
  ...shape.paging,
  status: z.enum(['open', 'closed', ...shape.phase.options.filter((phase) => phase !== 'closed')]).optional(),
  outcome: shape.outcome.optional(),
  action: shape.action.optional(),
  cluster: shape.labelName.optional(),
  namespace: shape.labelName.optional(),
})

const create = route({
  method: 'post',
  path: '/api/v1/remediations',
  permission: 'remediations:create',
  scope: ({ body }, settings) => placeOf(body.target, settings),
  summary: 'Ask for a remediation',
  description: 'The request is committed and answered; policy, limits and people decide what becomes of it. With an Idempotency-Key the same request may be sent again without asking twice.',
  tag,
  idempotent: true,
  signed: true,
  body: remediationBody,
  output: { 202: acceptedReply },
  handle: async (call) => {
    const { action, target, reason, severity } = call.body
    const parameters = shape.given<{ replicas?: number; revision?: number | undefined }>(call.body.parameters)
    const fields = { cluster: 'target.cluster', namespace: 'target.namespace' }
    return reply(202, await accept(call, { door: 'api', action, target, parameters, reason, severity, fields }))
  },
})

const list = route({
  method: 'get',
  path: '/api/v1/remediations',
  permission: 'remediations:read',
  scope: 'filtered',
  summary: 'List remediations, newest first',
  tag,
  query: listQuery,
  output: { 200: shape.page(remediationSummary) },
  handle: async ({ deps, query, areas }) => {
    const { items, next } = await listRemediations(deps.db, { ...shape.given(query), areas })
    return reply(200, { items: items.map(toSummary), next })
  },
})

const show = route({
  method: 'get',
  path: '/api/v1/remediations/:id',
  permission: 'remediations:read',
  scope: ofRemediation,
  summary: 'One remediation: plan, preflight card, decision, answers, steps, effects, outcome',
  description: "The decision's full explanation is shown to roles that may read the audit.",
  tag,
  params: shape.idParams,
  output: { 200: remediationDetail },
  handle: async ({ deps, params, principal }) => {
    const view = await getRemediation(deps.db, params.id)
    if (!view) throw noSuchRemediation(params.id)
    return reply(200, toDetail(view, deps.settings, allows(principal, 'audit:read', view.request.target)))
  },
})

export const noSuchRemediation = (id: string): HttpProblem =>
  new HttpProblem({ status: 404, code: 'no_such_remediation', detail: `there is no remediation \`${id}\``, nextStep: '`GET /api/v1/remediations` lists what there is' })

export const remediationRoutes: Route[] = [create, list, show]

