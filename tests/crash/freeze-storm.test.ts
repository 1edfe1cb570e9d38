import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { playsAll } from '../helpers/draw.ts'
import { startFaultyAegis, type FaultyAegis } from '../helpers/faulty-aegis.ts'
import { freeze, thawed, untilApplied } from '../helpers/freeze.ts'
import { administrator, deploymentBody, good, replicas } from '../helpers/subjects.ts'
import { eventually, freshNamespace } from '../helpers/stack.ts'

/**
 * B-t3: a freeze in the middle of a storm. By the API server's log, the last change comes at most a second after the
 * freeze was answered, and none after the cluster was said to be frozen. 3 trials in `npm test`, 50 in the long run.
 */
const trials = playsAll ? 50 : 3
const workloads = 8
const lastMs = 1_000
/** Long enough that a call which is late shows. */
const watchMs = 1_500

let faulty: FaultyAegis
let namespace: string
const names = Array.from({ length: workloads }, (_, index) => `storm-${index}`)

beforeAll(async () => {
  faulty = await startFaultyAegis()
  namespace = await freshNamespace(faulty.cluster, 'crash')
  const { apps } = administrator(faulty.cluster)
  for (const name of names) {
    const body = deploymentBody(good)
    await apps.createNamespacedDeployment({ namespace, body: { ...body, metadata: { name } } })
  }
  await eventually('the workloads stand', async () => {
    const { items } = await apps.listNamespacedDeployment({ namespace })
    return items.length === workloads && items.every(({ metadata, status }) => status?.observedGeneration === metadata?.generation && status?.availableReplicas === replicas)
  }, 60_000)
})
afterAll(() => faulty?.stop())

async function trial(): Promise<{ changed: number; stopped: number; lastAfterMs: number; appliedAfterMs: number }> {
  const { operator, judge, cluster } = faulty
  const { items } = await administrator(cluster).apps.listNamespacedDeployment({ namespace })
  const before = judge.effects(namespace).length
  const ids = await Promise.all(items.map(({ metadata, spec }) => operator.remediate({
    action: 'scale_deployment',
    target: { cluster: cluster.name, namespace, kind: 'Deployment', name: metadata?.name },
    parameters: { replicas: spec?.replicas === replicas ? replicas + 1 : replicas },
    reason: 'a storm',
  })))
  await eventually('the storm has begun', () => judge.effects(namespace).length > before, 30_000)
  const { freezeId, answeredAtMs } = await freeze(operator)
  const appliedAtMs = await untilApplied(operator, freezeId)
  await sleep(watchMs)
  const changes = judge.effects(namespace).slice(before)
  const times = changes.map(({ requestReceivedTimestamp }) => Date.parse(requestReceivedTimestamp))
  expect(times.filter((atMs) => atMs > appliedAtMs)).toEqual([])
  const endings = await Promise.all(ids.map((id) => judge.closed(id)))
  await thawed(faulty, freezeId)
  return {
    changed: changes.length,
    stopped: endings.filter(({ outcome }) => outcome === 'frozen').length,
    lastAfterMs: Math.max(...times) - answeredAtMs,
    appliedAfterMs: appliedAtMs - answeredAtMs,
  }
}

test('the last change comes within a second of the answer, and none once the cluster is frozen', async () => {
  const seen: Awaited<ReturnType<typeof trial>>[] = []
  for (let index = 0; index < trials; index++) seen.push(await trial())
  const most = (pick: (of: (typeof seen)[number]) => number) => Math.max(...seen.map(pick))
  console.log(`${trials} trials: last change ${most(({ lastAfterMs }) => lastAfterMs)} ms after the answer, clusters applied after at most ${most(({ appliedAfterMs }) => appliedAfterMs)} ms; ${seen.reduce((sum, { changed }) => sum + changed, 0)} changed, ${seen.reduce((sum, { stopped }) => sum + stopped, 0)} stopped`)
  expect(most(({ lastAfterMs }) => lastAfterMs)).toBeLessThanOrEqual(lastMs)
  expect(seen.some(({ stopped }) => stopped > 0)).toBe(true) // or the freeze came after the storm
}, trials * 30_000)
