import { Client, Connection } from '@temporalio/client'
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Knex } from 'knex'
import { connectCluster, type Connection as Cluster } from '../adapters/kubernetes/client.ts'
import { connectDatabase } from '../adapters/postgres/connect.ts'
import { rows } from '../adapters/postgres/sql.ts'
import { round, spreadOf } from './figures.ts'
import type { BenchFigures, Ground } from './ground.ts'
import type { BenchRow } from './report.ts'
import type { Scale } from './targets.ts'

/** Where `latency` and `throughput` find what to compare themselves with. */
export const floor = {
  idle: ['prototype', 'one at a time', 'start → scale answered, p50'],
  rate: ['prototype', '10 in flight for 20 s', 'runs'],
} as const

const warmUp = 20
const oneByOne = 50
const [inFlight, seconds] = [10, 20]

export type PrototypeSteps = ReturnType<typeof stepsOf>

const stepsOf = (db: Knex, cluster: Cluster, scaled: Map<string, number>) => ({
  /** What any durable step costs at least: one row written and one read. */
  async note(run: string, step: number): Promise<number> {
    await rows(db, 'insert into prototype (run, step) values (:run, :step)', { run, step })
    const [row] = await rows<{ count: number }>(db, 'select count(*)::integer as count from prototype where run = :run', { run })
    return row?.count ?? 0
  },
  /** The very change the remediations make, so that what it sets off in the cluster is part of both. */
  async scale(run: string, { namespace, name, replicas }: Scale): Promise<void> {
    await rows(db, 'insert into prototype (run, step) values (:run, 8)', { run })
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`
    const body = { spec: { replicas } }
    const { status } = await cluster.request({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json' })
    if (status !== 200) throw new Error(`the scale was answered ${status}`)
    scaled.set(run, performance.now())
  },
})

/**
 * The floor: a bare workflow of nine steps on the very servers the other benchmarks use, in the same run. It asks no
 * policy, checks nothing, records nothing of worth; what Aegis takes beyond it is what Aegis does.
 */
export async function run(ground: Ground): Promise<BenchFigures> {
  const db = connectDatabase({ url: ground.ownerUrl, applicationName: 'aegis-prototype', poolMax: 20 })
  await rows(db, 'create table if not exists prototype (run text, step integer, primary key (run, step))')
  const cluster = connectCluster({ name: ground.cluster.name, kubeconfig: ground.cluster.kubeconfig, userAgent: 'aegis-prototype', timeoutMs: 10_000 })
  const scaled = new Map<string, number>()
  const { start, stop } = await startWorkers(ground.temporal, stepsOf(db, cluster, scaled))
  const timed = async () => {
    const id = randomUUID()
    const startMs = performance.now()
    await start(id, ground.targets.next())
    return (scaled.get(id) ?? Infinity) - startMs
  }
  try {
    for (let index = 0; index < warmUp; index++) await timed()
    const idle: number[] = []
    for (let index = 0; index < oneByOne; index++) idle.push(await timed())
    return { rows: [...rowsOf('one at a time', idle), ...(await underLoad(timed))], bars: [] }
  } finally {
    await stop()
    await cluster.close()
    await db.destroy()
  }
}

async function underLoad(timed: () => Promise<number>): Promise<BenchRow[]> {
  const times: number[] = []
  const untilMs = performance.now() + seconds * 1000
  const one = async () => {
    while (performance.now() < untilMs) times.push(await timed())
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  const name = `${inFlight} in flight for ${seconds} s`
  return [...rowsOf(name, times), { case: name, metric: 'runs', value: round(times.length / seconds), unit: '1/s' }]
}

function rowsOf(name: string, times: readonly number[]): BenchRow[] {
  const { p50, p99 } = spreadOf(times)
  return [
    { case: name, metric: 'start → scale answered, p50', value: round(p50), unit: 'ms' },
    { case: name, metric: 'start → scale answered, p99', value: round(p99), unit: 'ms' },
  ]
}

/** Decision and execution side on queues of their own, in this one process. */
async function startWorkers(address: string, activities: PrototypeSteps) {
  Runtime.install({ logger: new DefaultLogger('ERROR') })
  const connection = await NativeConnection.connect({ address, grpcCompression: { codec: 'none' } })
  const client = new Client({ connection: await Connection.connect({ address }) })
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('./prototype-workflow.ts', import.meta.url)),
    logger: new DefaultLogger('ERROR'),
  })
  const [decide, execute] = ['prototype-decide', 'prototype-execute']
  const workers = [
    await Worker.create({ connection, namespace: 'default', taskQueue: decide, workflowBundle, activities }),
    await Worker.create({ connection, namespace: 'default', taskQueue: execute, activities }),
  ]
  const running = workers.map((worker) => worker.run())
  return {
    start: (id: string, target: Scale) =>
      client.workflow.execute('prototype', { workflowId: `prototype/${id}`, taskQueue: decide, args: [id, target, execute] }),
    async stop() {
      workers.forEach((worker) => worker.shutdown())
      await Promise.all(running)
      await connection.close()
      await client.connection.close()
    },
  }
}
