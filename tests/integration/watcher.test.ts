import { AppsV1Api, CoreV1Api, type V1Deployment } from '@kubernetes/client-node'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { clusterNamed, eventually, freshNamespace, kubeConfig, mutationsBy } from '../helpers/stack.ts'
import { knownReady } from '../helpers/subjects.ts'
import { openDatabase, type TestDatabase } from './postgres/database.ts'

/** Real objects, real watchers as processes of their own, real PostgreSQL. Dwell is short here; the rules are otherwise the default ones. */
const dwellSeconds = 3
/** What detection may take beyond the dwell: a look every 2 s, three of them, and the request itself. */
const slackMs = 8_000

const main = clusterNamed('main')
const edge = clusterNamed('edge')
const apps = kubeConfig(main.kubeconfig).makeApiClient(AppsV1Api)
const core = kubeConfig(main.kubeconfig).makeApiClient(CoreV1Api)

let database: TestDatabase
let folder: string
/** For the fault that takes a minute: it is followed while the other tests run. */
let patient: Watcher
const running: Watcher[] = []

beforeAll(async () => {
  database = await openDatabase()
  folder = mkdtempSync(join(tmpdir(), 'aegis-watcher-'))
  const rules = readFileSync('rules/default.yaml', 'utf8').replaceAll(/dwellSeconds: \d+/g, `dwellSeconds: ${dwellSeconds}`)
  writeFileSync(join(folder, 'rules.yaml'), rules)
  const namespace = await freshNamespace(main, 'watch-never')
  await deploy(namespace, 'never', 'shop:neverready', { progressDeadlineSeconds: 2 })
  patient = await startWatcher({ AEGIS_WATCH_NAMESPACES: namespace })
  running.pop()
})
afterEach(async () => {
  await Promise.all(running.splice(0).map((watcher) => watcher.stop()))
})
afterAll(async () => {
  await patient.stop()
  await database.close()
  rmSync(folder, { recursive: true, force: true })
})

type Line = Record<string, unknown> & { msg: string; time: string }
type Watcher = { lines: Line[]; healthPort: number; stop(): Promise<void>; said(msg: string, fields?: object): Line[] }

async function startWatcher(env: NodeJS.ProcessEnv): Promise<Watcher> {
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', 'workers/watcher.ts'], {
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: database.urlOf('api'),
      AEGIS_CLUSTERS: `main=${main.observerKubeconfig}`,
      AEGIS_RULES_FILE: join(folder, 'rules.yaml'),
      AEGIS_MAJORITY_STOP_PERCENT: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: Line[] = []
  createInterface({ input: child.stdout! }).on('line', (line) => lines.push(JSON.parse(line) as Line))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const said = (msg: string, fields: object = {}) =>
    lines.filter((line) => line.msg === msg && Object.entries(fields).every(([key, value]) => line[key] === value))
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  const watcher = { lines, said, stop, healthPort: 0 }
  running.push(watcher)
  watcher.healthPort = await eventually('the watcher says where its health is', () => said('watching')[0]?.['healthPort'] as number | undefined)
  await eventually('the watcher sees the cluster', () => said('the cluster is in view', { cluster: 'main' }).length > 0)
  return watcher
}

const manifest = (name: string, image: string, { replicas = 3, progressDeadlineSeconds = 600 } = {}): V1Deployment => ({
  metadata: { name },
  spec: {
    replicas,
    progressDeadlineSeconds,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'app', image }] } },
  },
})

const deploy = (namespace: string, name: string, image: string, options = {}) =>
  apps.createNamespacedDeployment({ namespace, body: manifest(name, image, options) })

const available = (namespace: string, name: string) =>
  eventually(`${name} is available`, async () => {
    const { spec, status } = await apps.readNamespacedDeployment({ namespace, name })
    const done = status?.conditions?.some(({ reason }) => reason === 'NewReplicaSetAvailable')
    return done && status?.availableReplicas === spec?.replicas
  })

async function setImage(namespace: string, name: string, image: string): Promise<void> {
  const deployment = await apps.readNamespacedDeployment({ namespace, name })
  deployment.spec!.template.spec!.containers[0]!.image = image
  await apps.replaceNamespacedDeployment({ namespace, name, body: deployment })
}

async function annotatePod(namespace: string, app: string, key: string, value: string | undefined): Promise<string> {
  const chosen = async () => {
    const { items } = await core.listNamespacedPod({ namespace, labelSelector: `app=${app}` })
    const pod = items.find(({ metadata }) => value !== undefined || metadata?.annotations?.[key])
    if (!pod) throw new Error(`${app} has no pod`)
    return pod
  }
  await knownReady(await chosen())
  const pod = await chosen()
  const { [key]: _was, ...others } = pod.metadata!.annotations ?? {}
  pod.metadata!.annotations = value === undefined ? others : { ...others, [key]: value }
  await core.replaceNamespacedPod({ namespace, name: pod.metadata!.name!, body: pod })
  return pod.metadata!.name!
}

type Row = { action: string; kind: string; name: string; fault: string; door: string; accepted_at: Date; reason: string; fingerprint: string }
const requestsIn = (namespace: string): Promise<Row[]> => database.owner('ledger.request').where({ namespace }).orderBy('accepted_at')

describe('each fault is found within its dwell and a few seconds', () => {
  const limitMs = dwellSeconds * 1_000 + slackMs
  const found: { fault: string; ms: number }[] = []
  afterAll(() => console.log(`detected after (dwell ${dwellSeconds} s): ${found.map(({ fault, ms }) => `${fault} ${(ms / 1_000).toFixed(1)} s`).join(', ')}`))

  test('those that can be cured become requests, the others only incidents, and nothing else does', async () => {
    const namespace = await freshNamespace(main, 'watch')
    for (const name of ['healthy', 'image', 'crashes', 'hangs', 'ignored']) await deploy(namespace, name, 'shop:1')
    await Promise.all(['healthy', 'image', 'crashes', 'hangs', 'ignored'].map((name) => available(namespace, name)))
    await apps.patchNamespacedDeployment({ namespace, name: 'ignored', body: [{ op: 'add', path: '/metadata/annotations/aegis.dev~1ignore', value: 'true' }] })
    const watcher = await startWatcher({ AEGIS_WATCH_NAMESPACES: namespace })

    const begunMs = Date.now()
    await Promise.all([
      setImage(namespace, 'image', 'shop:missing'),
      setImage(namespace, 'crashes', 'shop:crash'),
      setImage(namespace, 'healthy', 'shop:2'),
      setImage(namespace, 'ignored', 'shop:crash'),
      annotatePod(namespace, 'hangs', 'sandbox.aegis.dev/stuck', 'true'),
      deploy(namespace, 'oom', 'shop:oom'),
      deploy(namespace, 'firstcrash', 'shop:crash'),
      deploy(namespace, 'firstimage', 'shop:missing'),
      deploy(namespace, 'starting', 'shop:neverready'),
      deploy(namespace, 'slow', 'shop:slow'),
    ])

    await eventually('three requests are there', async () => (await requestsIn(namespace)).length >= 3, limitMs + 5_000)
    const requests = await requestsIn(namespace)
    for (const { name, accepted_at } of requests) found.push({ fault: name, ms: accepted_at.getTime() - begunMs })
    expect(requests.map(({ name, fault, action, door }) => ({ name: name.replace(/^hangs-.*/, 'hangs pod'), fault, action, door })).toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
      { name: 'crashes', fault: 'stuck_rollout', action: 'rollback_deployment', door: 'watcher' },
      { name: 'hangs pod', fault: 'stuck_pod', action: 'restart_pod', door: 'watcher' },
      { name: 'image', fault: 'stuck_rollout', action: 'rollback_deployment', door: 'watcher' },
    ])
    for (const { accepted_at } of requests) expect(accepted_at.getTime() - begunMs).toBeLessThan(limitMs)

    const only = 'an incident that leads to no action'
    const recorded = [['oom_killed', 'oom'], ['crash_loop', 'firstcrash'], ['image_pull', 'firstimage']] as const
    for (const [fault, name] of recorded) {
      const line = await eventually(`${fault} is told`, () => watcher.said(only, { fault, workload: `Deployment/${name}` })[0], limitMs)
      found.push({ fault, ms: Date.parse(line.time) - begunMs })
    }
    expect(await requestsIn(namespace)).toHaveLength(3)
    const told = new Set(watcher.lines.filter(({ fault }) => fault !== undefined).map(({ workload }) => workload))
    for (const quiet of ['healthy', 'slow', 'starting', 'ignored']) expect(told).not.toContain(`Deployment/${quiet}`)
    expect(mutationsBy(main, { userAgentPrefix: 'aegis-watcher', namespace })).toEqual([])
  }, 90_000)
})

test('two watchers make the same request once', async () => {
  const namespace = await freshNamespace(main, 'watch-two')
  await deploy(namespace, 'web', 'shop:1')
  await deploy(namespace, 'api', 'shop:1')
  await Promise.all([available(namespace, 'web'), available(namespace, 'api')])
  const [one, two] = await Promise.all([startWatcher({ AEGIS_WATCH_NAMESPACES: namespace }), startWatcher({ AEGIS_WATCH_NAMESPACES: namespace })])
  await Promise.all([setImage(namespace, 'web', 'shop:crash'), annotatePod(namespace, 'api', 'sandbox.aegis.dev/stuck', 'true')])

  const bothSaid = (fault: string) => eventually(`both tell of ${fault}`, () => one.said('an incident', { fault }).length > 0 && two.said('an incident', { fault }).length > 0, 30_000)
  await Promise.all([bothSaid('stuck_rollout'), bothSaid('stuck_pod')])
  expect((await requestsIn(namespace)).map(({ action }) => action).toSorted()).toEqual(['restart_pod', 'rollback_deployment'])
  const remediations = (watcher: Watcher) => watcher.said('an incident').map((line) => String(line['remediation'])).toSorted()
  expect(remediations(one)).toEqual(remediations(two))
  expect([...one.said('an incident'), ...two.said('an incident')].map((line) => String(line['accepted'])).toSorted()).toEqual(['known', 'known', 'new', 'new'])
}, 90_000)

test('a fault that goes away by itself is told to whoever still waits', async () => {
  const namespace = await freshNamespace(main, 'watch-over')
  await deploy(namespace, 'web', 'shop:fragile')
  await available(namespace, 'web')
  const watcher = await startWatcher({ AEGIS_WATCH_NAMESPACES: namespace })
  await annotatePod(namespace, 'web', 'sandbox.aegis.dev/unready', 'true')
  await eventually('the request is there', async () => (await requestsIn(namespace)).length === 1, 30_000)
  await database.owner('ledger.request').where({ namespace }).update({ phase: 'awaiting_approval' })

  await annotatePod(namespace, 'web', 'sandbox.aegis.dev/unready', undefined)
  const [over] = await eventually('it is over', () => {
    const lines = watcher.said('an incident is over')
    return lines.length > 0 && lines
  }, 30_000)
  expect(over?.['told']).toHaveLength(1)
}, 90_000)

test('a fault shorter than its dwell asks for nothing', async () => {
  const namespace = await freshNamespace(main, 'watch-flap')
  await deploy(namespace, 'web', 'shop:fragile')
  await available(namespace, 'web')
  const watcher = await startWatcher({ AEGIS_WATCH_NAMESPACES: namespace })
  for (let flap = 0; flap < 3; flap++) {
    await annotatePod(namespace, 'web', 'sandbox.aegis.dev/unready', 'true')
    await sleep(1_500)
    await annotatePod(namespace, 'web', 'sandbox.aegis.dev/unready', undefined)
    await sleep(1_500)
  }
  expect(await requestsIn(namespace)).toEqual([])
  expect(watcher.said('an incident')).toEqual([])
}, 90_000)

test('an unhealthy majority stops requests, loudly', async () => {
  const namespace = await freshNamespace(main, 'watch-many')
  const names = ['a', 'b', 'c', 'd']
  for (const name of names) await deploy(namespace, name, 'shop:1')
  await Promise.all(names.map((name) => available(namespace, name)))
  const watcher = await startWatcher({ AEGIS_WATCH_NAMESPACES: namespace, AEGIS_MAJORITY_STOP_PERCENT: '40' })
  await Promise.all(names.slice(0, 2).map((name) => setImage(namespace, name, 'shop:crash')))
  await eventually('it says so', () => watcher.lines.some(({ msg }) => msg.startsWith('unhealthy majority')), 30_000)
  const metrics = async () => (await fetch(`http://127.0.0.1:${watcher.healthPort}/metrics`)).text()
  await eventually('both faults are due and held', async () => /aegis_watcher_held_requests\{[^}]*guard="majority"[^}]*\} 2/.test(await metrics()), 30_000)
  expect(await metrics()).toMatch(/aegis_watcher_majority_stop\{[^}]*cluster="main"[^}]*\} 1/)
  expect(await requestsIn(namespace)).toEqual([])

  await setImage(namespace, 'a', 'shop:1')
  await eventually('the other is asked for then', async () => (await requestsIn(namespace)).map(({ name }) => name).join() === 'b', 30_000)
}, 120_000)

test('a cluster that does not answer shows in readiness, and the others go on', async () => {
  const namespace = await freshNamespace(main, 'watch-edge')
  await deploy(namespace, 'web', 'shop:1')
  await available(namespace, 'web')
  const dead = join(folder, 'dead.yaml')
  writeFileSync(dead, readFileSync(edge.observerKubeconfig, 'utf8').replaceAll(/server: .*/g, 'server: https://127.0.0.1:9'))
  const watcher = await startWatcher({ AEGIS_WATCH_NAMESPACES: namespace, AEGIS_CLUSTERS: `main=${main.observerKubeconfig},edge=${dead}` })
  const ready = await fetch(`http://127.0.0.1:${watcher.healthPort}/ready`)
  expect(ready.status).toBe(503)
  expect(((await ready.json()) as { reason: string }).reason).toContain('cluster `edge`')
  expect((await fetch(`http://127.0.0.1:${watcher.healthPort}/live`)).status).toBe(200)
  await setImage(namespace, 'web', 'shop:missing')
  await eventually('the request is there', async () => (await requestsIn(namespace)).length === 1, 30_000)
}, 90_000)

test('a first revision that never becomes ready is told after its deadline, and nothing is asked for', async () => {
  const [line] = await eventually('never_ready is told', () => {
    const lines = patient.said('an incident that leads to no action', { fault: 'never_ready', workload: 'Deployment/never' })
    return lines.length > 0 && lines
  }, 75_000) // no rule names it, so the usual dwell of a minute is its own
  expect(await requestsIn(String(line?.['namespace']))).toEqual([])
}, 90_000)
