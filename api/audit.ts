import { z } from 'zod'
import { listAudit, statistics } from '../adapters/postgres/views.ts'
import { fieldProblem } from './problems.ts'
import { reply, route, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Audit'

const auditItem = z.strictObject({
  eventId: z.string(),
  stream: z.string(),
  seq: z.int(),
  kind: z.string(),
  at: z.string(),
  step: z.string().nullable(),
  attempt: z.int().nullable(),
  outcome: z.string().nullable(),
  action: z.string().nullable(),
  cluster: z.string().nullable(),
  namespace: z.string().nullable(),
  actor: z.string(),
  body: z.record(z.string(), z.unknown()),
})

const word = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, 'must be one word in lower case, such as healed')

const logsQuery = z.strictObject({
  ...shape.paging,
  actionType: shape.action.optional(),
  namespace: shape.labelName.optional(),
  /** The outcome of a remediation, or the result of a step. */
  status: word.optional(),
  kind: word.optional(),
  /** One remediation by its id, or a subject such as `freeze`. */
  stream: z.string().min(1).max(100).optional(),
  from: shape.recordInstant.optional(),
  to: shape.recordInstant.optional(),
})

const logs = route({
  method: 'get',
  path: '/audit/logs',
  permission: 'audit:read',
  scope: 'filtered',
  summary: 'Ledger entries, newest first',
  tag,
  query: logsQuery,
  output: { 200: shape.page(auditItem) },
  handle: async ({ deps, query, areas }) => {
    const { actionType: action, status: outcome, from, to, ...rest } = query
    inOrder(from, to)
    const filter = shape.given({ ...rest, action, outcome, from: dateOf(from), to: dateOf(to) })
    return reply(200, await listAudit(deps.db, { ...filter, areas }))
  },
})

const dayMs = 86_400_000

const figures = route({
  method: 'get',
  path: '/audit/statistics',
  permission: 'audit:read',
  scope: 'filtered',
  summary: 'How remediations ended, by action, and how long they took',
  description: 'Of the last 24 hours unless `from` and `to` say otherwise.',
  tag,
  query: z.strictObject({ from: shape.recordInstant.optional(), to: shape.recordInstant.optional() }),
  output: {
    200: z.strictObject({
      from: z.string(),
      to: z.string(),
      total: z.int(),
      open: z.int(),
      byAction: z.array(z.strictObject({ action: shape.action, outcome: shape.outcome, count: z.int() })),
      durationMs: z.strictObject({ p50: z.number(), p95: z.number(), p99: z.number() }).nullable(),
    }),
  },
  handle: async ({ deps, query, areas }) => {
    inOrder(query.from, query.to)
    const to = dateOf(query.to) ?? new Date()
    const from = dateOf(query.from) ?? new Date(to.getTime() - dayMs)
    return reply(200, { from: from.toISOString(), to: to.toISOString(), ...(await statistics(deps.db, { from, to, areas })) })
  },
})

export const dateOf = (text: string | undefined): Date | undefined => (text === undefined ? undefined : new Date(text))

export function inOrder(from: string | undefined, to: string | undefined): void {
  if (from === undefined || to === undefined || Date.parse(from) < Date.parse(to)) return
  throw fieldProblem('bad_request', [{ field: 'to', message: 'must be later than `from`' }])
}

export const auditRoutes: Route[] = [logs, figures]
