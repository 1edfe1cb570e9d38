import { PolicyV1Api } from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startFaultyAegis, type FaultyAegis } from '../helpers/faulty-aegis.ts'
import { eventually, kubeConfig } from '../helpers/stack.ts'
import { endState, handsOn, name, replicas, subjectFor, type Subject } from '../helpers/subjects.ts'
import { stopAt, type CallName, type Journey } from './calls.ts'
import { begin, within } from './crash-points.ts'

/** What is away when: PostgreSQL, Temporal, the cluster. Nothing is half done, nothing twice. */
const limitMs = 90_000
let faulty: FaultyAegis

/** One effect, after `sinceMs`, and the end state of an undisturbed run. */
async function healedOnce(id: string, { namespace }: Subject, sinceMs = 0): Promise<void> {
  expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'healed' })
  const [effect, ...others] = faulty.judge.effectsOf(id, namespace)
  expect(others).toEqual([])
  expect(Date.parse(effect?.requestReceivedTimestamp ?? '')).toBeGreaterThanOrEqual(sinceMs)
  expect((await endState(faulty.cluster, { namespace }, id)).spec?.replicas).toBe(replicas + 1)
  await faulty.judge.ledgerIsWhole(id)
}

async function heldBefore(subject: Subject, call: CallName): Promise<{ journey: Journey; letGo(): void }> {
  const journey = await begin(faulty, subject)
  const stop = stopAt(faulty, journey, { call, phase: 'before_send' })
  journey.go()
  await within(limitMs, `${journey.id} comes to ${call}`, stop.reached)
  return { journey, letGo: () => stop.letGo('cut') }
}

describe('an outage that ends', () => {
  beforeAll(async () => {
    faulty = await startFaultyAegis()
  })
  afterAll(() => faulty?.stop())

  test('PostgreSQL down: 503 with Retry-After, and nothing is kept or touched', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    faulty.postgres.goDown()
    const refused = await faulty.operator.ask('POST', '/api/v1/remediations', subject.request)
    faulty.postgres.comeBack()
    expect(refused.status).toBe(503)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await faulty.judge.rows('select id from ledger.request where namespace = $1', [subject.namespace])).toEqual([])
    expect(faulty.judge.attempts(subject.namespace)).toEqual([])
    const id = await eventually('it takes requests again', () => faulty.operator.remediate(subject.request))
    await healedOnce(id, subject)
  }, limitMs)

  test.each(['postgres recordIntent', 'postgres beginAttempt'] as const)('PostgreSQL lost at %s: no call before it is back', async (call) => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const { journey, letGo } = await heldBefore(subject, call)
    faulty.postgres.goDown()
    letGo()
    await retriesInVain()
    expect(faulty.judge.attempts(subject.namespace)).toEqual([])
    const backMs = Date.now()
    faulty.postgres.comeBack()
    await healedOnce(journey.id, subject, backMs)
  }, limitMs)

  test('PostgreSQL lost between the change and its record: the run stays open until it is recorded', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const { journey, letGo } = await heldBefore(subject, 'postgres settleIntent')
    faulty.postgres.goDown()
    letGo()
    await retriesInVain()
    expect(await faulty.judge.terminals(journey.id)).toEqual([])
    faulty.postgres.comeBack()
    await healedOnce(journey.id, subject)
  }, limitMs)

  /** The worker has tried again and was turned away: its readiness, which asks the database, says so. */
  const retriesInVain = () => eventually('the worker is not ready', async () => !(await fetch(faulty.worker.healthUrl)).ok)

  test('Temporal down: accepted with 202, and done when it is back', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    faulty.temporal.goDown()
    const accepted = await faulty.operator.ask('POST', '/api/v1/remediations', subject.request)
    expect(accepted.status).toBe(202)
    expect(faulty.judge.attempts(subject.namespace)).toEqual([])
    const backMs = Date.now()
    faulty.temporal.comeBack()
    await healedOnce(String(accepted.body['id']), subject, backMs)
  }, limitMs)

  test('Temporal lost after the change and before its report: it is reported once it is back, and not made again', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const { journey, letGo } = await heldBefore(subject, 'temporal complete(executeAction)')
    faulty.temporal.goDown()
    letGo()
    faulty.temporal.comeBack()
    await healedOnce(journey.id, subject)
  }, limitMs)

  test('the cluster down: accepted with 202, and done when it is back', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    for (const proxy of [faulty.executor, faulty.observer]) proxy.goDown()
    const accepted = await faulty.operator.ask('POST', '/api/v1/remediations', subject.request)
    expect(accepted.status).toBe(202)
    const id = String(accepted.body['id'])
    await faulty.operator.until(id, 'has tried to look', ({ steps }) => steps.some(({ result }) => result === 'failed'))
    const backMs = Date.now()
    for (const proxy of [faulty.executor, faulty.observer]) proxy.comeBack()
    await healedOnce(id, subject, backMs)
  }, limitMs)

  test('the cluster lost with the answer to the call: one effect', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const journey = await begin(faulty, subject)
    faulty.executor.arm({ effective: true, path: new RegExp(`/namespaces/${subject.namespace}/`), phase: 'after_send' }, () => {
      faulty.executor.goDown()
      return 'cut'
    })
    journey.go()
    await faulty.operator.until(journey.id, 'has failed to hear', ({ steps }) => steps.some(({ step, result }) => step === 'executeAction' && result === 'failed'))
    faulty.executor.comeBack()
    await healedOnce(journey.id, subject)
  }, limitMs)
})

describe('an outage that outlasts the deadline ends blocked, and stays so', () => {
  beforeAll(async () => {
    faulty = await startFaultyAegis({ env: { AEGIS_DEADLINE_MS: '10000' } })
  })
  afterAll(() => faulty?.stop())

  /** Once all is back, another remediation is led to its end: time enough for anything late to land. */
  async function nothingFollows(id: string, subject: Subject): Promise<void> {
    const ending = await faulty.judge.closed(id)
    const next = await subjectFor(faulty.cluster, 'scale_deployment')
    await faulty.judge.closed(await faulty.operator.remediate(next.request))
    expect(await faulty.judge.terminals(id)).toEqual([ending])
    expect(faulty.judge.effects(subject.namespace)).toEqual([])
    await faulty.judge.ledgerIsWhole(id)
  }

  test('the cluster', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    for (const proxy of [faulty.executor, faulty.observer]) proxy.goDown()
    const id = await faulty.operator.remediate(subject.request)
    expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'blocked' })
    for (const proxy of [faulty.executor, faulty.observer]) proxy.comeBack()
    await nothingFollows(id, subject)
  }, limitMs)

  test('Temporal', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    faulty.temporal.goDown()
    const id = await faulty.operator.remediate(subject.request)
    expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'blocked', reason: 'never_started', source: 'reconciler' })
    faulty.temporal.comeBack()
    await nothingFollows(id, subject)
  }, limitMs)

  test('a PodDisruptionBudget', async () => {
    const subject = await subjectFor(faulty.cluster, 'restart_pod')
    const { namespace } = subject
    const api = kubeConfig(faulty.cluster.kubeconfig).makeApiClient(PolicyV1Api)
    const spec = { minAvailable: replicas, selector: { matchLabels: { app: name } } }
    await api.createNamespacedPodDisruptionBudget({ namespace, body: { metadata: { name }, spec } })
    await eventually('the budget is counted', async () => ((await api.readNamespacedPodDisruptionBudget({ name, namespace })).status?.observedGeneration ?? 0) > 0)
    const id = await faulty.operator.remediate(subject.request)
    expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'blocked', reason: 'pdb_exhausted' })
    expect((await handsOn(faulty.cluster, namespace).pods()).map(({ metadata }) => metadata?.name)).toContain(subject.request.target.name)
    await nothingFollows(id, subject)
  }, limitMs)
})
