import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { actionNames } from '../../domain/remediation.ts'
import { freePorts } from '../../sandbox/ports.ts'
import { stampAnnotation } from '../../domain/stamp.ts'
import { startTemporal } from '../../sandbox/servers/temporal.ts'
import { withResolvers } from '../../sandbox/faults/traps.ts'
import { startFaultyAegis, type FaultyAegis } from '../helpers/faulty-aegis.ts'
import { eventually, stack } from '../helpers/stack.ts'
import { byText, endState, handsOn, replicas, subjectFor, type Subject } from '../helpers/subjects.ts'
import { openTemporal, type TemporalDoor } from '../helpers/temporal.ts'
import { stopAt, type Journey, type Stop } from './calls.ts'
import { begin, within } from './crash-points.ts'

/** What becomes of a remediation whose run is terminated, reset or wiped: one terminal row, and no second effect. */
let faulty: FaultyAegis
let temporal: TemporalDoor

beforeAll(async () => {
  faulty = await startFaultyAegis()
  temporal = await openTemporal(stack.temporal.address)
})
afterAll(async () => {
  await temporal?.close()
  await faulty?.stop()
})

const limitMs = 60_000

async function heldAt(subject: Subject, call: 'kubernetes preflight' | 'kubernetes health'): Promise<{ journey: Journey; stop: Stop }> {
  const journey = await begin(faulty, subject)
  const stop = stopAt(faulty, journey, { call, phase: 'before_send' })
  journey.go()
  await within(limitMs, `${journey.id} comes to ${call}`, stop.reached)
  return { journey, stop }
}

describe('a call that wakes up after its run was closed changes nothing (guard: fence)', () => {
  test.each(actionNames)('%s', async (action) => {
    const subject = await subjectFor(faulty.cluster, action)
    const hands = handsOn(faulty.cluster, subject.namespace)
    const before = { spec: (await hands.deployment()).spec, pods: (await hands.pods()).map(({ metadata }) => metadata?.uid).sort(byText) }
    const journey = await begin(faulty, subject)
    const rule = { effective: true, path: new RegExp(`/namespaces/${subject.namespace}/`) }
    const [onItsWay, goOn] = [withResolvers<void>(), withResolvers<void>()]
    faulty.executor.arm({ ...rule, phase: 'before_send' }, () => {
      onItsWay.resolve()
      return goOn.promise
    })
    const arrived = faulty.executor.once({ ...rule, phase: 'after_send' })
    journey.go()
    await within(limitMs, 'the call is on its way', onItsWay.promise)
    await temporal.terminate(journey.id)
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'cancelled', reason: 'terminated', source: 'reconciler' })
    expect(await faulty.judge.intents(journey.id)).toMatchObject([{ phase: 'act', state: 'settled', result: 'fenced' }])

    goOn.resolve()
    expect((await within(limitMs, 'the call arrives', arrived)).status).toBe(409)
    expect(faulty.judge.effects(subject.namespace)).toEqual([])
    expect({ spec: (await hands.deployment()).spec, pods: (await hands.pods()).map(({ metadata }) => metadata?.uid).sort(byText) }).toEqual(before)
    await faulty.judge.ledgerIsWhole(journey.id)
  }, limitMs)
})

describe('a terminated run', () => {
  test('that had done nothing ends cancelled', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const { journey, stop } = await heldAt(subject, 'kubernetes preflight')
    await temporal.terminate(journey.id)
    stop.letGo('pass')
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'cancelled', reason: 'terminated', source: 'reconciler' })
    expect(faulty.judge.attempts(subject.namespace)).toEqual([])
    await faulty.judge.ledgerIsWhole(journey.id)
  }, limitMs)

  test.each(actionNames)('that had acted (%s) leaves its effect for a person, and the workload locked', async (action) => {
    const subject = await subjectFor(faulty.cluster, action)
    const { journey, stop } = await heldAt(subject, 'kubernetes health')
    await temporal.terminate(journey.id)
    stop.letGo('pass')
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'needs_human', reason: 'unverified', source: 'reconciler' })
    expect(faulty.judge.effectsOf(journey.id, subject.namespace)).toHaveLength(1)
    expect(await faulty.judge.rows('select state from ledger.claim where holder = $1', [journey.id])).toEqual([{ state: 'kept' }])
    await faulty.judge.ledgerIsWhole(journey.id)
  }, limitMs)
})

describe('a run reset to its beginning', () => {
  test('finds its change made and makes no other', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const { journey, stop } = await heldAt(subject, 'kubernetes health')
    await temporal.reset(journey.id)
    stop.letGo('pass')
    await faulty.judge.closed(journey.id)
    expect(faulty.judge.effectsOf(journey.id, subject.namespace)).toHaveLength(1)
    expect((await endState(faulty.cluster, subject, journey.id)).spec?.replicas).toBe(replicas + 1)
    await faulty.judge.ledgerIsWhole(journey.id)
  }, limitMs)

  test('does not act on a new plan either, where someone has changed the target since (guard: one intent for each phase)', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const hands = handsOn(faulty.cluster, subject.namespace)
    const { journey, stop } = await heldAt(subject, 'kubernetes health')
    // Its stamp goes too: while it is there, admission refuses a second change under it.
    await hands.patch({ metadata: { annotations: { [stampAnnotation]: null } }, spec: { replicas: 6 } })
    await temporal.reset(journey.id)
    stop.letGo('pass')
    await faulty.judge.closed(journey.id)
    const refused = await faulty.judge.rows(`select seq from ledger.audit_event where stream = $1 and step = 'recordIntent' and entry like '%other_plan%'`, [journey.id])
    expect(refused).toHaveLength(1)
    expect(faulty.judge.effectsOf(journey.id, subject.namespace)).toHaveLength(1)
    expect((await hands.deployment()).spec?.replicas).toBe(6)
    await faulty.judge.ledgerIsWhole(journey.id)
  }, limitMs)

  test('after it was closed does nothing and records nothing', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const id = await faulty.operator.remediate(subject.request)
    const ending = await faulty.judge.closed(id)
    const attempts = faulty.judge.attempts(subject.namespace).length
    const runId = await temporal.reset(id)
    const again = temporal.client.workflow.getHandle(id, runId)
    await eventually('the reset run has ended', async () => (await again.describe()).status.name === 'COMPLETED')
    expect(await again.result()).toBeNull()
    expect(await faulty.judge.terminals(id)).toEqual([ending])
    expect(faulty.judge.attempts(subject.namespace)).toHaveLength(attempts)
    await faulty.judge.ledgerIsWhole(id)
  }, limitMs)
})

test('a Temporal that comes back empty: what had acted is recorded once, what had not begun still runs, nothing acts twice', async () => {
  const [acted, waiting] = await Promise.all([subjectFor(faulty.cluster, 'scale_deployment'), subjectFor(faulty.cluster, 'scale_deployment')])
  const { journey, stop } = await heldAt(acted, 'kubernetes health')
  faulty.temporal.goDown()
  const later = await faulty.operator.remediate(waiting.request)
  stop.letGo('pass')
  const [port = 0, uiPort = 0] = await freePorts(2)
  const empty = await startTemporal({ directory: stack.directory, port, uiPort })
  try {
    faulty.temporal.redirect(empty.address)
    faulty.temporal.comeBack()
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'needs_human', reason: 'unverified', source: 'reconciler' })
    expect(await faulty.judge.closed(later)).toMatchObject({ outcome: 'healed' })
    for (const [id, { namespace }] of [[journey.id, acted], [later, waiting]] as const) {
      expect(faulty.judge.effectsOf(id, namespace)).toHaveLength(1)
      expect((await endState(faulty.cluster, { namespace }, id)).spec?.replicas).toBe(replicas + 1)
      await faulty.judge.ledgerIsWhole(id)
    }
  } finally {
    faulty.temporal.redirect(stack.temporal.address)
    process.kill(empty.pid, 'SIGKILL')
  }
}, 120_000)
