import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectCluster } from '../../adapters/kubernetes/client.ts'
import { deniedBy } from '../../adapters/kubernetes/errors.ts'
import { actionNames } from '../../domain/remediation.ts'
import { stampAnnotation, withStamp } from '../../domain/stamp.ts'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { freeze, freezes, thawed, untilApplied } from '../helpers/freeze.ts'
import { startFaultyAegis, type FaultyAegis } from '../helpers/faulty-aegis.ts'
import { handsOn, subjectFor, type Subject } from '../helpers/subjects.ts'
import { auditEvents, eventually } from '../helpers/stack.ts'
import { stopAt } from './calls.ts'
import { begin, killed, within } from './crash-points.ts'

/** B8: after `applied` the cluster itself refuses, whoever sends and however long it slept. */
let faulty: FaultyAegis
beforeAll(async () => {
  faulty = await startFaultyAegis()
})
afterEach(async () => {
  for (const { freezeId, liftedAt } of (await freezes(faulty.operator)).items) if (liftedAt === null) await thawed(faulty, freezeId)
})
afterAll(() => faulty?.stop())

const limitMs = 90_000

/** Refused calls to one namespace, by the API server's log. */
const refused = (namespace: string) =>
  auditEvents(faulty.cluster, ({ userAgent, objectRef, responseStatus, requestURI }) =>
    (userAgent ?? '').startsWith('aegis-executor/') && objectRef?.namespace === namespace && responseStatus?.code !== undefined && responseStatus.code >= 400 && !requestURI.includes('dryRun'))

describe('a call that left its worker before the freeze is refused by the cluster (guard: admission)', () => {
  test.each(actionNames)('%s', async (action) => {
    const journey = await begin(faulty, await subjectFor(faulty.cluster, action))
    const stop = stopAt(faulty, journey, { call: 'kubernetes mutate', phase: 'before_send' })
    journey.go()
    await within(limitMs, 'the call is on its way', stop.reached)
    const { freezeId } = await freeze(faulty.operator)
    await untilApplied(faulty.operator, freezeId)
    stop.letGo('pass')
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'frozen', reason: 'frozen' })
    expect(faulty.judge.effects(journey.namespace)).toEqual([])
    expect(refused(journey.namespace)).toHaveLength(1) // and never tried again
    expect(await faulty.judge.intents(journey.id)).toMatchObject([{ phase: 'act', result: 'not_sent' }])
  }, limitMs)
})

test('a call whose worker died is fenced although the cluster is frozen, and the run ends (guard: fence)', async () => {
  const journey = await begin(faulty, await subjectFor(faulty.cluster, 'scale_deployment'))
  const stop = stopAt(faulty, journey, { call: 'kubernetes mutate', phase: 'before_send' })
  journey.go()
  await within(limitMs, 'the call is on its way', stop.reached)
  const { freezeId } = await freeze(faulty.operator)
  await untilApplied(faulty.operator, freezeId)
  await killed(faulty.worker)
  stop.letGo('cut')
  await faulty.worker.start()
  expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'frozen' })
  expect(await faulty.judge.intents(journey.id)).toMatchObject([{ result: 'fenced' }])
  expect(faulty.judge.stamps(journey.namespace)).toHaveLength(1)
  expect(faulty.judge.effects(journey.namespace)).toEqual([])
}, limitMs)

describe('with the worker\'s credentials, by hand', () => {
  test('a frozen cluster refuses every change and admits the fence', async () => {
    const { namespace } = await subjectFor(faulty.cluster, 'scale_deployment')
    const { freezeId } = await freeze(faulty.operator, { namespace })
    await untilApplied(faulty.operator, freezeId)
    const connection = connectCluster({ name: 'main', kubeconfig: faulty.cluster.executorKubeconfig, userAgent: 'curl/8', timeoutMs: 5_000 })
    const patch = (body: object) =>
      connection.request({ method: 'PATCH', path: `/apis/apps/v1/namespaces/${namespace}/deployments/checkout`, body, contentType: 'application/merge-patch+json' })
    const metadata = (phase: 'applied' | 'abandoned') => ({ annotations: { [stampAnnotation]: withStamp([], randomUUID(), phase) } })
    const scaled = await patch({ metadata: metadata('applied'), spec: { replicas: 5 } })
    expect([scaled.status >= 400, deniedBy(scaled)]).toEqual([true, 'aegis-executor-freeze'])
    expect((await patch({ metadata: metadata('abandoned') })).status).toBe(200)
    await connection.close()
  }, limitMs)
})

test('a freeze of one namespace leaves the others alone, and lifting it lets the next one through', async () => {
  const [here, there] = await Promise.all([subjectFor(faulty.cluster, 'scale_deployment'), subjectFor(faulty.cluster, 'scale_deployment')])
  const { freezeId } = await freeze(faulty.operator, { namespace: here.namespace })
  await untilApplied(faulty.operator, freezeId)
  const [frozen, healed] = await Promise.all([here, there].map(({ request }) => faulty.operator.remediate(request)))
  expect(await faulty.judge.closed(frozen!)).toMatchObject({ outcome: 'frozen' })
  expect(await faulty.judge.closed(healed!)).toMatchObject({ outcome: 'healed' })
  await thawed(faulty, freezeId)
  expect(await faulty.judge.closed(await faulty.operator.remediate(here.request))).toMatchObject({ outcome: 'healed' })
}, limitMs)

describe('a freeze of a policy', () => {
  const freezePolicy = (policy: string) => freeze(faulty.operator, { policy })
  test('stops what that policy is behind (guard: policy)', async () => {
    const { request, namespace } = await subjectFor(faulty.cluster, 'scale_deployment')
    await freezePolicy('crash-allow')
    expect(await faulty.judge.closed(await faulty.operator.remediate(request))).toMatchObject({ outcome: 'frozen' })
    expect(faulty.judge.effects(namespace)).toEqual([])
  }, limitMs)
  test('and nothing else', async () => {
    const { request } = await subjectFor(faulty.cluster, 'scale_deployment')
    await freezePolicy('crash-ask')
    expect(await faulty.judge.closed(await faulty.operator.remediate(request))).toMatchObject({ outcome: 'healed' })
  }, limitMs)
  test('refuses in the cluster the call of what it let go', async () => {
    const journey = await begin(faulty, await subjectFor(faulty.cluster, 'scale_deployment'))
    const stop = stopAt(faulty, journey, { call: 'kubernetes mutate', phase: 'before_send' })
    journey.go()
    await within(limitMs, 'the call is on its way', stop.reached)
    const { freezeId } = await freezePolicy('crash-allow')
    await untilApplied(faulty.operator, freezeId)
    stop.letGo('pass')
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'frozen' })
    expect(faulty.judge.effects(journey.namespace)).toEqual([])
  }, limitMs)
})

test('works with Temporal down', async () => {
  faulty.temporal.goDown()
  try {
    const { freezeId, answeredAtMs } = await freeze(faulty.operator)
    expect((await untilApplied(faulty.operator, freezeId)) - answeredAtMs).toBeLessThan(1_000)
  } finally {
    faulty.temporal.comeBack()
  }
}, limitMs)

test('every figure of Aegis that an alert asks for is one that a running process has', async () => {
  const processes = [faulty.aegis.decision, faulty.worker, faulty.aegis.guard]
  const told = (await Promise.all(processes.map(async ({ healthUrl }) => (await fetch(new URL('/metrics', healthUrl))).text()))).join('\n')
  const asked = readFileSync(join(checkout, 'deploy/alerts/aegis.yaml'), 'utf8').match(/\b(aegis|process)_[a-z_]+(?=[{)])/g) ?? []
  expect(asked.length).toBeGreaterThan(5)
  for (const figure of new Set(asked)) expect(told).toMatch(new RegExp(`^${figure}\\{`, 'm'))
  for (const service of ['aegis-decision', 'aegis-execution-main', 'aegis-guard']) expect(told).toContain(`process_start_time_seconds{service="${service}"}`)
})

describe('the guard', () => {
  test('is not needed for what has not been sent: the attempt asks the database (guard: freeze)', async () => {
    faulty.aegis.guard.kill('SIGKILL')
    const journey = await begin(faulty, await subjectFor(faulty.cluster, 'scale_deployment'))
    const stop = stopAt(faulty, journey, { call: 'kubernetes read', phase: 'before_send' })
    journey.go()
    await within(limitMs, 'the attempt reads its target', stop.reached)
    const { freezeId } = await freeze(faulty.operator)
    stop.letGo('pass')
    try {
      expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'frozen' })
      expect(faulty.judge.attempts(journey.namespace)).toEqual([])
    } finally {
      await faulty.aegis.guard.start()
      await untilApplied(faulty.operator, freezeId)
    }
  }, limitMs)

  test('that was away says so, and finds at its start what it missed', async () => {
    faulty.aegis.guard.kill('SIGKILL')
    const { freezeId } = await freeze(faulty.operator)
    expect((await freezes(faulty.operator)).items[0]?.clusters).toEqual([{ name: 'main', state: 'pending', at: null }])
    await faulty.aegis.guard.start()
    await untilApplied(faulty.operator, freezeId)
    faulty.aegis.guard.kill('SIGKILL')
    await faulty.operator.must('DELETE', `/api/v1/freeze/${freezeId}`)
    expect((await freezes(faulty.operator)).items[0]).toMatchObject({ freezeId, clusters: [{ state: 'pending' }] })
    await faulty.aegis.guard.start()
    await eventually('the cluster admits again', async () => (await freezes(faulty.operator)).items.length === 0)
  }, limitMs)

  test('keeps frozen what a restored database has lost, says so, and lets go once it is lifted by its id (guard: no silent thaw)', async () => {
    const subject: Subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const { freezeId } = await freeze(faulty.operator)
    await untilApplied(faulty.operator, freezeId)
    // A backup from before the freeze, put back: neither the freeze nor what the guard said of it is there.
    await faulty.judge.rows('delete from ledger.freeze where freeze_id = $1', [freezeId])
    await faulty.judge.rows('delete from ledger.freeze_applied where freeze_id = $1', [freezeId])
    faulty.aegis.guard.kill('SIGKILL')
    await faulty.aegis.guard.start()
    await eventually('the guard says what it keeps', async () => (await freezes(faulty.operator)).kept.some((kept) => kept.freezeId === freezeId && kept.keys.includes('freeze.all')))
    expect(await faulty.judge.closed(await faulty.operator.remediate(subject.request))).toMatchObject({ outcome: 'frozen' })
    expect(faulty.judge.effects(subject.namespace)).toEqual([])

    await faulty.operator.must('DELETE', `/api/v1/freeze/${freezeId}`)
    await eventually('nothing is kept and nothing refused', async () => {
      const { items, kept } = await freezes(faulty.operator)
      return items.length === 0 && kept.length === 0
    })
    expect(await faulty.judge.closed(await faulty.operator.remediate(subject.request))).toMatchObject({ outcome: 'healed' })
    expect((await handsOn(faulty.cluster, subject.namespace).deployment()).spec?.replicas).toBe(3)
  }, limitMs)
})
