import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { actionNames, type ActionName } from '../../domain/remediation.ts'
import { startFaultyAegis, type FaultyAegis, type Standby } from '../helpers/faulty-aegis.ts'
import { broken, handsOn, hungStatefulPod, replicas, subjectFor, type Subject } from '../helpers/subjects.ts'
import { eventually } from '../helpers/stack.ts'
import { withResolvers } from '../../sandbox/faults/traps.ts'
import { stopAt, type Journey } from './calls.ts'
import { begin, recordOf, within } from './crash-points.ts'

/**
 * X5: a worker is stopped with its call on the way. Another finishes the remediation; then the first wakes up and its
 * call arrives. What keeps it out is the resourceVersion and the UID in the call itself.
 */
let faulty: FaultyAegis
let standby: Standby | undefined

beforeAll(async () => {
  faulty = await startFaultyAegis({ env: { AEGIS_VERIFY_TIMEOUT_MS: '15000' } }) // an undo begins when this is over
})
afterEach(() => {
  standby?.stop()
  faulty.worker.kill('SIGCONT')
})
afterAll(() => faulty?.stop())

const limitMs = 90_000

/** `wake` lets the call go on and its worker with it, and tells what the API server said. */
type Sleeper = Journey & { wake(): Promise<number | undefined> }

/**
 * Asked for, and stopped with its call on the way: it has left the worker and not reached the API server. Held there
 * and not before, because a worker that wakes up before it has sent would find its time over and send nothing.
 */
async function stoppedAtItsCall(subject: Subject): Promise<Sleeper> {
  const journey = await begin(faulty, subject)
  const [reached, gate] = [withResolvers<void>(), withResolvers<'pass'>()]
  const itsCall = { effective: true, path: new RegExp(`/namespaces/${subject.namespace}/`) }
  const late = faulty.executor.once({ ...itsCall, phase: 'after_send' })
  faulty.executor.arm({ ...itsCall, phase: 'before_send' }, () => {
    faulty.worker.kill('SIGSTOP')
    reached.resolve()
    return gate.promise
  })
  journey.go()
  await within(limitMs, 'the worker is stopped', reached.promise)
  faulty.temporal.cut() // its polls go, or tasks would be handed to a sleeper
  expect(faulty.judge.attempts(subject.namespace)).toEqual([])
  return {
    ...journey,
    async wake() {
      gate.resolve('pass')
      const { status } = await within(limitMs, 'the late call is answered', late)
      faulty.worker.kill('SIGCONT')
      return status
    },
  }
}

describe('a zombie changes nothing once another worker has healed the workload (guard: resourceVersion)', () => {
  test.each(actionNames)('%s', async (action: ActionName) => {
    const journey = await stoppedAtItsCall(await subjectFor(faulty.cluster, action))
    standby = await faulty.standby()
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
    const before = await recordOf(faulty, journey)
    expect(before.effects).toHaveLength(1)

    expect(await journey.wake()).toBe(action === 'restart_pod' ? 404 : 409)
    expect(await recordOf(faulty, journey)).toEqual(before)
  }, limitMs)
})

describe('a zombie changes nothing once another worker has taken the change back (guard: resourceVersion)', () => {
  test.each(['scale_deployment', 'rollback_deployment'] as const)('%s', async (action) => {
    const subject = await subjectFor(faulty.cluster, action, { image: 'registry.example/checkout:1-fragile' })
    const hands = handsOn(faulty.cluster, subject.namespace)
    const journey = await stoppedAtItsCall(subject)
    const verifying = stopAt(faulty, journey, { call: 'kubernetes health', phase: 'before_send' })
    standby = await faulty.standby()
    await within(limitMs, 'the standby verifies', verifying.reached)
    await hands.spoil()
    verifying.letGo('pass')
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'undone', verdict: 'worse' })
    expect(faulty.judge.effectsOf(journey.id, subject.namespace)).toHaveLength(2)

    expect(await journey.wake()).toBe(409)
    expect(faulty.judge.effects(subject.namespace)).toHaveLength(2)
    const { spec } = await hands.deployment()
    if (action === 'scale_deployment') expect(spec?.replicas).toBe(replicas)
    else expect(spec?.template.spec?.containers[0]?.image).toBe(broken)
    await faulty.judge.ledgerIsWhole(journey.id)
  }, limitMs)
})

test('a zombie does not evict the pod that has taken the name of the one it was sent for (guard: UID precondition)', async () => {
  const subject = await hungStatefulPod(faulty.cluster)
  const hands = handsOn(faulty.cluster, subject.namespace)
  const podNamed = async () => (await hands.pods()).find(({ metadata }) => metadata?.name === subject.request.target.name)?.metadata
  const judged = (await podNamed())?.uid
  const journey = await stoppedAtItsCall(subject)
  standby = await faulty.standby()
  expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
  const newcomer = (await podNamed())?.uid
  expect(newcomer).not.toBe(judged)

  expect(await journey.wake()).toBe(409)
  expect(await podNamed()).toMatchObject({ uid: newcomer })
  expect((await podNamed())?.deletionTimestamp).toBeUndefined()
  const evictions = await eventually('both evictions are in the audit log', () => {
    const found = faulty.judge.attempts(subject.namespace)
    return found.length >= 2 && found
  })
  expect(evictions.map(({ responseStatus }) => responseStatus?.code).sort((a = 0, b = 0) => a - b)).toEqual([201, 409])
  for (const { requestObject } of evictions) expect(requestObject).toMatchObject({ deleteOptions: { preconditions: { uid: judged } } })
}, limitMs)
