import { z } from 'zod'
import { databaseReady } from '../adapters/postgres/connect.ts'
import type { Readiness } from '../adapters/metrics.ts'
import { modes } from '../domain/remediation.ts'
import { temporalAway } from '../temporal/health.ts'
import { publicRoute, reply, route, type ApiDeps, type Route } from './route.ts'

const tag = 'Health'

const part = z.strictObject({ ok: z.boolean(), reason: z.string().optional() })

const healthReply = z.strictObject({
  /** `degraded`: requests are accepted and kept; what follows them waits. */
  status: z.enum(['ready', 'degraded', 'unavailable']),
  version: z.string(),
  database: part,
  temporal: part,
  /** Whether workers ask for work; one that was killed is missed after two minutes at the latest. */
  decision: part,
  execution: part,
  policy: part,
})

const output = { 200: healthReply, 503: healthReply }

const checkTimeoutMs = 3_000

/** Without the database nothing can be accepted; without Temporal, workers or fresh policies only later steps wait. */
async function health({ deps }: { deps: ApiDeps }) {
  const [database, work] = await Promise.all([bounded<Readiness>(databaseReady(deps.db), { ok: false }), bounded(deps.temporal(), temporalAway)])
  const waiting = { temporal: worded(work.temporal), decision: worded(work.decision), execution: worded(work.execution), policy: policyHealth(deps) }
  const body = { version: deps.settings.version, database, ...waiting }
  if (!database.ok) return reply(503, { ...body, status: 'unavailable' })
  return reply(200, { ...body, status: Object.values(waiting).every(({ ok }) => ok) ? 'ready' : 'degraded' })
}

type Part = z.infer<typeof part>

function policyHealth({ policies, sync }: ApiDeps): Part {
  const { stale, error } = policies()
  if (stale) return { ok: false, reason: 'the policies could not be read for too long: everything is denied' }
  // The error names files and lines, which `GET /api/v1/policy` shows to those who may see them.
  if (error !== undefined) return { ok: false, reason: 'the policies of record cannot be used: the last good ones are in force' }
  return sync === null || sync.state().error === null ? { ok: true } : { ok: false, reason: 'an edit of the policies is broken: the last good ones are in force' }
}

async function bounded<T>(checking: Promise<T>, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), checkTimeoutMs)
  })
  const checked = await Promise.race([checking.catch(() => otherwise), late])
  clearTimeout(timer)
  return checked
}

/** Reasons are ours, never a driver's words: this route is public. */
const worded = ({ ok, reason }: Readiness): Part => (ok ? { ok } : { ok, reason: reason ?? 'it does not answer' })

const summary = 'Whether this process can do its work now'

const configView = z.strictObject({
  version: z.string(),
  mode: z.enum(modes),
  clusters: z.array(z.string()),
  namespaces: z.array(z.string()),
  deadlineMs: z.int(),
  temporalUiUrl: z.string(),
  temporalNamespace: z.string(),
  policyDirectory: z.string(),
  policyFourEyes: z.boolean(),
  rulesFile: z.string(),
  logLevel: z.string(),
  audience: z.string(),
})

const config = route({
  method: 'get',
  path: '/health/config',
  permission: 'config:read',
  scope: 'global',
  summary: 'The settings in force; nothing secret is among them',
  tag,
  output: { 200: configView },
  handle: async ({ deps: { settings } }) => reply(200, { ...settings, clusters: [...settings.clusters], namespaces: [...settings.namespaces] }),
})

export const healthRoutes: Route[] = [
  publicRoute({ path: '/api/v1/health', summary, tag, output, handle: health }),
  publicRoute({ path: '/health', summary: `${summary} (the executor's address for it)`, tag, output, handle: health }),
  publicRoute({
    path: '/api/v1/health/ping',
    summary: 'Whether this process is alive',
    tag,
    output: { 200: z.strictObject({ status: z.literal('ok') }) },
    handle: async () => reply(200, { status: 'ok' }),
  }),
  config,
  publicRoute({
    path: '/metrics',
    summary: 'Figures for Prometheus',
    tag,
    produces: 'text/plain; version=0.0.4; charset=utf-8',
    output: { 200: z.string() },
    handle: async ({ deps }) => reply(200, await deps.metrics.registry.metrics()),
  }),
]
