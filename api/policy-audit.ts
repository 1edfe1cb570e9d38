import { z } from 'zod'
import { loadPolicies } from '../adapters/policies/directory.ts'
import { driftOf } from '../adapters/policies/sync.ts'
import { listSnapshots } from '../adapters/postgres/policies.ts'
import { listPolicyAudit } from '../adapters/postgres/policy-audit.ts'
import { effects } from '../domain/policy/document.ts'
import { dateOf, inOrder } from './audit.ts'
import { reply, route, type ApiDeps, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Policy'

const logs = route({
  method: 'get',
  path: '/api/v1/policy/audit/logs',
  permission: 'audit:read',
  scope: 'global',
  summary: 'What policies were asked directly, by whom, and what they said; newest first',
  description: '`snapshot` and `input` make the same decision again, bit for bit. Decisions about remediations are in the ledger: `GET /audit/logs?kind=decision`.',
  tag,
  query: z.strictObject({
    ...shape.paging,
    userId: z.string().min(1).max(256).optional(),
    action: z.string().min(1).max(128).optional(),
    resource: z.string().min(1).max(1024).optional(),
    result: z.enum(effects).optional(),
    from: shape.recordInstant.optional(),
    to: shape.recordInstant.optional(),
  }),
  output: {
    200: shape.page(
      z.strictObject({
        logId: z.string(),
        at: z.string(),
        userId: z.string(),
        owner: z.string(),
        action: z.string(),
        resource: z.string(),
        type: z.string(),
        result: z.enum(effects),
        allowed: z.boolean(),
        code: z.string(),
        reason: z.string(),
        snapshot: z.string(),
        input: z.unknown(),
      }),
    ),
  },
  handle: async ({ deps, query }) => {
    const { from, to, ...rest } = query
    inOrder(from, to)
    return reply(200, await listPolicyAudit(deps.db, shape.given({ ...rest, from: dateOf(from), to: dateOf(to) })))
  },
})

const snapshots = route({
  method: 'get',
  path: '/api/v1/policy/audit/snapshots',
  permission: 'policy:read',
  scope: 'anywhere',
  summary: 'Every set of policies that was ever in force, newest first, with what was signed',
  tag,
  query: z.strictObject(shape.paging),
  output: {
    200: shape.page(
      z.strictObject({
        seq: z.int(),
        hash: z.string(),
        cause: z.enum(['edit', 'rollback', 'sync']),
        author: z.string(),
        comment: z.string(),
        commit: z.string().nullable(),
        at: z.string(),
        policies: z.int(),
        keyId: z.string(),
        statement: z.string(),
        signature: z.string(),
      }),
    ),
  },
  handle: async ({ deps, query }) => reply(200, await listSnapshots(deps.db, shape.given(query))),
})

const driftItem = z.strictObject({ id: z.string(), difference: z.enum(['not_in_force', 'other_content', 'not_in_files']) })
const syncView = z.strictObject({
  directory: z.string().nullable(),
  commit: z.string().nullable(),
  syncedAt: z.string().nullable(),
  error: z.string().nullable(),
  drift: z.array(driftItem),
})

async function syncReport({ sync, settings, policies }: ApiDeps): Promise<z.infer<typeof syncView>> {
  if (!sync) return { directory: null, commit: null, syncedAt: null, error: null, drift: [] }
  const { documents, errors } = await loadPolicies(settings.policyDirectory)
  const state = sync.state()
  return { ...state, error: errors ? errors.join('\n') : state.error, drift: documents ? driftOf(documents, policies().published) : [] }
}

const syncRoute = route({
  method: 'get',
  path: '/api/v1/policy/audit/sync',
  permission: 'policy:read',
  scope: 'anywhere',
  summary: 'The directory that policies come from: the commit in force, and how its files differ from it now',
  tag,
  output: { 200: syncView },
  handle: async ({ deps }) => reply(200, await syncReport(deps)),
})

export const policyAuditRoutes: Route[] = [logs, snapshots, syncRoute]
