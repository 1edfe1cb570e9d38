import { Agent, request as send } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from './report.ts'

/** `method`: POST when left out; a GET has no body. */
export type Post = { url: string; key: string; bodies: readonly string[]; method?: 'GET' | 'POST' }

/**
 * Milliseconds from the time at which a request was due, not from when it got away: who falls behind cannot hide it.
 * `causes`: status or error code of what failed, by how often.
 */
export type Step = { rate: number; sent: number; failed: number; p50: number; p95: number; p99: number; perSecond: number; causes: Record<string, number> }

/** More than this many unanswered: the server has fallen behind for good. */
const mostInFlight = 5_000
const answerLimitMs = 10_000
const tickMs = 1

/** Sends `rate` requests a second for so many seconds whatever comes back, over connections that stay open. */
export async function openLoop({ url, key, bodies, method = 'POST' }: Post, rate: number, seconds: number): Promise<Step> {
  const agent = new Agent({ keepAlive: true, maxSockets: 128 })
  const latencies: number[] = []
  const causes: Record<string, number> = {}
  let [sent, inFlight] = [0, 0]
  const fire = (dueAt: number) => {
    inFlight += 1
    const over = (cause: string) => {
      inFlight -= 1
      if (cause === '200') latencies.push(performance.now() - dueAt)
      else causes[cause] = (causes[cause] ?? 0) + 1
    }
    post(agent, { url, key, method }, bodies[sent++ % bodies.length]!, over)
  }
  const start = performance.now()
  const total = rate * seconds
  while (sent < total && inFlight < mostInFlight) {
    const due = Math.min(total, Math.ceil(((performance.now() - start) / 1000) * rate))
    while (sent < due && inFlight < mostInFlight) fire(start + (sent / rate) * 1000)
    await sleep(tickMs)
  }
  const answerBy = performance.now() + answerLimitMs
  while (inFlight > 0 && performance.now() < answerBy) await sleep(tickMs)
  const took = (performance.now() - start) / 1000
  agent.destroy()
  latencies.sort((a, b) => a - b)
  // What was not sent or not answered in time counts as failed.
  return { rate, sent, failed: total - latencies.length, p50: quantile(latencies, 0.5), p95: quantile(latencies, 0.95), p99: quantile(latencies, 0.99), perSecond: latencies.length / took, causes }
}

function post(agent: Agent, { url, key, method }: { url: string; key: string; method: 'GET' | 'POST' }, body: string, over: (cause: string) => void): void {
  let open = true
  const once = (cause: string) => {
    if (open) over(cause)
    open = false
  }
  const content = method === 'GET' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  const headers = { authorization: `Bearer ${key}`, ...content }
  const request = send(url, { method, agent, headers }, (response) => {
    response.resume() // read whole, or the connection is not free again
    response.once('end', () => once(`${response.statusCode}`))
  })
  request.once('error', (error: NodeJS.ErrnoException) => once(error.code ?? error.message))
  request.end(method === 'GET' ? undefined : body)
}
