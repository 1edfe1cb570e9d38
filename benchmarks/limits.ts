/** The limiter as `reserve` asks it: how many decisions a second on one key, on many, and while the key is full. */
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Knex } from 'knex'
import { connectDatabase, migrate } from '../adapters/postgres/connect.ts'
import { acceptRequest } from '../adapters/postgres/requests.ts'
import { reserve, type Reservation } from '../adapters/postgres/reserve.ts'
import type { LimitRule } from '../domain/limits.ts'
import { uuidv7 } from '../domain/uuid.ts'
import { defaultDirectory, startStack } from '../sandbox/stack.ts'
import { round, spreadOf } from './figures.ts'
import type { BenchFigures } from './ground.ts'
import { atLeast, type BenchBar, type BenchRow } from './report.ts'

const decisions = 2_000
/** As many as a decision worker's pool has connections for. */
const atOnce = 16
const plenty = 1_000_000
/** What one key has to manage: far above what any cluster should be acted on. */
const barPerSecond = 100

type Case = { name: string; keys: number; limit: number }
const cases: Case[] = [
  { name: 'one key, with room', keys: 1, limit: plenty },
  { name: 'one key, full', keys: 1, limit: 5 },
  { name: 'a thousand keys, with room', keys: 1_000, limit: plenty },
]

export async function run(say: (line: string) => void): Promise<BenchFigures> {
  const directory = join(defaultDirectory, 'bench-stack')
  mkdirSync(directory, { recursive: true })
  const stack = await startStack({ directory, clusters: [], progress: say })
  try {
    await migrate(stack.postgres.ownerUrl)
    const db = connectDatabase({ url: stack.postgres.ownerUrl, applicationName: 'aegis-bench', poolMax: atOnce })
    const rows: BenchRow[] = []
    const bars: BenchBar[] = []
    for (const one of cases) {
      const { perSecond, admitted, ms } = await measure(db, one)
      const spread = spreadOf(ms)
      rows.push(
        { case: one.name, metric: 'decisions', value: decisions, unit: '' },
        { case: one.name, metric: 'admitted', value: admitted, unit: '' },
        { case: one.name, metric: 'rate', value: Math.round(perSecond), unit: '1/s' },
        ...(['p50', 'p95', 'p99'] as const).map((metric) => ({ case: one.name, metric, value: round(spread[metric]), unit: 'ms' })),
      )
      bars.push(atLeast(`${one.name}: decisions a second`, barPerSecond, Math.round(perSecond)))
      say(`${one.name}: ${Math.round(perSecond)} a second`)
    }
    await db.destroy()
    return { rows, bars }
  } finally {
    await stack.stop()
  }
}

async function measure(db: Knex, { name, keys, limit }: Case): Promise<{ perSecond: number; admitted: number; ms: number[] }> {
  const wanted = await prepared(db, name.replaceAll(/[^a-z]/g, ''), keys, limit)
  const ms: number[] = []
  let admitted = 0
  const begun = performance.now()
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let one = wanted.pop(); one; one = wanted.pop()) {
      const asked = performance.now()
      if ((await reserve(db, one)).reserved) admitted++
      ms.push(performance.now() - asked)
    }
  }))
  return { perSecond: (decisions * 1_000) / (performance.now() - begun), admitted, ms }
}

/** Accepted requests, each for a workload of its own, spread over the namespaces that are the keys. */
async function prepared(db: Knex, prefix: string, keys: number, limit: number): Promise<Reservation[]> {
  const limits: LimitRule[] = [{ key: 'scale', action: 'scale_deployment', scope: 'namespace', limit, windowMs: 3_600_000 }]
  const wanted: Reservation[] = []
  const principal = { id: 'bench', kind: 'service', owner: 'bench', roles: ['service'] } as const
  for (let index = 0; index < decisions; index++) {
    const namespace = `${prefix}-${index % keys}`
    const target = { cluster: 'bench', namespace, kind: 'Deployment', name: `w-${index}` } as const
    const id = uuidv7(Date.now(), randomBytes(10))
    await acceptRequest(db, {
      id, door: 'api', principal: { ...principal, roles: [...principal.roles] }, action: 'scale_deployment', target, parameters: { replicas: 3 }, reason: 'bench', severity: 'low',
      fault: null, incident: null, deadlineMs: 3_600_000, idempotency: null,
    })
    wanted.push({
      id, workload: { ...target, uid: 'u' }, action: 'scale_deployment', limits, concurrency: [], undo: false, planDigest: '', budgets: [], objection: null,
      flap: { limit: plenty, windowMs: 3_600_000 }, afterActionMs: 0,
    })
  }
  return wanted
}
