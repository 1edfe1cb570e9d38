import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client'

export { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** A registry of its own per process, with Node's own figures; every series carries the service's name. */
export function createRegistry(service: string): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({ service })
  collectDefaultMetrics({ register: registry })
  return registry
}

export type ApiMetrics = ReturnType<typeof createApiMetrics>

/** What the API counts. Labels hold route patterns and codes, never ids or other unbounded values. */
export function createApiMetrics(registry: Registry) {
  const registers = [registry]
  return {
    registry,
    durationSeconds: new Histogram({
      name: 'aegis_http_request_duration_seconds',
      help: 'Time to answer, by route pattern and status',
      labelNames: ['method', 'route', 'status'] as const,
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    }),
    accepted: new Counter({
      name: 'aegis_requests_accepted_total',
      help: 'Remediation requests accepted, by door; `known` was there already',
      labelNames: ['door', 'result'] as const,
      registers,
    }),
    refused: new Counter({
      name: 'aegis_requests_refused_total',
      help: 'Calls answered with a problem document, by its code',
      labelNames: ['code'] as const,
      registers,
    }),
    signaturesRefused: new Counter({
      name: 'aegis_signatures_refused_total',
      help: 'Signatures of callers that were refused, by code and by whether the call named a key of ours',
      labelNames: ['code', 'key'] as const,
      registers,
    }),
    alerts: new Counter({
      name: 'aegis_alerts_total',
      help: 'Alerts received by the webhook, by what became of them',
      labelNames: ['result'] as const,
      registers,
    }),
    answers: new Counter({
      name: 'aegis_answers_total',
      help: 'Approvals, rejections and cancels, by whether they counted',
      labelNames: ['kind', 'result'] as const,
      registers,
    }),
  }
}

export type Readiness = { ok: boolean; reason?: string | undefined }

export type HealthServerOptions = {
  host?: string
  /** 0 picks a free port; the answer says which. */
  port: number
  /** False means that only a restart can help. */
  live: () => boolean | Promise<boolean>
  /** Whether this process can do its work now. Given 2 s to say so. */
  ready: () => Readiness | Promise<Readiness>
  registry: Registry
}

export type HealthServer = { port: number; close(): Promise<void> }

const readyTimeoutMs = 2_000

/** `/live`, `/ready` and `/metrics` for a process that serves nothing else. */
export async function healthServer({ host = '127.0.0.1', port, live, ready, registry }: HealthServerOptions): Promise<HealthServer> {
  const answers: Record<string, () => Promise<Reply>> = {
    '/live': async () => status(await live(), undefined),
    '/ready': async () => {
      const { ok, reason } = await withinTime(Promise.resolve(ready()))
      return status(ok, reason)
    },
    '/metrics': async () => ({ status: 200, type: registry.contentType, text: await registry.metrics() }),
  }
  const server = createServer((request, response) => {
    const answer = request.method === 'GET' || request.method === 'HEAD' ? answers[pathOf(request.url)] : undefined
    if (!answer) return send(response, { status: 404, type: 'text/plain', text: 'ask for /live, /ready or /metrics\n' })
    answer().then(
      (reply) => send(response, reply),
      (failure: unknown) => send(response, status(false, failure instanceof Error ? failure.message : 'it failed')),
    )
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
  const close = () => new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, close }
}

type Reply = { status: number; type: string; text: string }

const pathOf = (url: string | undefined) => (url ?? '/').split('?', 1)[0] ?? '/'

const status = (ok: boolean, reason: string | undefined): Reply => ({
  status: ok ? 200 : 503,
  type: 'application/json',
  text: `${JSON.stringify({ ok, ...(reason === undefined ? {} : { reason }) })}\n`,
})

const send = (response: ServerResponse, reply: Reply) => {
  response.writeHead(reply.status, { 'content-type': reply.type, 'cache-control': 'no-store' }).end(reply.text)
}

async function withinTime(asking: Promise<Readiness>): Promise<Readiness> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Readiness>((resolve) => {
    timer = setTimeout(() => resolve({ ok: false, reason: `no answer within ${readyTimeoutMs} ms` }), readyTimeoutMs)
  })
  return Promise.race([asking, late]).finally(() => clearTimeout(timer))
}
