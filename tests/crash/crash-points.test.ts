import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { actionNames, type ActionName } from '../../domain/remediation.ts'
import { startFaultyAegis, type FaultyAegis } from '../helpers/faulty-aegis.ts'
import { subjectFor } from '../helpers/subjects.ts'
import { calls, type CallName } from './calls.ts'
import { begin, crashAt, inBatches, nameOf, pointsOf, recordOf } from './crash-points.ts'
import { drawn, playsAll, seed } from '../helpers/draw.ts'

/** X4: three actions × thirteen calls × three moments. `npm test` plays a third, drawn by a seed; `npm run test:long` all. */
const points = pointsOf(actionNames, Object.keys(calls) as CallName[])
const chosen = playsAll ? points : drawn(points, points.length / 3)
const batchSize = 6

let faulty: FaultyAegis
const undisturbed = new Map<ActionName, Awaited<ReturnType<typeof recordOf>>>()

beforeAll(async () => {
  console.log(`crash points: ${chosen.length} of ${points.length}, seed ${seed} (repeat with AEGIS_TEST_SEED=${seed})`)
  faulty = await startFaultyAegis()
})
afterAll(() => faulty?.stop())

test('undisturbed, each action has one effect and heals', async () => {
  for (const [action, record] of await Promise.all(actionNames.map(async (action) => [action, await undisturbedRun(action)] as const))) {
    expect(record).toMatchObject({ ending: { outcome: 'healed', verdict: 'better', source: 'workflow' }, effectsOfStrangers: 0, fences: 0 })
    expect(record.effects).toHaveLength(1)
    undisturbed.set(action, record)
  }
})

async function undisturbedRun(action: ActionName) {
  const journey = await begin(faulty, await subjectFor(faulty.cluster, action))
  journey.go()
  await faulty.judge.closed(journey.id)
  return recordOf(faulty, journey)
}

test('there are 117 points, and a seed draws the same third twice', () => {
  expect(points).toHaveLength(117)
  expect(drawn(points, 39, 7)).toEqual(drawn(points, 39, 7))
  expect(new Set(drawn(points, 39, 7)).size).toBe(39)
  expect(drawn(points, 39, 7)).not.toEqual(drawn(points, 39, 8))
})

describe('a worker killed at any call leaves what an undisturbed run leaves', () => {
  test.each(inBatches(chosen, batchSize).map((batch) => [batch.map(nameOf).join('; '), batch] as const))(`${seed}: %s`, async (_names, batch) => {
    const prepared = await Promise.all(batch.map(async (point) => ({ point, subject: await subjectFor(faulty.cluster, point.action) })))
    const journeys = await crashAt(faulty, prepared)
    const records = await Promise.all(journeys.map((journey) => recordOf(faulty, journey)))
    const told = records.map((record, index) => ({ point: nameOf(batch[index]!), ...record }))
    expect(told).toEqual(batch.map((point) => ({ point: nameOf(point), ...undisturbed.get(point.action) })))
  }, 120_000)
})
