import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchFigures, Ground } from './ground.ts'
import { megabytes, processUses, rssRows } from './processes.ts'
import { ask, untilClosed, untilWaiting } from './remediations.ts'
import { atMost } from './report.ts'

const waiting = 1_000
const warmUp = 50
const limitMs = 300_000
const restMs = 20_000
/** Requests under way to the API at once. */
const atOnce = 20

const workers = ['decision worker', 'execution worker']

/**
 * What waiting for people costs. The workers start afresh and do some work first, so that neither an
 * old heap nor code that is loaded late counts. Idle is after that work and a rest.
 */
export async function run(ground: Ground): Promise<BenchFigures> {
  if (processUses(ground.directory).length === 0) throw new Error('memory is read from /proc: run this benchmark on Linux')
  for (const worker of [ground.aegis.decision, ground.execution]) {
    await worker.stop()
    await worker.start()
  }
  await untilClosed(ground, await askMany(warmUp, () => ask(ground, ground.targets.next())), limitMs)
  await sleep(restMs)
  const idle = processUses(ground.directory)

  await untilWaiting(ground, await askMany(waiting, () => ask(ground, ground.targets.nextAsking())), limitMs)
  await sleep(restMs)
  const loaded = processUses(ground.directory)
  const increase = workersRss(loaded) - workersRss(idle)
  return {
    rows: [
      ...rssRows(idle, 'RSS, idle'),
      ...rssRows(loaded, `RSS, ${waiting} awaiting approval`),
      { case: `${waiting} awaiting approval`, metric: 'both workers over idle', value: megabytes(increase), unit: 'MB' },
      { case: `${waiting} awaiting approval`, metric: 'each, over idle', value: Math.round(increase / waiting / 1000), unit: 'kB' },
    ],
    bars: [atMost(`${waiting} awaiting approval: RSS of the workers over idle, in MB`, 300, megabytes(increase))],
  }
}

const workersRss = (uses: ReturnType<typeof processUses>): number => uses.filter(({ name }) => workers.includes(name)).reduce((sum, { rssBytes }) => sum + rssBytes, 0)

async function askMany(count: number, askOne: () => Promise<string>): Promise<string[]> {
  const ids: string[] = []
  while (ids.length < count) {
    const batch = Math.min(atOnce, count - ids.length)
    ids.push(...(await Promise.all(Array.from({ length: batch }, askOne))))
  }
  return ids
}
