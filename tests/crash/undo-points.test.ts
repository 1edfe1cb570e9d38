import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startFaultyAegis, type FaultyAegis } from '../helpers/faulty-aegis.ts'
import { eventually } from '../helpers/stack.ts'
import { handsOn, specState, subjectFor } from '../helpers/subjects.ts'
import { undoCalls, type CallName, type Journey } from './calls.ts'
import { begin, crashAt, inBatches, makeWorse, nameOf, pointsOf, recordOf } from './crash-points.ts'
import { drawn, playsAll, seed } from '../helpers/draw.ts'

/** X4 for the undo of a change that made things worse: two actions × five calls × three moments. */
const actions = ['scale_deployment', 'rollback_deployment'] as const
const points = pointsOf(actions, Object.keys(undoCalls) as CallName[])
const chosen = playsAll ? points : drawn(points, points.length / 3)
const batchSize = 5
/** Of one action each: how soon a change is seen to be worse differs, and a call is not held longer than its own timeout. */
const batches = actions.flatMap((action) => inBatches(chosen.filter((point) => point.action === action), batchSize))

let faulty: FaultyAegis
const undisturbed = new Map<string, Awaited<ReturnType<typeof settledRecord>>>()

beforeAll(async () => {
  console.log(`crash points of the undo: ${chosen.length} of ${points.length}, seed ${seed} (repeat with AEGIS_TEST_SEED=${seed})`)
  faulty = await startFaultyAegis({ env: { AEGIS_VERIFY_TIMEOUT_MS: '15000' } }) // an undo begins when this is over
})
afterAll(() => faulty?.stop())

const fragile = (action: (typeof actions)[number]) => subjectFor(faulty.cluster, action, { image: 'registry.example/checkout:1-fragile' })

/** The Deployment controller writes the revision down a moment after the change. */
async function settledRecord(journey: Journey) {
  await eventually('the controller has seen the last change', async () => {
    const { metadata, status } = await handsOn(faulty.cluster, journey.namespace).deployment()
    return status?.observedGeneration === metadata?.generation
  })
  return recordOf(faulty, journey, specState)
}

test('undisturbed, a change that makes things worse has one effect and one undo', async () => {
  for (const [action, record] of await Promise.all(actions.map(async (action) => [action, await undisturbedRun(action)] as const))) {
    expect(record).toMatchObject({ ending: { outcome: 'undone', verdict: 'worse', source: 'workflow' }, effectsOfStrangers: 0, fences: 0 })
    expect(record.effects).toHaveLength(2)
    undisturbed.set(action, record)
  }
})

async function undisturbedRun(action: (typeof actions)[number]) {
  const journey = await begin(faulty, await fragile(action))
  const verifying = await makeWorse(faulty, journey)
  verifying.letGo('pass')
  await faulty.judge.closed(journey.id)
  return settledRecord(journey)
}

describe('a worker killed at any call of an undo leaves what an undisturbed undo leaves', () => {
  test.each(batches.map((batch) => [batch.map(nameOf).join('; '), batch] as const))(`${seed}: %s`, async (_names, batch) => {
    const prepared = await Promise.all(batch.map(async (point) => ({ point, subject: await fragile(point.action as (typeof actions)[number]) })))
    const journeys = await crashAt(faulty, prepared)
    const records = await Promise.all(journeys.map(settledRecord))
    const told = records.map((record, index) => ({ point: nameOf(batch[index]!), ...record }))
    expect(told).toEqual(batch.map((point) => ({ point: nameOf(point), ...undisturbed.get(point.action) })))
  }, 120_000)
})
