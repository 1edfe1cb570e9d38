import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { actionNames, type ActionName } from '../../domain/remediation.ts'
import { withResolvers } from '../../sandbox/faults/traps.ts'
import { startFaultyAegis, type FaultyAegis, type Standby } from '../helpers/faulty-aegis.ts'
import { broken, handsOn, hungStatefulPod, replicas, subjectFor, type Subject } from '../helpers/subjects.ts'
import { eventually } from '../helpers/stack.ts'
import { stopAt, type Journey } from './calls.ts'
import { begin, recordOf, within } from './crash-points.ts'

/**
 * X5: a worker is stopped while its call is on its way. Another finishes the remediation; then the call arrives, and the
 * first worker goes on where it was. What keeps both out is the resourceVersion and the UID in the call itself.
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

type Sleeper = { journey: Journey; wake(): Promise<number | undefined> }

/** Asked for; the database has said yes, the call has left, and now its worker sleeps and the call takes its time. */
async function stoppedOnItsWay(subject: Subject): Promise<Sleeper> {
  const { executor, worker, judge } = faulty
  const journey = await begin(faulty, subject)
  const rule = { effective: true, path: new RegExp(`/namespaces/${subject.namespace}/`) }
  const [asleep, goOn] = [withResolvers<void>(), withResolvers<void>()]
  executor.arm({ ...rule, phase: 'before_send' }, () => {
    worker.kill('SIGSTOP')
    asleep.resolve()
    return goOn.promise
  })
  const arrived = executor.once({ ...rule, phase: 'after_send' })
  journey.go()
  await within(30_000, 'the worker is stopped', asleep.promise)
  faulty.temporal.cut() // its polls go, or tasks would be handed to a sleeper
  expect(judge.attempts(subject.namespace)).toEqual([])
  const attempts = () => judge.rows(`select seq from ledger.audit_event where stream = $1 and step = 'executeAction'`, [journey.id])

  return {
    journey,
    /** What the API server said to the call; resolves when the sleeper, too, has come to the end of its attempt. */
    async wake() {
      const before = (await attempts()).length
      worker.kill('SIGCONT')
      goOn.resolve()
      const { status } = await within(30_000, 'the call arrives', arrived)
      await eventually('the sleeper has told of its attempt', async () => (await attempts()).length > before, 30_000)
      return status
    },
  }
}

describe('a zombie changes nothing once another worker has healed the workload (guard: resourceVersion)', () => {
  test.each(actionNames)('%s', async (action: ActionName) => {
    const { journey, wake } = await stoppedOnItsWay(await subjectFor(faulty.cluster, action))
    standby = await faulty.standby()
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
    const before = await recordOf(faulty, journey)
    expect(before.effects).toHaveLength(1)

    expect(await wake()).toBe(action === 'restart_pod' ? 404 : 409)
    expect(await recordOf(faulty, journey)).toEqual(before)
  }, limitMs)
})

describe('a zombie changes nothing once another worker has taken the change back (guard: resourceVersion)', () => {
  test.each(['scale_deployment', 'rollback_deployment'] as const)('%s', async (action) => {
    const subject = await subjectFor(faulty.cluster, action, { image: 'registry.example/checkout:1-fragile' })
    const hands = handsOn(faulty.cluster, subject.namespace)
    const { journey, wake } = await stoppedOnItsWay(subject)
    const verifying = stopAt(faulty, journey, { call: 'kubernetes health', phase: 'before_send' })
    standby = await faulty.standby()
    await within(limitMs, 'the standby verifies', verifying.reached)
    await hands.spoil()
    verifying.letGo('pass')
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'undone', verdict: 'worse' })
    expect(faulty.judge.effectsOf(journey.id, subject.namespace)).toHaveLength(2)

    expect(await wake()).toBe(409)
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
  const { journey, wake } = await stoppedOnItsWay(subject)
  standby = await faulty.standby()
  expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
  const newcomer = (await podNamed())?.uid
  expect(newcomer).not.toBe(judged)

  expect(await wake()).toBe(409)
  expect(await podNamed()).toMatchObject({ uid: newcomer })
  expect((await podNamed())?.deletionTimestamp).toBeUndefined()
  const evictions = await eventually('both evictions are in the audit log', () => {
    const found = faulty.judge.attempts(subject.namespace)
    return found.length >= 2 && found
  })
  expect(evictions.map(({ responseStatus }) => responseStatus?.code).sort((a = 0, b = 0) => a - b)).toEqual([201, 409])
  for (const { requestObject } of evictions) expect(requestObject).toMatchObject({ deleteOptions: { preconditions: { uid: judged } } })
}, limitMs)
