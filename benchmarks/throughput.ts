import { ratio, round, spreadOf, toMutation, unmutated } from './figures.ts'
import type { BenchFigures, Ground } from './ground.ts'
import { askSteadily, coursesOf, untilClosed } from './remediations.ts'
import { floor } from './prototype.ts'
import { atLeast, earlierValue, type BenchReport, type BenchRow } from './report.ts'
import { settingRows } from './settings.ts'

const firstRate = 10
const rateStep = 2
const highestRate = 40
const seconds = 30
const closeLimitMs = 300_000
/** A rate that is not sustained shows as a queue, and the queue as this. */
const p95LimitMs = 2_000

type Tried = { sustained: boolean; closedPerSecond: number; rows: BenchRow[] }

/** The highest rate that was kept up for 30 s with accepted → mutation p95 under 2 s: upwards from 10/s, or down from it. */
export async function run(ground: Ground, earlier: readonly BenchReport[]): Promise<BenchFigures> {
  const tries: Tried[] = []
  const attempt = async (rate: number, name: string) => {
    const tried = await tryRate(ground, rate, name)
    tries.push(tried)
    return tried.sustained
  }
  // What else runs on the machine can spoil a try: a rate counts as too high when two tries in a row say so.
  const sustains = async (rate: number) => (await attempt(rate, `${rate}/s offered`)) || (await attempt(rate, `${rate}/s offered again`))
  let highest = 0
  if (await sustains(firstRate)) {
    highest = firstRate
    for (let rate = firstRate + rateStep; rate <= highestRate && (await sustains(rate)); rate += rateStep) highest = rate
  } else {
    // What was closed while too much was offered is as much as can be hoped for.
    const below = (rate: number) => Math.min(rate - 1, Math.floor(tries.at(-1)?.closedPerSecond ?? 0))
    for (let rate = below(firstRate); rate > 0 && highest === 0; rate = below(rate)) if (await sustains(rate)) highest = rate
  }
  const most = Math.max(...tries.map(({ closedPerSecond }) => closedPerSecond))
  const floorRate = earlierValue(earlier, ...floor.rate)
  const share: BenchRow[] = floorRate === undefined ? [] : [{ case: 'ratio', metric: 'most closed in a second / the prototype, ten in flight', value: ratio(most, floorRate), unit: '×' }]
  return {
    rows: [{ case: 'highest sustained rate', metric: `remediations, ${seconds} s each, p95 < ${p95LimitMs / 1000} s`, value: highest, unit: '1/s' }, ...share, ...tries.flatMap((tried) => tried.rows), ...settingRows],
    bars: [atLeast('highest sustained rate in 1/s', 10, highest)],
  }
}

async function tryRate(ground: Ground, rate: number, name: string): Promise<Tried> {
  const ids = await askSteadily(ground, rate, seconds)
  await untilClosed(ground, ids, closeLimitMs)
  const courses = await coursesOf(ground, ids)
  const { p50, p95 } = spreadOf(toMutation(courses))
  const span = (Math.max(...courses.map(({ closedMs = Infinity }) => closedMs)) - Math.min(...courses.map(({ acceptedMs }) => acceptedMs))) / 1000
  return {
    closedPerSecond: ids.length / span,
    sustained: p95 < p95LimitMs && unmutated(courses) === 0,
    rows: [
      { case: name, metric: 'accepted → mutation, p50', value: round(p50), unit: 'ms' },
      { case: name, metric: 'accepted → mutation, p95', value: round(p95), unit: 'ms' },
      { case: name, metric: 'closed, from the first accepted to the last closed', value: round(ids.length / span), unit: '1/s' },
    ],
  }
}
