import { setTimeout as sleep } from 'node:timers/promises'
import { connectCluster, type Connection } from '../adapters/kubernetes/client.ts'
import { stampAnnotation } from '../domain/stamp.ts'
import { burstSize } from './burst.ts'
import { round, spreadOf, spreadRows } from './figures.ts'
import type { BenchFigures, Ground } from './ground.ts'
import { cpuRows, processUses } from './processes.ts'
import { ask, coursesOf, untilClosed } from './remediations.ts'
import { earlierValue, type BenchReport, type BenchRow } from './report.ts'
import type { Scale } from './targets.ts'

const pairs = 40
const closeLimitMs = 60_000
const atOnce = 10
const conflictLimit = 10
/** The controllers carry out what was written a little later. */
const restMs = 10_000

/**
 * The same mutation without Aegis: read the Deployment, then one merge patch with UID, resourceVersion,
 * annotation and replicas. One through Aegis, one straight, in turns, so that both see the same machine.
 */
export async function run(ground: Ground, earlier: readonly BenchReport[]): Promise<BenchFigures> {
  const connection = connectCluster({ name: ground.cluster.name, kubeconfig: ground.cluster.kubeconfig, userAgent: 'aegis-bench', timeoutMs: 10_000 })
  try {
    const ids: string[] = []
    const straight: number[] = []
    for (let pair = 0; pair < pairs; pair++) {
      const id = await ask(ground, ground.targets.next())
      await untilClosed(ground, [id], closeLimitMs)
      ids.push(id)
      straight.push(await timed(() => scale(connection, ground.targets.next())))
    }
    const through = (await coursesOf(ground, ids)).flatMap(({ acceptedMs, answeredMs }) => (answeredMs === undefined ? [] : [answeredMs - acceptedMs]))
    const before = processUses(ground.directory)
    const seconds = (await timed(() => burst(connection, ground))) / 1000
    await sleep(restMs)
    return { rows: [...rowsOf(through, straight, seconds, earlier), ...cpuRows(before, processUses(ground.directory), burstSize)], bars: [] }
  } finally {
    await connection.close()
  }
}

function rowsOf(through: readonly number[], straight: readonly number[], burstSeconds: number, earlier: readonly BenchReport[]): BenchRow[] {
  const [aegis, direct] = [spreadOf(through), spreadOf(straight)]
  const burstName = `${burstSize} at once`
  const drained = earlierValue(earlier, 'burst', burstName, 'first accepted → last mutation')
  return [
    ...spreadRows('through Aegis, idle', 'accepted → mutation answered', aegis),
    ...spreadRows('straight to the API server', 'read and patch', direct),
    { case: 'ratio', metric: 'through Aegis / straight, p50', value: round(aegis.p50 / direct.p50), unit: '×' },
    { case: burstName, metric: `straight, ${atOnce} at a time`, value: round(burstSeconds), unit: 's' },
    ...(drained === undefined ? [] : [{ case: burstName, metric: 'through Aegis / straight', value: round(drained / burstSeconds), unit: '×' }]),
  ]
}

async function burst(connection: Connection, ground: Ground): Promise<void> {
  let left = burstSize
  const one = async () => {
    while (left-- > 0) await scale(connection, ground.targets.next())
  }
  await Promise.all(Array.from({ length: atOnce }, one))
}

type Deployment = { metadata: { uid: string; resourceVersion: string } }

async function scale(connection: Connection, { namespace, name, replicas }: Scale): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`
  for (let attempt = 0; attempt < conflictLimit; attempt++) {
    const read = await connection.request({ method: 'GET', path })
    const { uid, resourceVersion } = (read.body as Deployment).metadata
    const body = { metadata: { uid, resourceVersion, annotations: { [stampAnnotation]: '[]' } }, spec: { replicas } }
    const { status } = await connection.request({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json' })
    if (status === 200) return
    if (status !== 409) throw new Error(`a patch of ${namespace}/${name} was answered ${status}`)
  }
  throw new Error(`${namespace}/${name} changed ${conflictLimit} times while it was being written`)
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await act()
  return performance.now() - startMs
}
