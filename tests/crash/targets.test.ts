import { AutoscalingV2Api, PolicyV1Api } from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { FaultClass } from '../../domain/remediation.ts'
import type { Act } from '../../sandbox/faults/traps.ts'
import { query } from '../../sandbox/servers/postgres.ts'
import { startFaultyAegis, type FaultyAegis } from '../helpers/faulty-aegis.ts'
import { eventually, kubeConfig } from '../helpers/stack.ts'
import { administrator, broken, deploymentBody, endState, good, handsOn, name, replicas, subjectFor, type Subject } from '../helpers/subjects.ts'
import { calls, stopAt, type Journey } from './calls.ts'
import { begin, within } from './crash-points.ts'

/** X7 and its neighbours: a target that is not, or no longer, what was judged. */
let faulty: FaultyAegis

beforeAll(async () => {
  faulty = await startFaultyAegis()
})
afterAll(() => faulty?.stop())

const limitMs = 60_000

/** Lets `meddle` happen after the attempt's one look at the target, before its call. */
async function betweenLookAndCall(subject: Subject, meddle: Act<unknown>): Promise<Journey> {
  const journey = await begin(faulty, subject)
  calls['postgres beginAttempt'](faulty, journey)('after_send', meddle)
  journey.go()
  return journey
}

/** What the API server answered to the calls that were meant, in their order. */
const answers = ({ namespace }: Journey) => faulty.judge.attempts(namespace).map(({ responseStatus }) => responseStatus?.code)

describe('what was wrong is so no more when the attempt looks (guard: recovered)', () => {
  /** Asked for because of `fault`, or by a person without one. Holds the attempt before its look until it is well. */
  async function recoveredMeanwhile(subject: Subject, fault: FaultClass | null, recovered: () => Promise<unknown>): Promise<Journey> {
    const journey = await begin(faulty, subject)
    const planned = stopAt(faulty, journey, { call: 'kubernetes preflight', phase: 'before_send' })
    const looking = stopAt(faulty, journey, { call: 'kubernetes read', phase: 'before_send' })
    journey.go()
    await within(limitMs, 'it is planned', planned.reached)
    if (fault) await query(faulty.database.ownerUrl, `update ledger.request set fault = '${fault}' where id = '${journey.id}'`)
    planned.letGo('pass')
    await within(limitMs, 'the attempt looks', looking.reached)
    await recovered()
    looking.letGo('pass')
    return journey
  }

  /** A pod that hangs, and is asked to be restarted. */
  async function hungPod() {
    const { namespace, request } = await subjectFor(faulty.cluster, 'scale_deployment', { image: 'registry.example/checkout:1-fragile' })
    const hands = handsOn(faulty.cluster, namespace)
    await hands.spoil()
    const [pod] = await hands.pods()
    const subject: Subject = { action: 'restart_pod', namespace, request: { ...request, action: 'restart_pod', target: { ...request.target, kind: 'Pod', name: pod?.metadata?.name ?? '' }, parameters: {} } }
    return { subject, hands }
  }

  test('a pod that has become ready is not evicted', async () => {
    const { subject, hands } = await hungPod()
    const journey = await recoveredMeanwhile(subject, 'stuck_pod', () => hands.recover())
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'no_action_needed', reason: 'fault_gone' })
    expect(faulty.judge.attempts(subject.namespace)).toEqual([])
  }, limitMs)

  test('what a person asks for is done all the same', async () => {
    const { subject, hands } = await hungPod()
    const journey = await recoveredMeanwhile(subject, null, () => hands.recover())
    await faulty.judge.closed(journey.id)
    expect(faulty.judge.effects(subject.namespace)).toHaveLength(1)
  }, limitMs)

  test('a release that has come up is not rolled back', async () => {
    const { namespace, request } = await subjectFor(faulty.cluster, 'scale_deployment')
    const hands = handsOn(faulty.cluster, namespace)
    await hands.release('registry.example/checkout:2-slow')
    // The last of its pods is on its way: a call is held no longer than its own timeout.
    await eventually('all of the release has begun', async () => {
      const { metadata, status } = await hands.deployment()
      return status?.observedGeneration === metadata?.generation && status?.updatedReplicas === replicas
    })
    const subject: Subject = { action: 'rollback_deployment', namespace, request: { ...request, action: 'rollback_deployment', parameters: {} } }
    const journey = await recoveredMeanwhile(subject, 'stuck_rollout', () => hands.untilComplete())
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'no_action_needed', reason: 'fault_gone' })
    expect(faulty.judge.attempts(namespace)).toEqual([])
    expect((await hands.deployment()).spec?.template.spec?.containers[0]?.image).toContain('2-slow')
  }, limitMs)
})

describe('drift between the look and the call (guard: resourceVersion)', () => {
  test('someone else scaled it: theirs stands', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const hands = handsOn(faulty.cluster, subject.namespace)
    const journey = await betweenLookAndCall(subject, async () => void (await hands.scale(7)))
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'overtaken' })
    expect(faulty.judge.effects(subject.namespace)).toEqual([])
    expect(answers(journey)[0]).toBe(409)
    expect((await hands.deployment()).spec?.replicas).toBe(7)
    await faulty.judge.ledgerIsWhole(journey.id)
  }, limitMs)

  test('someone else released a version: theirs stands', async () => {
    const subject = await subjectFor(faulty.cluster, 'rollback_deployment')
    const hands = handsOn(faulty.cluster, subject.namespace)
    const journey = await betweenLookAndCall(subject, async () => void (await hands.release('registry.example/checkout:3')))
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'overtaken' })
    expect(faulty.judge.effects(subject.namespace)).toEqual([])
    expect((await hands.deployment()).spec?.template.spec?.containers[0]?.image).toBe('registry.example/checkout:3')
  }, limitMs)

  test('only a label moved: one more attempt, and one effect', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const journey = await betweenLookAndCall(subject, async () => {
      await handsOn(faulty.cluster, subject.namespace).patch({ metadata: { labels: { moved: 'yes' } } })
    })
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
    expect(answers(journey)).toEqual([409, 200])
    expect(faulty.judge.effectsOf(journey.id, subject.namespace)).toHaveLength(1)
    expect((await endState(faulty.cluster, subject, journey.id)).spec?.replicas).toBe(replicas + 1)
  }, limitMs)
})

describe('another object under the same name (guard: UID)', () => {
  test.each(['scale_deployment', 'rollback_deployment'] as const)('%s leaves the newcomer alone, and its call named the one that was judged', async (action) => {
    const subject = await subjectFor(faulty.cluster, action)
    const { apps } = administrator(faulty.cluster)
    const hands = handsOn(faulty.cluster, subject.namespace)
    const judged = (await hands.deployment()).metadata?.uid
    const journey = await betweenLookAndCall(subject, async () => {
      await apps.deleteNamespacedDeployment({ name, namespace: subject.namespace })
      await eventually('the old one is gone', () => hands.deployment().then(() => false, () => true))
      await hands.deploy(deploymentBody(good))
    })
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'overtaken' })
    expect(faulty.judge.effects(subject.namespace)).toEqual([])
    expect((await hands.deployment()).spec?.replicas).toBe(replicas)
    const [call] = faulty.judge.attempts(subject.namespace)
    expect([409, 422]).toContain(call?.responseStatus?.code)
    expect(JSON.stringify(call?.requestObject)).toContain(judged)
  }, limitMs)
})

describe('every call names what it was judged for (guards: UID precondition, resourceVersion, stamp)', () => {
  test.each([
    ['scale_deployment', { metadata: { uid: expect.any(String), resourceVersion: expect.stringMatching(/^\d+$/), annotations: expect.anything() } }],
    ['restart_pod', { deleteOptions: { preconditions: { uid: expect.any(String), resourceVersion: expect.stringMatching(/^\d+$/) } }, metadata: { annotations: expect.anything() } }],
    ['rollback_deployment', expect.arrayContaining([
      { op: 'test', path: '/metadata/uid', value: expect.any(String) },
      { op: 'replace', path: '/metadata/resourceVersion', value: expect.stringMatching(/^\d+$/) },
      expect.objectContaining({ path: '/metadata/annotations/aegis.dev~1last-remediations' }),
    ])],
  ] as const)('%s, in the audited body', async (action, body) => {
    const subject = await subjectFor(faulty.cluster, action)
    const id = await faulty.operator.remediate(subject.request)
    expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'healed' })
    const [effect, ...others] = faulty.judge.effectsOf(id, subject.namespace)
    expect(others).toEqual([])
    expect(effect?.requestObject).toMatchObject(body as object)
  }, limitMs)
})

describe('a PodDisruptionBudget that is spent between preflight and eviction', () => {
  const budget = async (namespace: string) => {
    const api = kubeConfig(faulty.cluster.kubeconfig).makeApiClient(PolicyV1Api)
    const matchLabels = { app: name }
    await api.createNamespacedPodDisruptionBudget({ namespace, body: { metadata: { name }, spec: { minAvailable: replicas, selector: { matchLabels } } } })
    await eventually('the budget is counted', async () => ((await api.readNamespacedPodDisruptionBudget({ name, namespace })).status?.observedGeneration ?? 0) > 0)
    return { lift: () => api.deleteNamespacedPodDisruptionBudget({ name, namespace }) }
  }

  test('429 is waited out, and then there is one eviction', async () => {
    const subject = await subjectFor(faulty.cluster, 'restart_pod')
    const { namespace } = subject
    let lift = (): Promise<unknown> => Promise.resolve()
    const journey = await betweenLookAndCall(subject, async () => void ({ lift } = await budget(namespace)))
    await eventually('the eviction is refused with 429', () => answers(journey).includes(429))
    await lift()
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
    expect(faulty.judge.effectsOf(journey.id, namespace)).toHaveLength(1)
    await faulty.judge.ledgerIsWhole(journey.id)
  }, limitMs)
})

describe('hands off', () => {
  test('a workload whose replicas an HPA owns', async () => {
    const subject = await subjectFor(faulty.cluster, 'scale_deployment')
    const api = kubeConfig(faulty.cluster.kubeconfig).makeApiClient(AutoscalingV2Api)
    const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name }
    await api.createNamespacedHorizontalPodAutoscaler({ namespace: subject.namespace, body: { metadata: { name }, spec: { scaleTargetRef, maxReplicas: 5 } } })
    const id = await faulty.operator.remediate(subject.request)
    expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'blocked' })
    expect(faulty.judge.attempts(subject.namespace)).toEqual([])
  }, limitMs)

  test('a paused workload', async () => {
    const subject = await subjectFor(faulty.cluster, 'rollback_deployment')
    await handsOn(faulty.cluster, subject.namespace).patch({ spec: { paused: true } })
    const id = await faulty.operator.remediate(subject.request)
    expect(await faulty.judge.closed(id)).toMatchObject({ outcome: 'blocked', reason: 'paused' })
    expect(faulty.judge.attempts(subject.namespace)).toEqual([])
  }, limitMs)

  test('a workload paused between the look and the call', async () => {
    const subject = await subjectFor(faulty.cluster, 'rollback_deployment')
    const hands = handsOn(faulty.cluster, subject.namespace)
    const journey = await betweenLookAndCall(subject, async () => void (await hands.patch({ spec: { paused: true } })))
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'overtaken' })
    expect(faulty.judge.effects(subject.namespace)).toEqual([])
  }, limitMs)
})

describe('the rollback trap: "previous" flips back to the bad version', () => {
  const image = async ({ namespace }: Subject) => (await handsOn(faulty.cluster, namespace).deployment()).spec?.template.spec?.containers[0]?.image

  test('a rollback whose answer is lost is not rolled back again', async () => {
    const subject = await subjectFor(faulty.cluster, 'rollback_deployment')
    const journey = await begin(faulty, subject)
    faulty.executor.arm({ effective: true, path: new RegExp(`/namespaces/${subject.namespace}/`), phase: 'after_send' }, () => 'cut')
    journey.go()
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'healed' })
    expect(faulty.judge.effectsOf(journey.id, subject.namespace)).toHaveLength(1)
    expect(await image(subject)).toBe(good)
  }, limitMs)

  test('asking a second time does not go back to the version that failed', async () => {
    const subject = await subjectFor(faulty.cluster, 'rollback_deployment')
    const first = await faulty.operator.remediate(subject.request)
    expect(await faulty.judge.closed(first)).toMatchObject({ outcome: 'healed' })
    const second = await faulty.operator.remediate(subject.request)
    expect(await faulty.judge.closed(second)).toMatchObject({ outcome: 'blocked' })
    expect(faulty.judge.effects(subject.namespace)).toHaveLength(1)
    expect(await image(subject)).toBe(good)
  }, limitMs)

  test('a pinned revision that is collected before the call is a clear refusal, and nothing is sent', async () => {
    const subject = await subjectFor(faulty.cluster, 'rollback_deployment')
    const { apps } = administrator(faulty.cluster)
    const { namespace } = subject
    const journey = await begin(faulty, subject)
    calls['postgres recordIntent'](faulty, journey)('after_send', async () => {
      const { items } = await apps.listNamespacedReplicaSet({ namespace })
      const old = items.find(({ spec }) => spec?.template?.spec?.containers[0]?.image === good)?.metadata?.name ?? ''
      await apps.deleteNamespacedReplicaSet({ namespace, name: old, propagationPolicy: 'Orphan' })
      // An orphaning delete is carried out by the garbage collector, in its own time.
      await eventually('the revision is gone', () => apps.readNamespacedReplicaSet({ namespace, name: old }).then(() => false, () => true), 5_000)
    })
    journey.go()
    expect(await faulty.judge.closed(journey.id)).toMatchObject({ outcome: 'blocked', reason: 'revision_gone' })
    expect(faulty.judge.effects(namespace)).toEqual([])
    expect(await image(subject)).toBe(broken)
    await faulty.judge.ledgerIsWhole(journey.id)
  }, limitMs)
})

test('a broken pipe to the recorder does not become a second call (guard: stamp)', async () => {
  const subject = await subjectFor(faulty.cluster, 'scale_deployment')
  const journey = await begin(faulty, subject)
  calls['postgres settleIntent'](faulty, journey)('before_send', () => 'cut')
  journey.go()
  expect(await within(limitMs, 'it is closed', faulty.judge.closed(journey.id))).toMatchObject({ outcome: 'healed' })
  expect(faulty.judge.attempts(subject.namespace)).toHaveLength(1)
}, limitMs)
