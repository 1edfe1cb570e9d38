import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectCluster, clusterExecutor, clusterReader, type Connection } from '../../adapters/kubernetes/client.ts'
import { watchResource, type Change } from '../../adapters/kubernetes/watch.ts'
import { keyedDigest } from '../../adapters/signing.ts'
import { actionRules, isRefusal } from '../../domain/actions/index.ts'
import type { DeploymentObservation } from '../../domain/actions/observation.ts'
import type { AttemptRead } from '../../domain/actions/situation.ts'
import type { Plan, RestartPodPlan, RollbackDeploymentPlan, ScaleDeploymentPlan } from '../../domain/plan.ts'
import type { ActionName, ActionParameters, EffectPhase, Target } from '../../domain/remediation.ts'
import { parseStamps, stampAnnotation } from '../../domain/stamp.ts'
import type { Sample } from '../../domain/verdict.ts'
import { freePorts } from '../../sandbox/ports.ts'
import { auditEvents, clusterNamed, eventually, freshNamespace, mutationsBy } from '../helpers/stack.ts'

const cluster = clusterNamed('edge')
const secret = 'correct-horse-battery-staple'
const connections: Connection[] = []
const connect = (kubeconfig: string, userAgent: string, timeoutMs = 10_000) => {
  const connection = connectCluster({ name: 'edge', kubeconfig, userAgent, timeoutMs })
  connections.push(connection)
  return connection
}
const admin = connect(cluster.kubeconfig, 'test-operator/1')
const reader = clusterReader(connect(cluster.observerKubeconfig, 'aegis-decision/test'))
const executor = clusterExecutor(connect(cluster.executorKubeconfig, 'aegis-executor/test'))
const lookOnly = clusterExecutor(connect(cluster.observerKubeconfig, 'aegis-executor/test-lookonly'))

let namespace: string
beforeAll(async () => {
  namespace = await freshNamespace(cluster, 'kubernetes')
})
afterAll(() => Promise.all(connections.map((connection) => connection.close())))

// What an operator does to the cluster

type Json = Record<string, any> // eslint-disable-line typescript/no-explicit-any -- raw objects of the API

async function call(method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown): Promise<Json> {
  const answer = await admin.request({ method, path, body, ...(method === 'PATCH' && { contentType: 'application/merge-patch+json' as const }) })
  if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`)
  return answer.body as Json
}
const at = (group: string, kind: string, name = '') => `${group}/namespaces/${namespace}/${kind}${name && `/${name}`}`
const deployments = (name = '') => at('/apis/apps/v1', 'deployments', name)
const pods = (name = '') => at('/api/v1', 'pods', name)

type Shape = { replicas?: number; image?: string; template?: Json; metadata?: Json; spec?: Json }
const podSpec = (image: string) => ({ containers: [{ name: 'app', image, env: [{ name: 'GREETING', value: secret }] }] })

async function deploy(name: string, { replicas = 3, image = 'shop/cart:1', template = {}, metadata = {}, spec = {} }: Shape = {}): Promise<void> {
  await call('POST', deployments(), {
    metadata: { name, ...metadata },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name }, ...template['metadata'] }, spec: { ...podSpec(image), ...template['spec'] } },
      ...spec,
    },
  })
  await settled(name, replicas)
}
const settled = (name: string, replicas: number) =>
  eventually(`${name} has ${replicas} available pods`, async () => {
    const { metadata, status } = await call('GET', deployments(name))
    return status?.observedGeneration >= metadata.generation && (status?.availableReplicas ?? 0) === replicas && (status?.updatedReplicas ?? 0) === replicas
  })
const podsOf = async (name: string): Promise<Json[]> => (await call('GET', `${pods()}?labelSelector=app%3D${name}`))['items']

/** A second version that never comes up, with things the first one does not have. */
async function breakIt(name: string): Promise<void> {
  await call('PATCH', deployments(name), {
    spec: {
      progressDeadlineSeconds: 2,
      template: {
        metadata: { labels: { extra: 'label' }, annotations: { extra: 'annotation' } },
        spec: { ...podSpec('shop/cart:2-broken'), nodeSelector: { type: 'kwok' }, volumes: [{ name: 'scratch', emptyDir: {} }], terminationGracePeriodSeconds: 5 },
      },
    },
  })
  await eventually(`${name} is stuck`, async () => ((await reader.observe(target('Deployment', name)))?.health.faults ?? []).includes('stuck_rollout'))
}

// What Aegis does

const target = (kind: Target['kind'], name: string): Target => ({ cluster: 'edge', namespace, kind, name })
const options = { allowedNamespaces: ['kubernetes-*'], keyedDigest: keyedDigest(Buffer.from('test')), remediationId: 'r-preflight' }

async function observed(name: string): Promise<DeploymentObservation> {
  const observation = await reader.observe(target('Deployment', name))
  if (observation?.kind !== 'Deployment') throw new Error(`${name} is not there`)
  return observation
}
async function planned<P extends Plan>(action: ActionName, where: Target, parameters: ActionParameters = {}): Promise<P> {
  const observation = await reader.observe(where)
  if (!observation) throw new Error(`${where.name} is not there`)
  const plan = actionRules[action].plan(observation, parameters, null)
  if (isRefusal(plan)) throw new Error(`${plan.reason}: ${plan.message}`)
  return plan as P
}
const scaling = (name: string, replicas: number) => planned<ScaleDeploymentPlan>('scale_deployment', target('Deployment', name), { replicas })
const rollingBack = (name: string, revision?: number) => planned<RollbackDeploymentPlan>('rollback_deployment', target('Deployment', name), revision === undefined ? {} : { revision })
const restarting = (name: string) => planned<RestartPodPlan>('restart_pod', target('Pod', name))

const situation = (plan: Plan, phase: EffectPhase, id: string, read: AttemptRead) => actionRules[plan.action].situation(plan, phase, id, read).is

/** As the execution worker does it: a conflict starts the attempt over. */
async function run(plan: Plan, phase: EffectPhase, id: string): Promise<string> {
  for (let tries = 0; tries < 8; tries++) {
    const read = await executor.read(plan)
    const is = situation(plan, phase, id, read)
    if (is !== 'ready') return is
    const { sent } = await executor.send(plan, phase, id, read)
    if (sent !== 'conflict') return sent
  }
  throw new Error('eight conflicts in a row')
}
async function fence(plan: Plan, id: string, mark: 'abandoned' | 'undone') {
  return eventually('the fence is written', async () => {
    const fenced = await executor.fence(plan, id, mark, await executor.read(plan))
    return fenced !== 'conflict' && fenced
  })
}
const changes = () => mutationsBy(cluster, { userAgentPrefix: 'aegis-executor/test', namespace })
const changesOf = (name: string) => changes().filter(({ objectRef }) => objectRef?.name === name)
const stamps = async (name: string) => parseStamps((await call('GET', deployments(name)))['metadata'].annotations?.[stampAnnotation])
const refusalFor = async (plan: Plan, overrides: Partial<typeof options> = {}) => (await executor.preflight(plan, { ...options, ...overrides })).refusal
const checkNamed = async (plan: Plan, name: string) => (await executor.preflight(plan, options)).checks.find((check) => check.name === name)

describe('scale', () => {
  test('is one write with the stamp in it, done once however often it is asked, and taken back the same way', async () => {
    await deploy('scaled')
    const plan = await scaling('scaled', 5)
    const card = await executor.preflight(plan, options)
    expect(card).toMatchObject({ refusal: null, undo: 'planned', diff: [{ path: '/spec/replicas', before: '3', after: '5' }] })
    expect(changesOf('scaled')).toEqual([])

    expect(await run(plan, 'act', 'r-1')).toBe('applied')
    expect(await run(plan, 'act', 'r-1')).toBe('done_by_us')
    expect(await run(plan, 'act', 'r-other')).toBe('wanted')
    await settled('scaled', 5)
    expect(await run(plan, 'undo', 'r-1')).toBe('applied')
    expect(await run(plan, 'undo', 'r-1')).toBe('done_by_us')
    expect(await run(plan, 'act', 'r-1')).toBe('stopped')

    const writes = changesOf('scaled')
    expect(writes.map(({ requestObject }) => requestObject?.['spec'])).toEqual([{ replicas: 5 }, { replicas: 3 }])
    for (const { objectRef, requestObject } of writes) {
      expect(objectRef?.subresource).toBeUndefined()
      expect(requestObject?.['metadata']).toMatchObject({ uid: plan.target.uid, resourceVersion: expect.any(String), annotations: { [stampAnnotation]: expect.stringContaining('r-1') } })
    }
    expect(await stamps('scaled')).toEqual([{ id: 'r-1', phase: 'undone' }])
  })

  test('is refused by the server on another UID and on a stale read', async () => {
    await deploy('guarded')
    const plan = await scaling('guarded', 4)
    const read = await executor.read(plan)
    expect(await executor.send(plan, 'act', 'r-1', { ...read, uid: '00000000-0000-0000-0000-000000000000' } as AttemptRead)).toEqual({ sent: 'other_object' })
    await call('PATCH', deployments('guarded'), { metadata: { annotations: { touched: 'yes' } } })
    expect(await executor.send(plan, 'act', 'r-1', read)).toEqual({ sent: 'conflict' })
    expect(changesOf('guarded')).toEqual([])
  })

  test('does not touch another deployment that took the name', async () => {
    await deploy('reborn')
    const plan = await scaling('reborn', 4)
    const read = await executor.read(plan)
    await remove(deployments('reborn'))
    await deploy('reborn')
    expect((await executor.send(plan, 'act', 'r-1', read)).sent).not.toBe('applied')
    expect(await run(plan, 'act', 'r-1')).toBe('changed')
    expect(await refusalFor(plan)).toMatchObject({ outcome: 'overtaken', reason: 'target_gone' })
    expect(await executor.fence(plan, 'r-1', 'abandoned', await executor.read(plan))).toBe('gone')
    expect(changesOf('reborn')).toEqual([])
  })

  test('leaves alone what a person changed meanwhile', async () => {
    await deploy('theirs')
    const plan = await scaling('theirs', 5)
    await call('PATCH', deployments('theirs'), { spec: { replicas: 2 } })
    expect(await run(plan, 'act', 'r-1')).toBe('changed')
    expect(await refusalFor(plan)).toMatchObject({ outcome: 'overtaken', reason: 'target_changed' })

    const next = await scaling('theirs', 4)
    expect(await run(next, 'act', 'r-2')).toBe('applied')
    await call('PATCH', deployments('theirs'), { spec: { replicas: 7 } })
    expect(await run(next, 'undo', 'r-2')).toBe('changed')
    expect((await observed('theirs')).replicas).toBe(7)
  })

  test('writes its undo stamp even when the value is already back', async () => {
    await deploy('back')
    const plan = await scaling('back', 5)
    await run(plan, 'act', 'r-1')
    await call('PATCH', deployments('back'), { spec: { replicas: 3 } })
    expect(await run(plan, 'undo', 'r-1')).toBe('wanted')
    expect(await fence(plan, 'r-1', 'undone')).toBe('fenced')
    expect(await stamps('back')).toEqual([{ id: 'r-1', phase: 'undone' }])
    expect(await run(plan, 'act', 'r-1')).toBe('stopped')
  })
})

/** Aegis itself has no verb for this. */
async function remove(path: string): Promise<void> {
  const request = admin.request as (call: { method: string; path: string }) => Promise<{ status: number }>
  await request({ method: 'DELETE', path })
  await eventually(`${path} is gone`, async () => (await admin.request({ method: 'GET', path })).status === 404)
}

describe('a fence', () => {
  test('on a deployment makes a late call fail', async () => {
    await deploy('fenced')
    const plan = await scaling('fenced', 5)
    const late = await executor.read(plan)
    expect(await executor.fence(plan, 'r-1', 'abandoned', late)).toBe('fenced')
    expect(await executor.send(plan, 'act', 'r-1', late)).toEqual({ sent: 'conflict' })
    expect(await run(plan, 'act', 'r-1')).toBe('stopped')
    expect((await observed('fenced')).replicas).toBe(3)
  })

  test('on a pod makes a late eviction fail, and touches the annotation alone', async () => {
    await deploy('fencedpod')
    const name = (await podsOf('fencedpod'))[0]!['metadata'].name
    const plan = await restarting(name)
    const late = await executor.read(plan)
    expect(await executor.fence(plan, 'r-1', 'abandoned', late)).toBe('fenced')
    expect(await executor.send(plan, 'act', 'r-1', late)).toEqual({ sent: 'conflict' })
    expect(await run(plan, 'act', 'r-1')).toBe('stopped')
    expect(changesOf(name).map(({ requestObject }) => requestObject)).toEqual([
      { metadata: { uid: plan.target.uid, resourceVersion: expect.any(String), annotations: { [stampAnnotation]: '[{"id":"r-1","phase":"abandoned"}]' } } },
    ])
  })

  test('with a stale read is a conflict, so that it is written on what is there now', async () => {
    await deploy('stalefence')
    const plan = await scaling('stalefence', 5)
    const read = await executor.read(plan)
    await call('PATCH', deployments('stalefence'), { metadata: { annotations: { touched: 'yes' } } })
    expect(await executor.fence(plan, 'r-1', 'abandoned', read)).toBe('conflict')
  })
})

describe('rollback', () => {
  test('restores the template exactly, and its undo restores the other one exactly', async () => {
    await deploy('rolled')
    const good = (await call('GET', deployments('rolled')))['spec'].template
    await breakIt('rolled')
    const bad = (await call('GET', deployments('rolled')))['spec'].template
    const plan = await rollingBack('rolled')
    expect(plan.revision).toMatchObject({ from: { revision: 2 }, to: { revision: 1 } })
    expect((await executor.preflight(plan, options)).refusal).toBeNull()

    expect(await run(plan, 'act', 'r-1')).toBe('applied')
    expect((await call('GET', deployments('rolled')))['spec'].template).toEqual(good)
    await settled('rolled', 3)
    // The bad revision is the second newest now: a rollback to "the previous" would flip back to it.
    expect(await run(plan, 'act', 'r-1')).toBe('done_by_us')
    expect(await run(plan, 'undo', 'r-1')).toBe('applied')
    expect((await call('GET', deployments('rolled')))['spec'].template).toEqual(bad)

    const [act, undo] = changesOf('rolled')
    expect(changesOf('rolled')).toHaveLength(2)
    for (const write of [act, undo]) {
      expect(write?.requestObject).toMatchObject([{ op: 'test', path: '/metadata/uid', value: plan.target.uid }, { op: 'replace', path: '/metadata/resourceVersion' }, { op: 'add' }, { op: 'replace', path: '/spec/template' }])
    }
    expect(await stamps('rolled')).toEqual([{ id: 'r-1', phase: 'undone' }])
  })

  test('is refused on a stale read and when the UID is another', async () => {
    await deploy('rolledguard')
    await breakIt('rolledguard')
    const plan = await rollingBack('rolledguard')
    const read = await executor.read(plan)
    await call('PATCH', deployments('rolledguard'), { metadata: { annotations: { touched: 'yes' } } })
    expect(await executor.send(plan, 'act', 'r-1', read)).toEqual({ sent: 'conflict' })
    const wrong = await executor.read(plan)
    Object.assign(wrong, { uid: '00000000-0000-0000-0000-000000000000' })
    expect((await executor.send(plan, 'act', 'r-1', wrong)).sent).not.toBe('applied')
    expect(changesOf('rolledguard')).toEqual([])
  })

  test('says so when its revision was garbage-collected, and sends nothing', async () => {
    await deploy('forgotten')
    await breakIt('forgotten')
    const plan = await rollingBack('forgotten')
    await remove(at('/apis/apps/v1', 'replicasets', plan.revision.to.replicaSet))
    expect(await refusalFor(plan)).toMatchObject({ outcome: 'blocked', reason: 'revision_gone' })
    const read = await executor.read(plan)
    await expect(executor.send(plan, 'act', 'r-1', read)).rejects.toMatchObject({ kind: 'missing', code: 'revision_gone' })
    expect(changesOf('forgotten')).toEqual([])
  })

  test('never chooses a revision that was never available', async () => {
    await deploy('unproven', { image: 'shop/cart:0-broken', replicas: 0 })
    await call('PATCH', deployments('unproven'), { spec: { replicas: 1, template: { spec: podSpec('shop/cart:1-broken') } } })
    await eventually('the second revision is seen', async () => (await observed('unproven')).revisions.length === 2)
    await eventually('the newest generation is seen', async () => (await observed('unproven')).observedGeneration === 2)
    expect(actionRules.rollback_deployment.plan(await observed('unproven'), {}, null)).toMatchObject({ outcome: 'blocked', reason: 'no_earlier_revision' })
    expect(await checkNamed(await rollingBack('unproven', 1), 'revision')).toMatchObject({ status: 'warn' })
  })

  test('is refused while a mutating policy would store something else', async () => {
    await deploy('mutated')
    await breakIt('mutated')
    await call('PATCH', deployments('mutated'), { metadata: { labels: { 'test-mutate': namespace } } })
    const plan = await rollingBack('mutated')
    await mutatingPolicy()
    expect(await eventually('the policy is in force', async () => (await refusalFor(plan)) ?? undefined)).toMatchObject({ reason: 'dry_run_differs' })
  })
})

async function mutatingPolicy(): Promise<void> {
  const group = '/apis/admissionregistration.k8s.io/v1'
  await call('POST', `${group}/mutatingadmissionpolicies`, {
    metadata: { name: `${namespace}-label` },
    spec: {
      matchConstraints: { resourceRules: [{ apiGroups: ['apps'], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['deployments'] }] },
      matchConditions: [{ name: 'ours', expression: `has(object.metadata.labels) && 'test-mutate' in object.metadata.labels && object.metadata.labels['test-mutate'] == '${namespace}'` }],
      failurePolicy: 'Fail',
      reinvocationPolicy: 'Never',
      mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{spec: Object.spec{template: Object.spec.template{metadata: Object.spec.template.metadata{labels: {"injected": "yes"}}}}}' } }],
    },
  })
  await call('POST', `${group}/mutatingadmissionpolicybindings`, { metadata: { name: `${namespace}-label` }, spec: { policyName: `${namespace}-label` } })
}

describe('restart', () => {
  test('is an eviction with the UID, the resourceVersion and the remediation in it', async () => {
    await deploy('evicted')
    const name = (await podsOf('evicted'))[0]!['metadata'].name
    const plan = await restarting(name)
    expect(plan.workload).toMatchObject({ kind: 'Deployment', name: 'evicted' })
    expect(await executor.preflight(plan, options)).toMatchObject({ refusal: null, undo: 'none' })
    expect((await executor.health(plan)).podGone).toBe(false)

    const read = await executor.read(plan)
    const resourceVersion = read.exists ? read.resourceVersion : ''
    expect(await executor.send(plan, 'act', 'r-1', read)).toEqual({ sent: 'applied', resourceVersion: null })
    expect(await run(plan, 'act', 'r-1')).toBe('gone')
    const writes = changesOf(name)
    expect(writes).toHaveLength(1)
    expect(writes[0]).toMatchObject({
      userAgent: 'aegis-executor/test',
      user: { username: 'system:serviceaccount:aegis-system:aegis-executor' },
      objectRef: { subresource: 'eviction' },
      requestObject: { metadata: { annotations: { 'aegis.dev/remediation': 'r-1' } }, deleteOptions: { preconditions: { uid: plan.target.uid, resourceVersion } } },
    })
    await eventually('the pod is replaced', async () => {
      const { podGone, rollout, health } = await executor.health(plan)
      return podGone === true && rollout === 'complete' && health.ready === 3
    })
  })

  test('never reaches the replacement that took the name', async () => {
    await call('POST', at('/apis/apps/v1', 'statefulsets'), {
      metadata: { name: 'db' },
      spec: { replicas: 1, serviceName: 'db', selector: { matchLabels: { app: 'db' } }, template: { metadata: { labels: { app: 'db' } }, spec: podSpec('shop/db:1') } },
    })
    await eventually('db-0 is ready', async () => (await reader.observe(target('Pod', 'db-0')))?.health.ready === 1)
    const plan = await restarting('db-0')
    expect(plan.workload).toMatchObject({ kind: 'StatefulSet', name: 'db' })
    const late = await executor.read(plan)
    expect(await run(plan, 'act', 'r-1')).toBe('applied')
    const replacement = await eventually('db-0 is back', async () => {
      const pod = await reader.observe(target('Pod', 'db-0'))
      return pod && pod.uid !== plan.target.uid && pod.health.ready === 1 && pod.uid
    })
    expect((await executor.send(plan, 'act', 'r-1', late)).sent).toBe('conflict')
    expect(await run(plan, 'act', 'r-1')).toBe('gone')
    expect(await executor.fence(plan, 'r-1', 'abandoned', await executor.read(plan))).toBe('gone')
    expect((await reader.observe(target('Pod', 'db-0')))?.uid).toBe(replacement)
    expect(changesOf('db-0')).toHaveLength(1)
  })

  test('is refused while the disruption budget is spent, and for good with two of them', async () => {
    await deploy('budgeted')
    const budget = (name: string) => call('POST', at('/apis/policy/v1', 'poddisruptionbudgets'), { metadata: { name }, spec: { minAvailable: 3, selector: { matchLabels: { app: 'budgeted' } } } })
    await budget('budget-one')
    const plan = await restarting((await podsOf('budgeted'))[0]!['metadata'].name)
    const refused = await eventually('the budget counts', async () => (await refusalFor(plan)) ?? undefined)
    expect(refused).toMatchObject({ outcome: 'blocked', reason: 'pdb_exhausted' })
    expect(await checkNamed(plan, 'pdb')).toMatchObject({ status: 'fail' })
    expect(await executor.send(plan, 'act', 'r-1', await executor.read(plan))).toMatchObject({ sent: 'refused', code: 'pdb_exhausted', retryable: true })

    await budget('budget-two')
    expect(await executor.send(plan, 'act', 'r-1', await executor.read(plan))).toMatchObject({ sent: 'refused', code: 'pdb_ambiguous', retryable: false })
    expect(await refusalFor(plan)).toMatchObject({ reason: 'pdb_ambiguous' })
    expect(changes().filter(({ objectRef }) => objectRef?.name === plan.target.name)).toEqual([])
  })

  test('leaves a pod alone that nothing would replace', async () => {
    await call('POST', pods(), { metadata: { name: 'bare' }, spec: podSpec('shop/bare:1') })
    const observation = await reader.observe(target('Pod', 'bare'))
    expect(actionRules.restart_pod.plan(observation!, {}, null)).toMatchObject({ outcome: 'blocked', reason: 'not_controlled' })
  })

  test('leaves a static pod alone', async () => {
    const node = await call('GET', '/api/v1/nodes/node-1')
    const owner = { apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: node['metadata'].uid, controller: true }
    await call('POST', pods(), { metadata: { name: 'mirror', annotations: { 'kubernetes.io/config.mirror': 'x' }, ownerReferences: [owner] }, spec: { nodeName: 'node-1', ...podSpec('shop/static:1') } })
    const observation = await reader.observe(target('Pod', 'mirror'))
    expect(actionRules.restart_pod.plan(observation!, {}, null)).toMatchObject({ outcome: 'blocked', reason: 'static_pod' })
  })

  test('says when it takes the only ready pod', async () => {
    await deploy('single', { replicas: 1 })
    expect(await checkNamed(await restarting((await podsOf('single'))[0]!['metadata'].name), 'availability')).toMatchObject({ status: 'warn' })
  })
})

describe('preflight refuses', () => {
  test('a namespace that is protected or not on the list', async () => {
    await deploy('listed')
    const plan = await scaling('listed', 4)
    expect(await refusalFor(plan, { allowedNamespaces: [] })).toMatchObject({ outcome: 'blocked', reason: 'namespace_not_allowed' })
    const inSystem = { ...plan, target: { ...plan.target, namespace: 'kube-system' } }
    expect(await refusalFor(inSystem, { allowedNamespaces: ['*'] })).toMatchObject({ reason: 'protected_namespace' })
  })

  test('an identity without the rights to act, undo and fence', async () => {
    await deploy('lookonly')
    const plan = await scaling('lookonly', 4)
    const { refusal, checks } = await lookOnly.preflight(plan, options)
    expect(refusal).toMatchObject({ outcome: 'blocked', reason: 'rbac' })
    expect(checks.find(({ name }) => name === 'dry_run')).toMatchObject({ status: 'fail' })
    expect(await lookOnly.send(plan, 'act', 'r-1', await lookOnly.read(plan))).toMatchObject({ sent: 'refused', code: 'forbidden' })
    await expect(lookOnly.fence(plan, 'r-1', 'abandoned', await lookOnly.read(plan))).rejects.toMatchObject({ kind: 'forbidden' })
  })

  test('to scale what an autoscaler scales', async () => {
    await deploy('autoscaled')
    await call('POST', at('/apis/autoscaling/v2', 'horizontalpodautoscalers'), {
      metadata: { name: 'autoscaled' },
      spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'autoscaled' }, minReplicas: 1, maxReplicas: 9 },
    })
    expect(await refusalFor(await scaling('autoscaled', 4))).toMatchObject({ outcome: 'blocked', reason: 'autoscaled' })
  })

  test('to scale what KEDA scales', async () => {
    await deploy('evented')
    const plan = await scaling('evented', 4)
    expect(await refusalFor(plan)).toBeNull() // no KEDA in the cluster is fine
    await call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      metadata: { name: 'scaledobjects.keda.sh' },
      spec: {
        group: 'keda.sh',
        scope: 'Namespaced',
        names: { plural: 'scaledobjects', singular: 'scaledobject', kind: 'ScaledObject' },
        versions: [{ name: 'v1alpha1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } }],
      },
    })
    await eventually('the kind is served', () => call('POST', at('/apis/keda.sh/v1alpha1', 'scaledobjects'), { apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', metadata: { name: 'evented' }, spec: { scaleTargetRef: { name: 'evented' } } }))
    expect(await refusalFor(plan)).toMatchObject({ reason: 'autoscaled', message: expect.stringContaining('ScaledObject') })
    await remove('/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scaledobjects.keda.sh')
  })

  test('to scale beyond the quota', async () => {
    await deploy('rationed')
    const used = (await call('GET', pods()))['items'].length as number
    await call('POST', at('/api/v1', 'resourcequotas'), { metadata: { name: 'ration' }, spec: { hard: { pods: String(used + 3) } } })
    await eventually('the quota is counted', async () => (await call('GET', at('/api/v1', 'resourcequotas', 'ration')))['status']?.used?.pods !== undefined)
    expect(await refusalFor(await scaling('rationed', 40))).toMatchObject({ reason: 'quota_exceeded', message: expect.stringContaining('`ration`') })
    expect(await checkNamed(await scaling('rationed', 4), 'quota')).toMatchObject({ status: 'pass' })
    expect(await checkNamed(await scaling('rationed', 1), 'quota')).toMatchObject({ status: 'pass' })
    await remove(at('/api/v1', 'resourcequotas', 'ration'))
  })

  test('what Git or a controller would take back', async () => {
    await deploy('gitops', { metadata: { annotations: { 'argocd.argoproj.io/tracking-id': 'x' } } })
    expect(await refusalFor(await scaling('gitops', 4))).toMatchObject({ reason: 'owned_by_gitops' })
    const owner = await call('POST', at('/api/v1', 'configmaps'), { metadata: { name: 'owner' } })
    await deploy('owned', { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner['metadata'].uid, controller: true }] } })
    const plan = await scaling('owned', 4)
    expect(plan.workload).toMatchObject({ kind: 'ConfigMap', name: 'owner', uid: owner['metadata'].uid })
    expect(await refusalFor(plan)).toMatchObject({ reason: 'owned_by_controller' })
    const pod = await restarting((await podsOf('owned'))[0]!['metadata'].name)
    expect(pod.workload).toEqual(plan.workload)
    expect(await executor.health(pod)).toMatchObject({ rollout: 'complete', health: { desired: 3, ready: 3 } })
  })

  test('what was paused or marked to be ignored after it was planned', async () => {
    await deploy('handsoff')
    const plan = await scaling('handsoff', 4)
    await call('PATCH', deployments('handsoff'), { metadata: { annotations: { 'aegis.dev/ignore': 'true' } } })
    expect(await refusalFor(plan)).toMatchObject({ outcome: 'blocked', reason: 'ignored' })
    expect(actionRules.scale_deployment.plan(await observed('handsoff'), { replicas: 4 }, null)).toMatchObject({ reason: 'ignored' })
    await call('PATCH', deployments('handsoff'), { metadata: { annotations: { 'aegis.dev/ignore': null } }, spec: { paused: true } })
    expect(await refusalFor(plan)).toMatchObject({ outcome: 'overtaken', reason: 'target_changed' })
    expect(actionRules.rollback_deployment.plan(await observed('handsoff'), {}, null)).toMatchObject({ reason: 'paused' })
    expect(await run(plan, 'act', 'r-1')).toBe('changed')
  })

  test('in a namespace that asks to be ignored', async () => {
    await deploy('quiet')
    const pod = (await podsOf('quiet'))[0]!['metadata'].name
    const annotate = (value: string | null) => call('PATCH', `/api/v1/namespaces/${namespace}`, { metadata: { annotations: { 'aegis.dev/ignore': value } } })
    await annotate('true')
    expect(actionRules.restart_pod.plan((await reader.observe(target('Pod', pod)))!, {}, null)).toMatchObject({ outcome: 'blocked', reason: 'ignored' })
    await annotate(null)
    expect(isRefusal(actionRules.restart_pod.plan((await reader.observe(target('Pod', pod)))!, {}, null))).toBe(false)
  })
})

describe('secrets', () => {
  test('never show in an observation, a card, a read or an error', async () => {
    await deploy('discreet')
    await breakIt('discreet')
    const other = `${secret}-second`
    await call('PATCH', deployments('discreet'), { spec: { template: { spec: { containers: [{ name: 'app', image: 'shop/cart:2-broken', env: [{ name: 'GREETING', value: other }] }] } } } })
    await eventually('the newest generation is seen', async () => isSeen(await observed('discreet')))
    const plan = await rollingBack('discreet', 1)
    const card = await executor.preflight(plan, options)
    expect(card.diff).toContainEqual({ path: '/spec/template/spec/containers/app/env/GREETING/value', before: expect.stringMatching(/^hmac:/), after: expect.stringMatching(/^hmac:/) })
    const told = [card, plan, await observed('discreet'), await executor.read(plan), await executor.health(plan)]
    expect(JSON.stringify(told)).not.toContain(secret)
  })

  test('stay out of what is told of a refusal, though the server quotes them', async () => {
    await deploy('refused', { metadata: { labels: { 'test-deny': 'yes' } } })
    const plan = await scaling('refused', 4)
    await denyingPolicy()
    const refusal = await eventually('the policy is in force', async () => (await refusalFor(plan)) ?? undefined)
    expect(refusal).toMatchObject({ outcome: 'blocked', reason: 'admission_denied', message: expect.stringContaining(`\`${namespace}-deny\``) })
    const card = await executor.preflight(plan, options)
    expect(card.checks.find(({ name }) => name === 'undo_dry_run')).toMatchObject({ status: 'warn' })
    const sent = await executor.send(plan, 'act', 'r-1', await executor.read(plan))
    expect(sent).toMatchObject({ sent: 'refused', code: 'admission_denied', retryable: false })
    expect(JSON.stringify([card, sent])).not.toContain(secret)
    const answers = auditEvents(cluster, ({ objectRef, responseStatus }) => objectRef?.name === 'refused' && (responseStatus?.code ?? 0) >= 400)
    expect(JSON.stringify(answers)).toContain(secret) // the server did quote it
  })
})

const isSeen = ({ generation, observedGeneration, revisions }: DeploymentObservation) => generation === observedGeneration && revisions.some(({ current }) => current)

async function denyingPolicy(): Promise<void> {
  const group = '/apis/admissionregistration.k8s.io/v1'
  await call('POST', `${group}/validatingadmissionpolicies`, {
    metadata: { name: `${namespace}-deny` },
    spec: {
      matchConstraints: { resourceRules: [{ apiGroups: ['apps'], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['deployments'] }] },
      matchConditions: [{ name: 'ours', expression: `object.metadata.namespace == '${namespace}' && has(object.metadata.labels) && 'test-deny' in object.metadata.labels && request.userInfo.username.contains('aegis-executor')` }],
      validations: [{ expression: 'false', messageExpression: `'no, not with ' + object.spec.template.spec.containers[0].env[0].value` }],
    },
  })
  await call('POST', `${group}/validatingadmissionpolicybindings`, { metadata: { name: `${namespace}-deny` }, spec: { policyName: `${namespace}-deny`, validationActions: ['Deny'] } })
}

describe('verification', () => {
  const window = { settleMs: 1_500, timeoutMs: 20_000 }
  /** Conditions carry whole seconds: unready within the next one looks like never ready. */
  const wasReadyMs = 2_100

  async function judge(plan: Plan, baseline: DeploymentObservation['health']) {
    const startMs = Date.now()
    const samples: Sample[] = []
    for (let looks = 0; looks < 200; looks++) {
      samples.push({ atMs: Date.now(), settled: await executor.health(plan) })
      const judged = actionRules[plan.action].verdict(plan, baseline, samples, { ...window, startMs, nowMs: Date.now() })
      if (judged.verdict !== 'not_yet') return { ...judged, samples }
      await sleep(150)
    }
    throw new Error('no verdict within 200 looks')
  }

  test('finds a rollback of a stuck rollout better, and not on the status from before it', async () => {
    await deploy('healed')
    await breakIt('healed')
    const { health } = await observed('healed')
    const plan = await rollingBack('healed')
    await run(plan, 'act', 'r-1')
    const { verdict, samples } = await judge(plan, health)
    expect(verdict).toBe('better')
    expect(samples.at(-1)?.settled).toMatchObject({ rollout: 'complete', health: { ready: 3, failing: 0, faults: [] } })
  })

  test('finds a rollback onto a broken revision worse, and its undo puts things right', async () => {
    await deploy('worsened', { image: 'shop/cart:1-broken', replicas: 0 })
    await call('PATCH', deployments('worsened'), { spec: { replicas: 3, template: { spec: podSpec('shop/cart:2') } } })
    await settled('worsened', 3)
    const { health } = await observed('worsened')
    const plan = await rollingBack('worsened', 1)
    await run(plan, 'act', 'r-1')
    expect((await judge(plan, health)).verdict).toBe('worse')
    expect(await run(plan, 'undo', 'r-1')).toBe('applied')
    await settled('worsened', 3)
  })

  test('finds a scale-up whose pods cannot start worse', async () => {
    await deploy('overscaled', { replicas: 1, image: 'shop/fragile:1' })
    const { health } = await observed('overscaled')
    const plan = await scaling('overscaled', 3)
    await run(plan, 'act', 'r-1')
    await settled('overscaled', 3)
    const name = (await podsOf('overscaled'))[0]!['metadata'].name
    await sleep(wasReadyMs)
    await call('PATCH', pods(name), { metadata: { annotations: { 'sandbox.aegis.dev/unready': 'true' } } })
    await eventually('a pod hangs', async () => (await executor.health(plan)).health.failing === 1)
    expect((await judge(plan, health)).verdict).toBe('worse')
  })

  test('finds a restart of a hanging pod better', async () => {
    await deploy('hanging')
    const name = (await podsOf('hanging'))[0]!['metadata'].name
    await sleep(wasReadyMs)
    await call('PATCH', pods(name), { metadata: { annotations: { 'sandbox.aegis.dev/stuck': 'true' } } })
    const baseline = await eventually('the pod hangs', async () => {
      const { health } = await observed('hanging')
      return health.faults.includes('stuck_pod') && health
    })
    expect(baseline).toMatchObject({ ready: 2, failing: 1 })
    const plan = await restarting(name)
    expect(plan.podReady).toBe(false)
    await run(plan, 'act', 'r-1')
    expect(await judge(plan, baseline)).toMatchObject({ verdict: 'better', evidence: expect.stringContaining('the old pod is gone') })
  })

  test('sees that a workload is gone', async () => {
    await deploy('vanished')
    const plan = await scaling('vanished', 4)
    await remove(deployments('vanished'))
    expect(await executor.health(plan)).toMatchObject({ rollout: 'missing' })
    expect(await reader.observe(plan.target)).toBeUndefined()
    expect(await executor.read(plan)).toEqual({ exists: false })
  })
})

test('a cluster that does not answer is unavailable, and says nothing of itself', async () => {
  const closed = `${cluster.executorKubeconfig}.closed`
  const [port] = await freePorts(1)
  writeFileSync(closed, readFileSync(cluster.executorKubeconfig, 'utf8').replace(/https:\/\/127\.0\.0\.1:\d+/, `https://127.0.0.1:${port}`))
  const lost = clusterExecutor(connect(closed, 'aegis-executor/test'))
  const failure = await lost.observe(target('Deployment', 'scaled')).catch((error: unknown) => error)
  expect(failure).toMatchObject({ name: 'Failure', kind: 'unavailable', message: 'cluster `edge` cannot be reached (ECONNREFUSED)' })
})

test('another cluster\'s target is refused', () => {
  expect(() => reader.observe({ ...target('Pod', 'x'), cluster: 'main' })).toThrow(expect.objectContaining({ code: 'other_cluster' }))
})

test('a watch on the real server lists, then follows', async () => {
  const stop = new AbortController()
  const seen: Change<Json>[] = []
  const errors: unknown[] = []
  const watching = watchResource<Json>({ connection: admin, path: at('/api/v1', 'configmaps'), signal: stop.signal, onChange: (change) => void seen.push(change), onError: (error) => void errors.push(error) })
  await eventually('the list is there', () => seen[0]?.type === 'listed')
  await call('POST', at('/api/v1', 'configmaps'), { metadata: { name: 'watched' } })
  await eventually('the new one is seen', () => seen.some((change) => change.type === 'put' && change.object['metadata'].name === 'watched'))
  await remove(at('/api/v1', 'configmaps', 'watched'))
  await eventually('its end is seen', () => seen.some((change) => change.type === 'gone' && change.object['metadata'].name === 'watched'))
  stop.abort()
  await watching
  expect(errors).toEqual([])
})
