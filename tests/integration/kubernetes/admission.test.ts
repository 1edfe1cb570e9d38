import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { dryRun, evictionCall, fenceCall, rollbackCall, scaleCall } from '../../../adapters/kubernetes/mutations.ts'
import type { Answer, Call } from '../../../adapters/kubernetes/connection.ts'
import { deploymentRead, podRead } from '../../../adapters/kubernetes/attempt.ts'
import { deniedBy } from '../../../adapters/kubernetes/errors.ts'
import { freezeObject } from '../../../adapters/kubernetes/backstop/names.ts'
import { evictionAnnotation, stampAnnotation, withStamp } from '../../../domain/stamp.ts'
import { thaw } from '../../../sandbox/servers/backstop.ts'
import { randomUUID } from 'node:crypto'
import { admin, call, cluster, connect, deploy, namespace, type Json } from './operator.ts'

/** The execution worker's credentials in the wrong hands: everything here is sent by hand, past Aegis. */
const stolen = connect(cluster.executorKubeconfig, 'curl/8')
const id = randomUUID()
let deployment: Json
let pod: Json

const pathOf = (name: string) => `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`
const stamped = (phase: 'applied' | 'undone' | 'abandoned' = 'applied') => ({ [stampAnnotation]: withStamp([], randomUUID(), phase) })
const send = (sent: Call): Promise<Answer> => stolen.request(dryRun(sent))
const patch = (path: string, body: unknown): Promise<Answer> => send({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json' })
const change = (spec: object, annotations: object = stamped()) => patch(pathOf('forged'), { metadata: { annotations }, spec })
const evict = (body: object) => send({ method: 'POST', path: `/api/v1/namespaces/${namespace}/pods/${pod['metadata'].name}/eviction`, body })
const podPatch = (metadata: object, more: object = {}) => patch(`/api/v1/namespaces/${namespace}/pods/${pod['metadata'].name}`, { metadata, ...more })
const preconditions = () => ({ uid: pod['metadata'].uid, resourceVersion: pod['metadata'].resourceVersion })
const eviction = (changes: object = {}) => ({
  apiVersion: 'policy/v1', kind: 'Eviction',
  metadata: { name: pod['metadata'].name, namespace, annotations: { [evictionAnnotation]: id } },
  deleteOptions: { preconditions: preconditions() },
  ...changes,
})

beforeAll(async () => {
  await deploy('forged', { replicas: 2 })
  deployment = await call('GET', pathOf('forged'))
  const pods = await call('GET', `/api/v1/namespaces/${namespace}/pods?labelSelector=app%3Dforged`)
  pod = pods['items'][0]
})

describe('what Aegis sends is admitted', () => {
  const plan = (kind: 'Deployment' | 'Pod') => ({
    action: 'scale_deployment', replicas: { from: 2, to: 3 }, undo: { replicas: { from: 3, to: 2 } },
    target: { cluster: 'edge', namespace, kind, name: kind === 'Pod' ? pod['metadata'].name : 'forged' },
  }) as never
  test.each<[string, () => Call]>([
    ['a scale', () => scaleCall(plan('Deployment'), 'act', id, deploymentRead(deployment as never))],
    ['its undo', () => scaleCall(plan('Deployment'), 'undo', id, deploymentRead(deployment as never))],
    ['a rollback', () => rollbackCall(plan('Deployment'), 'act', id, deploymentRead(deployment as never), templateWith('registry.example/app:0'))],
    ['an eviction', () => evictionCall(plan('Pod'), id, podRead(pod as never))],
    ['a fence on a deployment', () => fenceCall(plan('Deployment'), id, 'abandoned', deploymentRead(deployment as never))],
    ['a fence on a pod', () => fenceCall(plan('Pod'), id, 'abandoned', podRead(pod as never))],
  ])('%s', async (_name, sent) => {
    expect((await settled(sent)).status).toBeLessThan(300)
  })
})

/** Status writes move resourceVersion: read again until it holds still. */
async function settled(sent: () => Call): Promise<Answer> {
  let answer = await send(sent())
  for (let tries = 0; answer.status === 409 && tries < 20; tries++) {
    deployment = await call('GET', pathOf('forged'))
    pod = await call('GET', `/api/v1/namespaces/${namespace}/pods/${pod['metadata'].name}`)
    answer = await send(sent())
  }
  return answer
}

const templateWith = (image: string, more: object = {}) => {
  const template = structuredClone(deployment['spec'].template)
  template.spec.containers[0].image = image
  Object.assign(template.spec, more)
  return template
}

describe('what is forged with its credentials is refused by admission', () => {
  test.each<[string, string, () => Promise<Answer>]>([
    ['a scale without a stamp', 'has to carry the stamp', () => change({ replicas: 3 }, {})],
    ['a scale under a stamp that says abandoned', 'stamped in the same write', () => change({ replicas: 3 }, stamped('abandoned'))],
    ['a scale under what is no stamp', 'stamped in the same write', () => change({ replicas: 3 }, { [stampAnnotation]: 'mine' })],
    ['a scale to more than any step may reach', 'replicas go from 0', () => change({ replicas: 1001 })],
    ['a rollout without a stamp', 'has to carry the stamp', () => change({ template: templateWith('evil:1') }, {})],
    ['a rollout and a scale in one', 'not both', () => change({ replicas: 3, template: templateWith('evil:1') })],
    ['a rollout under another account', 'account or the host rights', () => change({ template: templateWith('evil:1', { serviceAccountName: 'admin' }) })],
    ['a rollout on the host network', 'account or the host rights', () => change({ template: templateWith('evil:1', { hostNetwork: true }) })],
    ['a pause', 'only its replicas or its template', () => change({ paused: true })],
    ['another strategy', 'only its replicas or its template', () => change({ strategy: { type: 'Recreate', rollingUpdate: null } })],
    ['a label', 'of the metadata only', () => patch(pathOf('forged'), { metadata: { labels: { x: 'y' }, annotations: stamped() } })],
    ['a foreign annotation beside a stamp', 'of the metadata only', () => change({ replicas: 3 }, { ...stamped(), 'kubectl.kubernetes.io/x': 'y' })],
    ['a finalizer', 'of the metadata only', () => patch(pathOf('forged'), { metadata: { finalizers: ['x.example/y'], annotations: stamped() } })],
    ['a stamp that is longer than ten of ours', 'has to carry the stamp', () => change({}, { [stampAnnotation]: 'x'.repeat(3_000) })],
    ['a label on a pod', 'of the metadata only', () => podPatch({ labels: { x: 'y' }, annotations: stamped() })],
    ['a foreign annotation on a pod', 'of the metadata only', () => podPatch({ annotations: { ...stamped(), 'sandbox.aegis.dev/stuck': 'true' } })],
    ['a deadline for a pod', 'stamped, not changed', () => podPatch({ annotations: stamped() }, { spec: { activeDeadlineSeconds: 1 } })],
    ['an eviction that names no remediation', 'has to name its remediation', () => evict(eviction({ metadata: { name: pod['metadata'].name, namespace } }))],
    ['an eviction without preconditions', 'the UID and the resourceVersion', () => evict(eviction({ deleteOptions: {} }))],
    ['an eviction by resourceVersion alone', 'the UID and the resourceVersion', () => evict(eviction({ deleteOptions: { preconditions: { resourceVersion: preconditions().resourceVersion } } }))],
    ['an eviction without a grace period', 'the UID and the resourceVersion', () => evict(eviction({ deleteOptions: { preconditions: preconditions(), gracePeriodSeconds: 0 } }))],
  ])('%s: %s', async (_name, because, forged) => {
    pod = await call('GET', `/api/v1/namespaces/${namespace}/pods/${pod['metadata'].name}`)
    const answer = await forged()
    expect([answer.status >= 400, deniedBy(answer)]).toEqual([true, 'aegis-executor'])
    expect((answer.body as Json)['message']).toContain(because)
  })

  test('a namespace without the label is closed, whatever its roles say', async () => {
    await call('PATCH', `/api/v1/namespaces/${namespace}`, { metadata: { labels: { 'aegis.dev/managed': null } } })
    try {
      const answer = await until403(() => change({ replicas: 3 }))
      expect(deniedBy(answer)).toBe('aegis-executor')
    } finally {
      await call('PATCH', `/api/v1/namespaces/${namespace}`, { metadata: { labels: { 'aegis.dev/managed': 'true' } } })
    }
  })
})

async function until403(sent: () => Promise<Answer>): Promise<Answer> {
  let answer = await sent()
  for (let tries = 0; answer.status < 400 && tries < 100; tries++) answer = await sent()
  return answer
}

describe('the parameter object', () => {
  const path = `/api/v1/namespaces/aegis-system/configmaps/${freezeObject}`
  const write = (data: object | null) => admin.request({ method: 'PATCH', path, body: [{ op: data ? 'add' : 'remove', path: '/data', ...(data && { value: data }) }], contentType: 'application/json-patch+json' })
  afterAll(() => thaw(cluster.kubeconfig))
  test.each<[string, object | null, string]>([
    ['that no guard has written yet', null, 'no guard has said yet'],
    ['that says everything', { state: 'v1', 'freeze.all': 'f' }, 'frozen'],
    ['that says this namespace and action', { state: 'v1', 'freeze.action.scale_deployment': 'f' }, 'frozen'],
    ['that says fewer replicas', { state: 'v1', maxReplicas: '2' }, 'more replicas than the parameter object allows'],
  ])('%s refuses a change and admits a fence', async (_what, data, because) => {
    await thaw(cluster.kubeconfig)
    await write(data)
    const answer = await until403(() => change({ replicas: 3 }))
    expect(deniedBy(answer)).toBe('aegis-executor-freeze')
    expect((answer.body as Json)['message']).toContain(because)
    expect((await change({}, stamped('abandoned'))).status).toBe(200)
  })
  test('that says another namespace and another action refuses nothing here', async () => {
    await thaw(cluster.kubeconfig)
    await write({ state: 'v1', 'freeze.namespace.elsewhere': 'f', 'freeze.action.restart_pod': 'f', [`freeze.namespace.${namespace}.action.restart_pod`]: 'f' })
    expect(deniedBy(await until403(() => evict(eviction())))).toBe('aegis-executor-freeze')
    expect((await change({ replicas: 3 })).status).toBe(200)
  })
})

test('the parameter object cannot be deleted, by name or with its namespace, not even by an administrator', async () => {
  for (const path of [`/api/v1/namespaces/aegis-system/configmaps/${freezeObject}`, '/api/v1/namespaces/aegis-system/configmaps']) {
    const answer = await admin.request({ method: 'DELETE' as never, path, query: { dryRun: 'All' } })
    expect([answer.status >= 400, deniedBy(answer)]).toEqual([true, 'aegis-freeze-object'])
  }
})
