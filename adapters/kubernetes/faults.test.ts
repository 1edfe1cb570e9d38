import { expect, test } from '@jest/globals'
import type { V1Deployment, V1Pod, V1ReplicaSet, V1StatefulSet } from '@kubernetes/client-node'
import { classify } from '../../domain/faults.ts'
import { workloadFacts, type ClusterObjects } from './faults.ts'

/** Objects as an API server gives them; `at(n)` is n seconds after the rollout of revision 2 began. */
const begun = Date.parse('2026-11-21T10:00:00Z')
const at = (seconds: number) => new Date(begun + seconds * 1_000).toISOString().replace('.000', '')
const json = <T>(value: unknown) => value as T

const none: ClusterObjects = { deployments: [], statefulSets: [], daemonSets: [], replicaSets: [], pods: [], nodes: [], namespaces: [] }
const owner = (kind: string, uid: string) => ({ ownerReferences: [{ apiVersion: 'apps/v1', kind, name: uid, uid, controller: true }] })

type Progress = { reason: string; status?: string; total?: number; updated?: number }
const done: Progress = { reason: 'NewReplicaSetAvailable' }
const rolling: Progress = { reason: 'ReplicaSetUpdated', total: 3, updated: 1 }
const overdue: Progress = { reason: 'ProgressDeadlineExceeded', status: 'False', total: 3, updated: 1 }

const deployment = ({ reason, status = 'True', total = 2, updated = 2 }: Progress, metadata: object = {}, runs: object = template('web:2')) =>
  json<V1Deployment>({
    metadata: { name: 'web', namespace: 'shop', uid: 'web', generation: 2, annotations: { 'deployment.kubernetes.io/revision': '2' }, ...metadata },
    spec: { replicas: 2, template: runs },
    status: { observedGeneration: 2, replicas: total, updatedReplicas: updated, conditions: [{ type: 'Progressing', status, reason, lastTransitionTime: at(600), lastUpdateTime: at(600) }] },
  })

const replicaSet = (uid: string, revision: number, template: object, createdSeconds: number, availableReplicas = 0) =>
  json<V1ReplicaSet>({
    metadata: { name: uid, namespace: 'shop', uid, creationTimestamp: at(createdSeconds), annotations: { 'deployment.kubernetes.io/revision': `${revision}` }, ...owner('Deployment', 'web') },
    spec: { template },
    status: { availableReplicas },
  })

const template = (image: string, restartedAt?: string, hash?: string) => ({
  metadata: { labels: { app: 'web', 'pod-template-hash': hash ?? image }, ...(restartedAt ? { annotations: { 'kubectl.kubernetes.io/restartedAt': restartedAt } } : {}) },
  spec: { containers: [{ name: 'app', image, env: [{ name: 'PASSWORD', value: 'planted-secret' }] }] },
})
const earlier = replicaSet('old', 1, template('web:1'), -86_400, 1)
const current = replicaSet('new', 2, template('web:2'), 0)

type Status = { phase?: string; ready?: string; readySeconds?: number; container?: object; init?: object[]; node?: string; metadata?: object }

const running = { state: { running: { startedAt: at(1) } }, lastState: {} }
const pod = (name: string, replicaSetUid: string, { phase = 'Running', ready = 'True', readySeconds = 1, container = running, init, node = 'node-1', metadata }: Status) =>
  json<V1Pod>({
    metadata: { name, namespace: 'shop', uid: name, creationTimestamp: at(1), ...owner('ReplicaSet', replicaSetUid), ...metadata },
    spec: { nodeName: node },
    status: {
      phase,
      conditions: [
        { type: 'Initialized', status: 'True', lastTransitionTime: at(1) },
        { type: 'Ready', status: ready, lastTransitionTime: at(readySeconds) },
      ],
      initContainerStatuses: init,
      containerStatuses: [{ name: 'app', ready: ready === 'True', restartCount: 0, image: '', imageID: '', ...container }],
    },
  })

const unready = { ready: 'False' }
const waiting = (reason: string, restartCount = 0, terminated?: object) =>
  ({ ...unready, container: { restartCount, state: { waiting: { reason, message: 'planted-secret' } }, lastState: terminated ? { terminated: { startedAt: at(600), finishedAt: at(601), ...terminated } } : {} } })
const crashes = waiting('CrashLoopBackOff', 4, { exitCode: 1, reason: 'Error' })
const fine = {}

const nowMs = begun + 660_000
const classes = (objects: Partial<ClusterObjects>) =>
  workloadFacts('main', { ...none, ...objects }, nowMs).flatMap((workload) => classify(workload, nowMs)).map(({ fault, afterRollout }) => (afterRollout ? `${fault} after rollout` : fault))
const seen = (progress: Progress, ...pods: V1Pod[]) => classes({ deployments: [deployment(progress)], replicaSets: [earlier, current], pods })

test.each<[string, Progress, V1Pod[], string[]]>([
  ['two ready pods', done, [pod('a', 'new', fine), pod('b', 'new', fine)], []],
  ['a new pod that starts slowly', rolling, [pod('a', 'old', fine), pod('b', 'new', unready)], []],
  ['new pods that all exist and are not up yet', { ...rolling, total: 2, updated: 2 }, [pod('a', 'new', unready), pod('b', 'new', unready)], []],
  ['a rollout the controller gave up on', overdue, [pod('a', 'old', fine), pod('b', 'new', unready)], ['stuck_rollout after rollout']],
  ['a new pod whose image is not there', rolling, [pod('a', 'old', fine), pod('b', 'new', { ...waiting('ImagePullBackOff'), phase: 'Pending' })], ['stuck_rollout after rollout']],
  ['a new pod that crashes', rolling, [pod('a', 'old', fine), pod('b', 'new', crashes)], ['stuck_rollout after rollout']],
  ['a crash loop right after its rollout', done, [pod('a', 'new', fine), pod('b', 'new', crashes)], ['crash_loop after rollout']],
  ['an OOM kill, between two back-offs', done, [pod('a', 'new', { ...unready, container: { restartCount: 3, ...running, lastState: { terminated: { exitCode: 137, reason: 'OOMKilled', finishedAt: at(630) } } } })], ['oom_killed after rollout']],
  ['an init container that crashes', done, [pod('a', 'new', { ...waiting('PodInitializing'), phase: 'Pending', init: [{ name: 'migrate', restartCount: 5, ready: false, state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 2, reason: 'Error', finishedAt: at(650) } } }] }), pod('b', 'new', fine)], ['crash_loop after rollout']],
  ['an init container that has done its work', done, [pod('a', 'new', { init: [{ name: 'migrate', restartCount: 0, ready: true, state: { terminated: { exitCode: 0, reason: 'Completed', finishedAt: at(2) } } }] })], []],
  ['a pod that was ready and hangs', done, [pod('a', 'new', { ...unready, readySeconds: 300 }), pod('b', 'new', fine)], ['stuck_pod']],
  ['a pod that was never ready', done, [pod('a', 'new', unready), pod('b', 'new', fine)], ['never_ready']],
  ['a missing ConfigMap', done, [pod('a', 'new', { ...waiting('CreateContainerConfigError'), phase: 'Pending' }), pod('b', 'new', fine)], ['never_ready']],
  ['a pod that nobody can place', done, [pod('a', 'new', { ...unready, phase: 'Pending', node: '', container: waiting('ContainerCreating').container }), pod('b', 'new', fine)], ['never_ready']],
  ['a hanging pod on its way out', done, [pod('a', 'new', { ...unready, readySeconds: 300, metadata: { deletionTimestamp: at(640) } }), pod('b', 'new', fine)], []],
])('%s', (_name, progress, pods, expected) => expect(seen(progress, ...pods)).toEqual(expected))

const hanging = [pod('a', 'new', { ...unready, readySeconds: 300 }), pod('b', 'new', fine)]
const all: Partial<ClusterObjects> = { deployments: [deployment(done)], replicaSets: [earlier, current], pods: hanging }

test('the ignore annotation counts on the workload, its namespace and the pod', () => {
  const annotations = { 'aegis.dev/ignore': 'true' }
  expect(classes(all)).toEqual(['stuck_pod'])
  expect(classes({ ...all, deployments: [deployment(done, { annotations: { ...annotations, 'deployment.kubernetes.io/revision': '2' } })] })).toEqual([])
  expect(classes({ ...all, namespaces: [{ metadata: { name: 'shop', annotations } }] })).toEqual([])
  expect(classes({ ...all, pods: [pod('a', 'new', { ...unready, readySeconds: 300, metadata: { annotations } })] })).toEqual([])
})

test('a node that stopped reporting takes its pods out of the picture', () => {
  const node = (status: string) => json<ClusterObjects['nodes'][number]>({ metadata: { name: 'node-1' }, status: { conditions: [{ type: 'Ready', status }] } })
  expect(classes({ ...all, nodes: [node('True')] })).toEqual(['stuck_pod'])
  expect(classes({ ...all, nodes: [node('Unknown')] })).toEqual([])
})

test('a generation the controller has not seen yet is no fault', () => {
  expect(classes({ ...all, deployments: [deployment(overdue, { generation: 3 })] })).toEqual([])
})

test('a rolling restart is no earlier revision to go back to', () => {
  const restarted = replicaSet('new', 2, template('web:1', at(0), 'other'), 0)
  const broken = [pod('a', 'old', fine), pod('b', 'new', crashes)]
  const objects = { deployments: [deployment(rolling, {}, restarted.spec?.template)], replicaSets: [earlier, restarted], pods: broken }
  expect(classes(objects)).toEqual(['crash_loop'])
  expect(classes({ ...objects, deployments: [deployment(rolling)], replicaSets: [earlier, current] })).toEqual(['stuck_rollout after rollout'])
})

test('a revision that was never seen available is nothing to go back to', () => {
  const neverUp = replicaSet('old', 1, template('web:1'), -60)
  expect(classes({ deployments: [deployment(rolling)], replicaSets: [neverUp, current], pods: [pod('b', 'new', crashes)] })).toEqual(['crash_loop'])
})

test('a revision brought back began when its pods did', () => {
  const back = replicaSet('new', 3, template('web:0'), -200_000)
  back.metadata!.annotations!['deployment.kubernetes.io/revision-history'] = '1'
  const objects = { ...none, deployments: [deployment(done, { annotations: { 'deployment.kubernetes.io/revision': '3' } }, back.spec?.template)], replicaSets: [back, earlier], pods: hanging }
  expect(workloadFacts('main', objects, nowMs)[0]?.rollout).toMatchObject({ revisionId: 'new@3', startedAtMs: begun + 1_000, hasEarlier: true })
})

test('a stateful set whose update stands still counts as stuck after ten minutes', () => {
  const set = json<V1StatefulSet>({
    metadata: { name: 'db', namespace: 'shop', uid: 'db', generation: 2, creationTimestamp: at(-86_400) },
    spec: { replicas: 2 },
    status: { observedGeneration: 2, updatedReplicas: 1, currentRevision: 'db-1', updateRevision: 'db-2' },
  })
  const objects = { ...none, statefulSets: [set], pods: [{ ...pod('db-1', '', unready), metadata: { ...pod('db-1', '', unready).metadata, ...owner('StatefulSet', 'db') } }] }
  const [facts] = workloadFacts('main', objects, nowMs)
  if (!facts) throw new Error('no facts')
  expect(classify(facts, begun + 599_000)).toEqual([])
  expect(classify(facts, nowMs).map(({ fault }) => fault)).toEqual(['never_ready'])
})

test('dates of the typed client and text of a watch mean the same', () => {
  const typed = JSON.parse(JSON.stringify(all), (_key, value: unknown) => (typeof value === 'string' && /^\d{4}-.*Z$/.test(value) ? new Date(value) : value)) as ClusterObjects
  expect(workloadFacts('main', { ...none, ...typed }, nowMs)).toEqual(workloadFacts('main', { ...none, ...all }, nowMs))
})

test('no template, environment or message gets through', () => {
  const objects = { ...none, ...all, pods: [...hanging, pod('c', 'new', crashes)] }
  const facts = workloadFacts('main', objects, nowMs)
  expect(JSON.stringify([facts, facts.flatMap((workload) => classify(workload, nowMs))])).not.toContain('planted-secret')
})
