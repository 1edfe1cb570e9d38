/** What it costs to know who calls: calls with an access token in an open loop, and logins, whose passwords are hashed. */
import { argon2Parameters } from '../adapters/passwords.ts'
import type { BenchFigures } from './ground.ts'
import { round, spreadOf, spreadRows } from './figures.ts'
import { openLoop, type Step } from './open-loop.ts'
import { openPolicyGround, type PolicyGround } from './policy-ground.ts'
import { cpuRows, processUses } from './processes.ts'
import { atMost, type BenchRow } from './report.ts'

const [tokenRate, tokenSeconds] = [1_000, 20]
const p95LimitMs = 100
const loginsPerWidth = 60
const widths = [1, 4, 16]

export async function run(say: (line: string) => void): Promise<BenchFigures> {
  const ground = await openPolicyGround(say)
  try {
    const people = await Promise.all(Array.from({ length: Math.max(...widths) }, (_, index) => somebody(ground, `bench-${index}`)))
    const { token } = people[0]!
    const checks = { url: `${ground.url}/api/v1/auth/me`, key: token, bodies: [''], method: 'GET' as const }
    await openLoop(checks, 200, 3)
    const before = processUses(ground.directory)
    const step = await openLoop(checks, tokenRate, tokenSeconds)
    const cpu = cpuRows(before, processUses(ground.directory), step.sent, 'token check').filter(({ value }) => value > 0)
    say(`${step.rate} token checks/s offered: p50 ${step.p50.toFixed(1)} ms, p95 ${step.p95.toFixed(1)} ms, ${step.failed} failed`)
    const logins: BenchRow[] = []
    for (const width of widths) logins.push(...(await loginRows(ground, people, width)))
    return figuresOf(step, [...cpu, ...logins])
  } finally {
    await ground.close()
  }
}

const password = 'a walk along the quiet river'

type Person = { username: string; token: string }

/** An account made the way people get theirs; each has tries of its own, so each that logs in at the same time needs one. */
async function somebody(ground: PolicyGround, username: string): Promise<Person> {
  const made = await call(ground, '/api/v1/users', { username, bindings: [{ role: 'user', cluster: null, namespace: null }] }, ground.apiKey)
  await call(ground, '/api/v1/auth/reset', { token: made['oneTimeToken'], password })
  const session = await call(ground, '/api/v1/auth/login', { username, password, session: 'token' })
  return { username, token: String(session['accessToken']) }
}

async function call({ url }: PolicyGround, path: string, body: object, key?: string): Promise<Record<string, unknown>> {
  const headers = { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) }
  const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as Record<string, unknown>
}

/** So many logins, `width` at a time, each as soon as the one before it is done. */
async function loginRows(ground: PolicyGround, people: readonly Person[], width: number): Promise<BenchRow[]> {
  const took: number[] = []
  let left = loginsPerWidth
  const begun = performance.now()
  const one = async ({ username }: Person) => {
    while (left-- > 0) {
      const at = performance.now()
      await call(ground, '/api/v1/auth/login', { username, password, session: 'token' })
      took.push(performance.now() - at)
    }
  }
  await Promise.all(people.slice(0, width).map(one))
  const perSecond = (loginsPerWidth / (performance.now() - begun)) * 1_000
  const name = `${width} logins at a time`
  return [{ case: name, metric: 'logins', value: round(perSecond), unit: '1/s' }, ...spreadRows(name, 'login', spreadOf(took))]
}

function figuresOf(step: Step, rest: readonly BenchRow[]): BenchFigures {
  const name = `${step.rate} token checks/s offered for ${tokenSeconds} s`
  const { memoryCost, timeCost, parallelism } = argon2Parameters
  return {
    rows: [
      { case: name, metric: 'answered', value: Math.round(step.perSecond), unit: '1/s' },
      { case: name, metric: 'failed or not answered', value: step.failed, unit: '' },
      ...(['p50', 'p95', 'p99'] as const).map((metric) => ({ case: name, metric, value: Number(step[metric].toFixed(2)), unit: 'ms' })),
      ...rest,
      { case: 'argon2id', metric: 'memory', value: memoryCost / 1024, unit: 'MiB' },
      { case: 'argon2id', metric: `t=${timeCost} p=${parallelism}, hashed at a time`, value: 4, unit: '' },
    ],
    bars: [
      atMost(`${name}: p95 in ms`, p95LimitMs, Number(step.p95.toFixed(1))),
      atMost(`${name}: failed`, 0, step.failed),
    ],
  }
}
