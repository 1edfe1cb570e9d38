import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker'
import type { RemediationDetail } from '../../api/remediation-views.ts'
import { decideQueue, executeQueue, remediateWorkflow } from '../../temporal/names.ts'
import { approveSignal, answerUpdate } from '../../workflows/messages.ts'
import { startFaultyAegis, type FaultyAegis } from '../helpers/faulty-aegis.ts'
import { operator } from '../helpers/operator.ts'
import { stack } from '../helpers/stack.ts'
import { handsOn, replicas, subjectFor, type Subject } from '../helpers/subjects.ts'
import { openTemporal, type TemporalDoor } from '../helpers/temporal.ts'
import { stopAt } from './calls.ts'
import { begin, within } from './crash-points.ts'

/** Someone who reaches Temporal's port is no authority: every fact that matters is a committed row. */
let faulty: FaultyAegis
let temporal: TemporalDoor
let connection: NativeConnection
let workflowBundle: WorkflowBundle

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } }, shutdownSignals: [] })
  faulty = await startFaultyAegis()
  temporal = await openTemporal(stack.temporal.address)
  connection = await NativeConnection.connect({ address: stack.temporal.address })
  workflowBundle = await bundleWorkflowCode({ workflowsPath: fileURLToPath(new URL('./forged-workflow.ts', import.meta.url)), logger: new DefaultLogger('ERROR') })
})
afterAll(async () => {
  await connection?.close()
  await temporal?.close()
  await faulty?.stop()
})

const limitMs = 60_000

/** Has one step of Aegis's done, with an input of the intruder's choice. A refusal may come as a result or as a failure. */
async function forge(queue: string, step: string, input: unknown): Promise<{ result?: unknown; failure?: unknown }> {
  const taskQueue = `forged-${randomUUID()}`
  const worker = await Worker.create({ connection, taskQueue, workflowBundle })
  const running = () => temporal.client.workflow.execute('forged', { workflowId: randomUUID(), taskQueue, args: [{ taskQueue: queue, step, input }] })
  return worker.runUntil(() => running().then((result) => ({ result }), (failure: unknown) => ({ failure })))
}

async function waitingForPeople(): Promise<{ subject: Subject; id: string; view: RemediationDetail }> {
  const subject = await subjectFor(faulty.cluster, 'scale_deployment', { prefix: 'crash-ask' })
  const id = await faulty.operator.remediate(subject.request)
  const view = await faulty.operator.until(id, 'waits for approval', ({ phase, plan }) => phase === 'awaiting_approval' && plan !== null)
  return { subject, id, view }
}

async function untouched({ namespace }: Subject): Promise<void> {
  expect(faulty.judge.attempts(namespace)).toEqual([])
  expect((await handsOn(faulty.cluster, namespace).deployment()).spec?.replicas).toBe(replicas)
}

describe('a forged task', () => {
  const executeMain = executeQueue('main')

  test('to record or to act without a warrant changes nothing (guard: warrant)', async () => {
    const { subject, id, view } = await waitingForPeople()
    const input = { id, cluster: 'main', digest: view.plan?.digest, phase: 'act', warrantId: randomUUID(), claimToken: 1, runId: randomUUID() }
    for (const step of ['validateSignature', 'recordIntent', 'executeAction']) {
      expect(JSON.stringify(await forge(executeMain, step, input))).toMatch(/warrant_unknown|no_intent/)
    }
    expect(await faulty.judge.intents(id)).toEqual([])
    expect((await forge(decideQueue, 'issueWarrant', { ...input, decisionId: view.decision?.decisionId })).failure).toBeDefined()
    expect(await faulty.judge.rows('select warrant_id from ledger.warrant where id = $1', [id])).toEqual([])
    await untouched(subject)
  }, limitMs)

  test("to act with another remediation's warrant changes nothing (guard: warrant)", async () => {
    const healed = await subjectFor(faulty.cluster, 'scale_deployment')
    const other = await faulty.operator.remediate(healed.request)
    await faulty.judge.closed(other)
    const [warrant] = await faulty.judge.rows<{ warrant_id: string }>('select warrant_id from ledger.warrant where id = $1', [other])
    const { subject, id, view } = await waitingForPeople()
    const input = { id, cluster: 'main', digest: view.plan?.digest, phase: 'act', warrantId: warrant?.warrant_id, claimToken: 1, runId: randomUUID() }
    for (const step of ['validateSignature', 'recordIntent', 'executeAction']) {
      expect(JSON.stringify(await forge(executeMain, step, input))).toContain('warrant_other_remediation')
    }
    expect(await faulty.judge.intents(id)).toEqual([])
    await untouched(subject)
  }, limitMs)

  test("with a claim token that is not the holder's changes nothing (guard: claim token)", async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const journey = await begin(faulty, subject)
    const stop = stopAt(faulty, journey, { call: 'temporal complete(recordIntent)', phase: 'before_send' })
    journey.go()
    await within(limitMs, 'the intent is on record', stop.reached)
    const [intent] = await faulty.judge.rows<{ warrant_id: string; plan_digest: string; claim_token: string }>('select * from ledger.intent where id = $1', [journey.id])
    const stale = Number(intent?.claim_token) - 1
    const input = { id: journey.id, cluster: 'main', digest: intent?.plan_digest, phase: 'act', warrantId: intent?.warrant_id, claimToken: stale }
    expect(JSON.stringify(await forge(executeMain, 'executeAction', input))).toContain('claim_lost')
    expect(faulty.judge.attempts(subject.namespace)).toEqual([])
    stop.letGo('pass')
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
    expect(faulty.judge.effectsOf(journey.id, subject.namespace)).toHaveLength(1)
  }, limitMs)

  test('that repeats a whole remediation after its end changes nothing (guards: terminal row, settled intent)', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const hands = handsOn(faulty.cluster, subject.namespace)
    const id = await faulty.operator.remediate(subject.request)
    const ending = await faulty.judge.closed(id)
    await hands.scale(replicas) // someone takes it back, so that the action would do something again
    const [warrant] = await faulty.judge.rows<{ warrant_id: string; plan_digest: string }>('select warrant_id, plan_digest from ledger.warrant where id = $1', [id])
    const input = { id, cluster: 'main', digest: warrant?.plan_digest, phase: 'act', warrantId: warrant?.warrant_id, claimToken: 1, runId: randomUUID() }
    for (const step of ['recordIntent', 'executeAction', 'fence']) await forge(executeMain, step, input)
    expect((await hands.deployment()).spec?.replicas).toBe(replicas)
    expect(faulty.judge.attempts(subject.namespace)).toHaveLength(1)
    expect(await faulty.judge.terminals(id)).toEqual([ending])
  }, limitMs)

  test('to take back a change that nobody found wanting gets no warrant (guard: verdict)', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const journey = await begin(faulty, subject)
    const stop = stopAt(faulty, journey, { call: 'kubernetes health', phase: 'before_send' })
    journey.go()
    await within(limitMs, 'it is being verified', stop.reached)
    const [intent] = await faulty.judge.rows<{ plan_digest: string }>('select plan_digest from ledger.intent where id = $1', [journey.id])
    const { decision } = await faulty.operator.show(journey.id)
    const input = { id: journey.id, cluster: 'main', digest: intent?.plan_digest, phase: 'undo', decisionId: decision?.decisionId }
    expect((await forge(decideQueue, 'issueWarrant', input)).failure).toBeDefined()
    expect(await faulty.judge.rows(`select warrant_id from ledger.warrant where id = $1 and phase = 'undo'`, [journey.id])).toEqual([])
    stop.letGo('pass')
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
    expect(faulty.judge.effectsOf(journey.id, subject.namespace)).toHaveLength(1)
  }, limitMs)

  test.each(['reconciler', 'workflow'])('to close what is at work, as the %s and bound to nothing, is refused (guard: a run that is alive)', async (source) => {
    const { subject, id } = await waitingForPeople()
    const lies = [['healed', 'verified'], ['declined', 'rejected'], ['cancelled', 'terminated'], ['blocked', 'run_lost'], ['needs_human', 'unverified']] as const
    for (const [outcome, reason] of lies) {
      const ending = { outcome, reason, message: 'all is well', verdict: 'better' }
      expect((await forge(decideQueue, 'close', { id, cluster: 'main', ending, runId: randomUUID(), firstRunId: null, source })).failure).toBeDefined()
    }
    expect(JSON.stringify(await forge(decideQueue, 'judgeLost', { id, cluster: 'main', lost: 'terminated' }))).toContain('run_alive')
    expect(await faulty.judge.terminals(id)).toEqual([])
    await faulty.operator.must('POST', `/api/v1/remediations/${id}/cancel`, { comment: 'enough' })
    expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'cancelled' })
    await untouched(subject)
  }, limitMs)

  test.each([['declined', 'rejected'], ['denied', 'explicit_deny'], ['observed', 'mode_observe'], ['healed', 'verified']])('to close as %s, under the name of the bound run, goes to a person when no row says so (guard: rows of an ending)', async (outcome, reason) => {
    const { id } = await waitingForPeople()
    const [bound] = await faulty.judge.rows<{ first_run_id: string }>('select first_run_id from ledger.request where id = $1', [id])
    expect(bound?.first_run_id).toBeTruthy()
    const ending = { outcome, reason, message: 'rejected by bob', verdict: 'better' }
    await forge(decideQueue, 'close', { id, cluster: 'main', ending, runId: randomUUID(), firstRunId: bound?.first_run_id, source: 'workflow' })
    expect(await faulty.judge.terminals(id)).toMatchObject([{ outcome: 'needs_human', reason: 'unverified' }])
  }, limitMs)

  test('to verify a change that was not made says nothing (guard: act on record)', async () => {
    const { subject, id, view } = await waitingForPeople()
    const input = { id, cluster: 'main', digest: view.plan?.digest, startMs: 0, settleMs: 0, timeoutMs: 0 }
    expect(JSON.stringify(await forge(executeMain, 'verify', input))).toContain('act_missing')
    expect(await faulty.judge.rows('select verdict from ledger.verification where id = $1', [id])).toEqual([])
    expect((await faulty.operator.show(id)).phase).toBe('awaiting_approval')
    await untouched(subject)
  }, limitMs)

  test('to close writes no second terminal row (guard: terminal row)', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const id = await faulty.operator.remediate(subject.request)
    const ending = await faulty.judge.closed(id)
    const lie = { outcome: 'denied', reason: 'forged', message: 'nothing happened', verdict: null }
    const { outcome, reason, verdict, message } = ending
    const answer = await forge(decideQueue, 'close', { id, cluster: 'main', ending: lie, runId: randomUUID(), source: 'workflow' })
    expect(answer.result).toMatchObject({ ending: { outcome, reason, verdict, message } })
    expect(await faulty.judge.terminals(id)).toEqual([ending])
    await faulty.judge.ledgerIsWhole(id)
  }, limitMs)
})

describe('a forged workflow', () => {
  const start = (id: string, workflowId: string) =>
    temporal.client.workflow.execute(remediateWorkflow, { workflowId, taskQueue: decideQueue, args: [{ id, cluster: 'main', firstLookMs: 10_000 }] })

  test('for a request that nobody made does nothing', async () => {
    expect(await start(randomUUID(), randomUUID())).toBeNull()
  }, limitMs)

  test('beside the real one, or after it, does nothing', async () => {
    const { subject, id } = await waitingForPeople()
    expect(await start(id, randomUUID())).toBeNull()
    await faulty.operator.must('POST', `/api/v1/remediations/${id}/cancel`, { comment: 'enough' })
    const ending = await faulty.judge.closed(id)
    expect(await start(id, randomUUID())).toBeNull()
    expect(await faulty.judge.terminals(id)).toEqual([ending])
    await untouched(subject)
  }, limitMs)
})

test('a forged approval is refused and recorded, and the wait goes on', async () => {
  const { subject, id } = await waitingForPeople()
  const other = await waitingForPeople()
  const robin = await faulty.operator.another('robin', ['approver'])
  await operator(robin.url, robin.key).must('POST', `/api/v1/remediations/${other.id}/approve`, { planDigest: other.view.plan?.digest, comment: 'go' })
  const [real] = await faulty.judge.rows<{ answer_id: string }>('select answer_id from ledger.answer where id = $1', [other.id])
  expect(await faulty.judge.closed(other.id)).toMatchObject({ outcome: 'healed' })

  const handle = temporal.handle(id)
  await handle.signal(approveSignal, { answerId: randomUUID() })
  await handle.signal(approveSignal, { answerId: real?.answer_id ?? '' })
  await handle.executeUpdate(answerUpdate, { args: [{ kind: 'approve', answerId: randomUUID() }] })
  const refused = () => faulty.judge.rows(`select key from ledger.audit_event where stream = $1 and entry like '%checkAnswer%' and entry like '%refused%'`, [id])
  await faulty.operator.until(id, 'has refused all three', ({ steps }) => steps.filter(({ step }) => step === 'checkAnswer').length >= 3)
  expect((await refused()).length).toBeGreaterThanOrEqual(3)
  expect((await faulty.operator.show(id)).phase).toBe('awaiting_approval')
  await untouched(subject)

  await faulty.operator.must('POST', `/api/v1/remediations/${id}/cancel`, { comment: 'enough' })
  expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'cancelled' })
  await untouched(subject)
}, limitMs)
