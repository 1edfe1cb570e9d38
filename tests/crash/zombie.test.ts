import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { actionNames, type ActionName } from '../../domain/remediation.ts'
import { startFaultyAegis, type FaultyAegis, type Standby } from '../helpers/faulty-aegis.ts'
import { broken, handsOn, hungStatefulPod, replicas, subjectFor, type Subject } from '../helpers/subjects.ts'
import { eventually } from '../helpers/stack.ts'
import { stopAt, type Journey } from './calls.ts'
import { begin, recordOf, within } from './crash-points.ts'

/**
 * X5: a worker is stopped between its last word with the database and its call. Another finishes the remediation; then
 * the first wakes up and makes its call. What keeps it out is the resourceVersion and the UID in the call itself.
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

/** Asked for, and its worker stopped when the database has said yes and nothing is sent yet. */
async function stoppedBeforeItsCall(subject: Subject): Promise<Journey> {
  const journey = await begin(faulty, subject)
  const commitOf = { sql: /update ledger\.intent set state = 'sent'/, values: [new RegExp(journey.id)] }
  const stopped = faulty.postgres.once({ commitOf, phase: 'after_send' }, () => faulty.worker.kill('SIGSTOP'))
  journey.go()
  await within(limitMs, 'the worker is stopped', stopped)
  faulty.temporal.cut() // its polls go, or tasks would be handed to a sleeper
  expect(faulty.judge.attempts(subject.namespace)).toEqual([])
  return journey
}

/** The sleeper's call, and what the API server said to it. */
async function wake({ namespace }: Journey): Promise<number | undefined> {
  const late = faulty.executor.once({ effective: true, path: new RegExp(`/namespaces/${namespace}/`), phase: 'after_reply' })
  faulty.worker.kill('SIGCONT')
  return (await within(limitMs, 'the sleeper makes its call', late)).status
}

describe('a zombie changes nothing once another worker has healed the workload (guard: resourceVersion)', () => {
  test.each(actionNames)('%s', async (action: ActionName) => {
    const journey = await stoppedBeforeItsCall(await subjectFor(faulty.cluster, action))
    standby = await faulty.standby()
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
    const before = await recordOf(faulty, journey)
    expect(before.effects).toHaveLength(1)

    expect(await wake(journey)).toBe(action === 'restart_pod' ? 404 : 409)
    expect(await recordOf(faulty, journey)).toEqual(before)
  }, limitMs)
})

describe('a zombie changes nothing once another worker has taken the change back (guard: resourceVersion)', () => {
  test.each(['scale_deployment', 'rollback_deployment'] as const)('%s', async (action) => {
    const subject = await subjectFor(faulty.cluster, action, { image: 'registry.example/checkout:1-fragile' })
    const hands = handsOn(faulty.cluster, subject.namespace)
    const journey = await stoppedBeforeItsCall(subject)
    const verifying = stopAt(faulty, journey, { call: 'kubernetes health', phase: 'before_send' })
    standby = await faulty.standby()
    await within(limitMs, 'the standby verifies', verifying.reached)
    await hands.spoil()
    verifying.letGo('pass')
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'undone', verdict: 'worse' })
    expect(faulty.judge.effectsOf(journey.id, subject.namespace)).toHaveLength(2)

    expect(await wake(journey)).toBe(409)
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
  const journey = await stoppedBeforeItsCall(subject)
  standby = await faulty.standby()
  expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
  const newcomer = (await podNamed())?.uid
  expect(newcomer).not.toBe(judged)

  expect(await wake(journey)).toBe(409)
  expect(await podNamed()).toMatchObject({ uid: newcomer })
  expect((await podNamed())?.deletionTimestamp).toBeUndefined()
  const evictions = await eventually('both evictions are in the audit log', () => {
    const found = faulty.judge.attempts(subject.namespace)
    return found.length >= 2 && found
  })
  expect(evictions.map(({ responseStatus }) => responseStatus?.code).sort((a = 0, b = 0) => a - b)).toEqual([201, 409])
  for (const { requestObject } of evictions) expect(requestObject).toMatchObject({ deleteOptions: { preconditions: { uid: judged } } })
}, limitMs)
