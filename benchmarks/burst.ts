import { outcomeRows, round, spreadOf, spreadRows, toMutation, unmutated } from './figures.ts'
import type { BenchFigures, Ground } from './ground.ts'
import { ask, coursesOf, untilClosed } from './remediations.ts'
import { atMost } from './report.ts'
import { settingRows } from './settings.ts'

export const burstSize = 500
const closeLimitMs = 600_000

/** Everything at once: what a bad release or a lost zone looks like from here. */
export async function run(ground: Ground): Promise<BenchFigures> {
  const ids = await Promise.all(Array.from({ length: burstSize }, () => ask(ground, ground.targets.next())))
  await untilClosed(ground, ids, closeLimitMs)
  const courses = await coursesOf(ground, ids)
  const first = Math.min(...courses.map(({ acceptedMs }) => acceptedMs))
  const lastOf = (times: readonly (number | undefined)[]) => (Math.max(...times.map((time) => time ?? first)) - first) / 1000
  const name = `${burstSize} at once`
  const mutatedSeconds = lastOf(courses.map(({ mutatedMs }) => mutatedMs))
  return {
    rows: [
      { case: name, metric: 'first accepted → last accepted', value: round(lastOf(courses.map(({ acceptedMs }) => acceptedMs))), unit: 's' },
      { case: name, metric: 'first accepted → last mutation', value: round(mutatedSeconds), unit: 's' },
      { case: name, metric: 'first accepted → last closed', value: round(lastOf(courses.map(({ closedMs }) => closedMs))), unit: 's' },
      { case: name, metric: 'mutations', value: round(burstSize / mutatedSeconds), unit: '1/s' },
      ...spreadRows(name, 'accepted → mutation', spreadOf(toMutation(courses))),
      ...outcomeRows(name, courses),
      ...settingRows,
    ],
    bars: [atMost(`${name}: remediations without their mutation`, 0, unmutated(courses))],
  }
}
