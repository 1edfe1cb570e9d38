import { setTimeout as sleep } from 'node:timers/promises'
import { outcomeRows, ratio, spreadOf, spreadRows, toMutation, unmutated } from './figures.ts'
import type { BenchFigures, Ground } from './ground.ts'
import { ask, coursesOf, untilClosed } from './remediations.ts'
import { floor } from './prototype.ts'
import { atMost, earlierValue, type BenchReport } from './report.ts'
import { settingRows } from './settings.ts'
import { stepRows } from './steps.ts'

const warmUp = 10
const measured = 100
const closeLimitMs = 60_000
const pauseMs = 200
/** The bar where it was set: 150 ms beside a prototype of 73 ms. It does not depend on how fast the machine is. */
const overFloor = 2.05

/** Idle: each remediation has closed before the next is asked for. */
export async function run(ground: Ground, earlier: readonly BenchReport[]): Promise<BenchFigures> {
  await oneByOne(ground, warmUp)
  const courses = await coursesOf(ground, await oneByOne(ground, measured))
  const spread = spreadOf(toMutation(courses))
  const floorMs = earlierValue(earlier, ...floor.idle)
  return {
    rows: [
      ...spreadRows('idle', 'accepted → mutation', spread),
      ...outcomeRows('idle', courses),
      ...(await stepRows(ground, courses)),
      ...settingRows,
    ],
    bars: [
      atMost('idle: accepted → mutation, p50 in ms', 150, spread.p50),
      ...(floorMs === undefined ? [] : [atMost('idle: p50 as a multiple of the prototype in the same run', overFloor, ratio(spread.p50, floorMs))]),
      atMost('idle: remediations without their mutation', 0, unmutated(courses)),
    ],
  }
}

async function oneByOne(ground: Ground, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let index = 0; index < count; index++) {
    const id = await ask(ground, ground.targets.next())
    await untilClosed(ground, [id], closeLimitMs)
    ids.push(id)
    await sleep(pauseMs)
  }
  return ids
}
