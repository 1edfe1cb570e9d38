import { AppsV1Api, BatchV1Api, CoreV1Api, PatchStrategy, setHeaderOptions, type V1Pod } from '@kubernetes/client-node'
import { Connection } from '@temporalio/client'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { evictionAnnotation, stampAnnotation, withStamp } from '../../domain/stamp.ts'
import { serversOf } from '../../sandbox/processes.ts'
import { auditEvents, clusterNamed, eventually, freshDatabase, freshNamespace, kubeConfig, mutationsBy, stack } from '../helpers/stack.ts'

const cluster = clusterNamed('main')
const admin = kubeConfig(cluster.kubeconfig)
const [apps, core] = [admin.makeApiClient(AppsV1Api), admin.makeApiClient(CoreV1Api)]
const mergePatch = setHeaderOptions('Content-Type', PatchStrategy.MergePatch)

let namespace: string
beforeAll(async () => {
  namespace = await freshNamespace(cluster, 'sandbox')
})

type Workload = { image: string; replicas?: number; progressDeadlineSeconds?: number }

const deployment = (name: string, { image, replicas = 1, progressDeadlineSeconds = 600 }: Workload) => ({
  metadata: { name },
  spec: {
    replicas,
    progressDeadlineSeconds,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'app', image }] } },
  },
})

const deploy = (name: string, workload: Workload) =>
  apps.createNamespacedDeployment({ namespace, body: deployment(name, workload) })

const podsOf = async (name: string): Promise<V1Pod[]> =>
  (await core.listNamespacedPod({ namespace, labelSelector: `app=${name}` })).items

const podOf = async (name: string): Promise<V1Pod | undefined> => (await podsOf(name))[0]

const conditionOf = (pod: V1Pod, type: string) => pod.status?.conditions?.find((condition) => condition.type === type)?.status

const isReady = (pod: V1Pod) => conditionOf(pod, 'Ready') === 'True' && conditionOf(pod, 'ContainersReady') === 'True'

const firstPod = (name: string, holds: (pod: V1Pod) => boolean) =>
  eventually(`a pod of ${name} is as expected`, async () => {
    const pod = await podOf(name)
    return pod && holds(pod) && pod
  })

const containerOf = (pod: V1Pod) => pod.status?.containerStatuses?.[0]

const annotate = (name: string, annotations: Record<string, string | null>) =>
  core.patchNamespacedPod({ namespace, name, body: { metadata: { annotations } } }, mergePatch)

describe('pods behave as their image says', () => {
  test('an ordinary one is ready at once', async () => {
    await deploy('plain', { image: 'shop/checkout:1.4.1', replicas: 3 })
    await eventually('all three replicas are ready', async () => {
      const { status } = await apps.readNamespacedDeployment({ namespace, name: 'plain' })
      return status?.readyReplicas === 3 && status.availableReplicas === 3
    })
    const pods = await podsOf('plain')
    expect(pods.every(isReady)).toBe(true)
    expect(containerOf(pods[0]!)).toMatchObject({ ready: true, started: true, restartCount: 0 })
    expect(containerOf(pods[0]!)?.state?.running?.startedAt).toBeInstanceOf(Date)
  })

  test('`broken` crashes in a loop, with three restarts within seconds', async () => {
    await deploy('crashing', { image: 'shop/checkout:1.4.2-broken' })
    const pod = await firstPod('crashing', (each) => (containerOf(each)?.restartCount ?? 0) >= 3)
    expect(pod.status?.phase).toBe('Running')
    expect(conditionOf(pod, 'Ready')).toBe('False')
    expect(conditionOf(pod, 'ContainersReady')).toBe('False')
    expect(containerOf(pod)).toMatchObject({
      ready: false,
      started: false,
      state: { waiting: { reason: 'CrashLoopBackOff' } },
      lastState: { terminated: { reason: 'Error', exitCode: 1 } },
    })
  })

  test('`oom` is killed for its memory, again and again', async () => {
    await deploy('hungry', { image: 'shop/report:2-oom' })
    const pod = await firstPod('hungry', (each) => (containerOf(each)?.restartCount ?? 0) >= 3)
    expect(containerOf(pod)).toMatchObject({
      ready: false,
      state: { waiting: { reason: 'CrashLoopBackOff' } },
      lastState: { terminated: { reason: 'OOMKilled', exitCode: 137 } },
    })
  })

  test('`missing` cannot be pulled', async () => {
    await deploy('absent', { image: 'shop/missing:1' })
    const pod = await firstPod('absent', (each) => containerOf(each)?.state?.waiting?.reason === 'ImagePullBackOff')
    expect(pod.status?.phase).toBe('Pending')
    expect(conditionOf(pod, 'Ready')).toBe('False')
    expect(containerOf(pod)).toMatchObject({ ready: false, started: false, restartCount: 0 })
  })

  test('`neverready` runs and stays unready', async () => {
    await deploy('sulking', { image: 'shop/neverready:1' })
    const pod = await firstPod('sulking', (each) => containerOf(each)?.state?.running !== undefined)
    expect(pod.status?.phase).toBe('Running')
    expect(conditionOf(pod, 'Ready')).toBe('False')
    expect(containerOf(pod)).toMatchObject({ ready: false, started: true, restartCount: 0 })
  })

  test('`slow` takes about six seconds', async () => {
    await deploy('slow', { image: 'shop/slow:1' })
    const pod = await firstPod('slow', isReady)
    const started = containerOf(pod)?.state?.running?.startedAt?.getTime() ?? 0
    const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime?.getTime() ?? 0
    expect(ready - started).toBeGreaterThanOrEqual(5_000)
    expect(ready - started).toBeLessThanOrEqual(9_000)
  })

  test('a pod annotated as stuck stops being ready; its replacement is healthy', async () => {
    await deploy('stuck', { image: 'shop/cart:1' })
    const healthy = await firstPod('stuck', isReady)
    await annotate(healthy.metadata!.name!, { 'sandbox.aegis.dev/stuck': 'true' })
    const stuck = await firstPod('stuck', (pod) => !isReady(pod))
    expect(containerOf(stuck)).toMatchObject({ ready: false, state: { running: {} } })

    await core.deleteNamespacedPod({ namespace, name: stuck.metadata!.name! })
    const replacement = await firstPod('stuck', (pod) => pod.metadata?.uid !== stuck.metadata?.uid && isReady(pod))
    expect(replacement.metadata?.name).not.toBe(stuck.metadata?.name)
    await eventually('the stuck pod is gone', async () => (await podsOf('stuck')).length === 1)
  })

  test('`fragile` stops being ready when told to, and recovers', async () => {
    await deploy('fragile', { image: 'shop/fragile:1' })
    const name = (await firstPod('fragile', isReady)).metadata!.name!
    await annotate(name, { 'sandbox.aegis.dev/unready': 'true' })
    await firstPod('fragile', (pod) => !isReady(pod))
    await annotate(name, { 'sandbox.aegis.dev/unready': null })
    await firstPod('fragile', isReady)
  })
})

test('a job runs once and is complete', async () => {
  const batch = admin.makeApiClient(BatchV1Api)
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'app', image: 'shop/export:1' }] } }
  await batch.createNamespacedJob({ namespace, body: { metadata: { name: 'export' }, spec: { template } } })
  await eventually('the job is complete', async () => (await batch.readNamespacedJob({ namespace, name: 'export' })).status?.succeeded === 1)
})

test('a rollout to a broken image leaves the old pods alone and exceeds its deadline', async () => {
  await deploy('rollout', { image: 'shop/search:1', replicas: 2, progressDeadlineSeconds: 3 })
  const read = async () => (await apps.readNamespacedDeployment({ namespace, name: 'rollout' })).status
  await eventually('the first version is ready', async () => (await read())?.readyReplicas === 2)
  const body = { spec: { template: { spec: { containers: [{ name: 'app', image: 'shop/search:2-broken' }] } } } }
  await apps.patchNamespacedDeployment({ namespace, name: 'rollout', body }, setHeaderOptions('Content-Type', PatchStrategy.StrategicMergePatch))

  const status = await eventually('the rollout exceeds its deadline', async () => {
    const now = await read()
    return now?.conditions?.some(({ reason }) => reason === 'ProgressDeadlineExceeded') && now
  })
  expect(status).toMatchObject({ readyReplicas: 2, updatedReplicas: 1, unavailableReplicas: 1 })
})

test('a node annotated as not ready says so, and comes back', async () => {
  const [name, key] = ['node-3', 'sandbox.aegis.dev/not-ready']
  const readiness = async () =>
    (await core.readNode({ name })).status?.conditions?.find(({ type }) => type === 'Ready')?.status
  await core.patchNode({ name, body: { metadata: { annotations: { [key]: 'true' } } } }, mergePatch)
  await eventually('the node is not ready', async () => (await readiness()) === 'False')
  await eventually('the node is tainted', async () =>
    (await core.readNode({ name })).spec?.taints?.some((taint) => taint.key === 'node.kubernetes.io/not-ready'),
  )
  await core.patchNode({ name, body: { metadata: { annotations: { [key]: null } } } }, mergePatch)
  await eventually('the node is ready again', async () => (await readiness()) === 'True')
  await eventually('the node takes pods again', async () => !(await core.readNode({ name })).spec?.taints?.length)
})

describe('identities', () => {
  let pod: V1Pod
  beforeAll(async () => {
    await deploy('subject', { image: 'shop/mail:1' })
    pod = await firstPod('subject', isReady)
  })

  const as = (kubeconfig: string) => {
    const config = kubeConfig(kubeconfig)
    return { core: config.makeApiClient(CoreV1Api), apps: config.makeApiClient(AppsV1Api) }
  }
  const eviction = () => ({
    name: pod.metadata!.name!,
    namespace,
    body: { metadata: { name: pod.metadata!.name!, annotations: { [evictionAnnotation]: 'by-hand' } }, deleteOptions: { preconditions: { uid: pod.metadata!.uid!, resourceVersion: pod.metadata!.resourceVersion! } } },
  })
  const annotations = { [stampAnnotation]: withStamp([], 'by-hand', 'applied') }
  const stamp = () => ({ name: pod.metadata!.name!, namespace, body: { metadata: { annotations } } })
  const scale = { name: 'subject', namespace: '', body: { metadata: { annotations }, spec: { replicas: 2 } } }

  test('the observer reads, and is refused every write', async () => {
    const observer = as(cluster.observerKubeconfig)
    expect((await observer.core.listNamespacedPod({ namespace })).items.length).toBeGreaterThan(0)
    expect((await observer.apps.readNamespacedDeployment({ namespace, name: 'subject' })).metadata?.name).toBe('subject')
    const refused = { code: 403 }
    await expect(observer.apps.patchNamespacedDeployment({ ...scale, namespace }, mergePatch)).rejects.toMatchObject(refused)
    await expect(observer.core.patchNamespacedPod(stamp(), mergePatch)).rejects.toMatchObject(refused)
    await expect(observer.core.createNamespacedPodEviction(eviction())).rejects.toMatchObject(refused)
    await expect(observer.core.listNamespacedSecret({ namespace })).rejects.toMatchObject(refused)
  })

  test('the executor evicts, stamps and scales, and does nothing else', async () => {
    const executor = as(cluster.executorKubeconfig)
    await executor.core.createNamespacedPodEviction({ ...eviction(), dryRun: 'All' })
    expect((await podOf('subject'))?.metadata?.uid).toBe(pod.metadata?.uid)
    await executor.core.patchNamespacedPod({ ...stamp(), dryRun: 'All' }, mergePatch)
    await executor.apps.patchNamespacedDeployment({ ...scale, namespace, dryRun: 'All' }, mergePatch)
    const refused = { code: 403 }
    await expect(executor.core.deleteNamespacedPod({ name: pod.metadata!.name!, namespace })).rejects.toMatchObject(refused)
    await expect(executor.core.listNamespacedSecret({ namespace })).rejects.toMatchObject(refused)
    await expect(executor.apps.deleteNamespacedDeployment({ name: 'subject', namespace })).rejects.toMatchObject(refused)
  })

  test('the audit log holds the one eviction that took effect, with its precondition', async () => {
    const executor = as(cluster.executorKubeconfig)
    await executor.core.createNamespacedPodEviction({ ...eviction(), dryRun: 'All' })
    const hidden = eviction()
    Object.assign(hidden.body.deleteOptions, { dryRun: ['All'] })
    await executor.core.createNamespacedPodEviction(hidden)
    await executor.core.createNamespacedPodEviction(eviction())

    const { name, uid } = pod.metadata!
    const effects = await eventually('the eviction is in the log', () => {
      const found = mutationsBy(cluster, { userAgentPrefix: 'kubernetes-client-javascript', namespace })
      const evictions = found.filter(({ objectRef }) => objectRef?.subresource === 'eviction')
      return evictions.length > 0 && evictions
    })
    expect(effects).toHaveLength(1)
    expect(effects[0]).toMatchObject({
      verb: 'create',
      user: { username: 'system:serviceaccount:aegis-system:aegis-executor' },
      objectRef: { resource: 'pods', name },
      requestObject: { deleteOptions: { preconditions: { uid } } },
      responseStatus: { code: 201 },
    })
  })

  test('the audit log is no heap of heartbeats', () => {
    expect(auditEvents(cluster, ({ verb }) => ['get', 'list', 'watch'].includes(verb))).toHaveLength(0)
    expect(auditEvents(cluster, ({ objectRef }) => objectRef?.resource === 'leases')).toHaveLength(0)
  })
})

test('Temporal answers and knows the search attributes', async () => {
  const connection = await Connection.connect({ address: stack.temporal.address })
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace: 'default' })
  expect(Object.keys(customAttributes)).toEqual(expect.arrayContaining(['AegisTarget', 'AegisOutcome', 'AegisNeedsApproval']))
  await connection.close()
  expect((await fetch(stack.temporal.uiUrl)).status).toBe(200)
})

test('PostgreSQL gives each test a database and each role a login without more rights than its own', async () => {
  const database = await freshDatabase()
  const ask = async (connectionString: string, sql: string) => {
    const client = new pg.Client({ connectionString })
    await client.connect()
    return client.query(sql).finally(() => client.end())
  }
  await ask(database.ownerUrl, 'create table kept (id int); create role sandbox_reader nologin; grant select on kept to sandbox_reader')
  await database.allowLogin(['sandbox_reader'])
  const asReader = database.urlFor('sandbox_reader')
  expect((await ask(asReader, 'select current_user, count(*)::int as n from kept')).rows).toEqual([{ current_user: 'sandbox_reader', n: 0 }])
  await expect(ask(asReader, 'insert into kept values (1)')).rejects.toMatchObject({ code: '42501' })
  expect((await ask(database.ownerUrl, 'show fsync')).rows).toEqual([{ fsync: 'on' }])
  await ask(database.ownerUrl, 'drop owned by sandbox_reader; drop role sandbox_reader')
  await database.drop()
  await expect(ask(database.ownerUrl, 'select 1')).rejects.toMatchObject({ code: '3D000' })
})

describe('a stack of its own', () => {
  const directory = mkdtempSync(join(tmpdir(), 'aegis-sandbox-'))
  const script = fileURLToPath(new URL('../../sandbox/up.ts', import.meta.url))
  const started: ChildProcess[] = []

  afterAll(async () => {
    for (const child of started) child.kill('SIGKILL')
    await eventually('nothing of it runs', () => serversOf(directory).length === 0)
    rmSync(directory, { recursive: true, force: true })
  })

  const up = () => {
    const { NODE_OPTIONS: _jestOnly, ...env } = process.env
    const child = spawn(process.execPath, ['--import', 'tsx', script, directory], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    started.push(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
    const ready = () => eventually('the stack is up', () => output.includes('stack.json') || child.exitCode !== null, 50_000)
    return { child, ended, ready, output: () => output }
  }

  test('says so when started twice, stops in order on SIGTERM, and dies with a killed starter', async () => {
    const first = up()
    await first.ready()
    expect(serversOf(directory).length).toBeGreaterThan(6)
    expect(statSync(join(directory, 'stack.json')).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(join(directory, 'stack.json'), 'utf8'))).toMatchObject({ clusters: [{ name: 'main' }] })

    const second = up()
    expect(await second.ended).toBe(1)
    expect(second.output().trim()).toBe(
      `a stack is already running in ${directory} (process ${first.child.pid}): stop it first, or choose another directory`,
    )

    first.child.kill('SIGTERM')
    await first.ended
    expect(first.child.signalCode).toBe('SIGTERM')
    expect(serversOf(directory)).toEqual([])

    const third = up()
    await third.ready()
    third.child.kill('SIGKILL')
    await third.ended
    await eventually('the watchdog has ended all servers', () => serversOf(directory).length === 0, 10_000)
  }, 120_000)
})
