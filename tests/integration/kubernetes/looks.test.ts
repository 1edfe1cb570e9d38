import { describe, expect, test } from '@jest/globals'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { clusterExecutor } from '../../../adapters/kubernetes/client.ts'
import { watchResource, type Change } from '../../../adapters/kubernetes/watch.ts'
import { actionRules } from '../../../domain/actions/index.ts'
import type { DeploymentObservation } from '../../../domain/actions/observation.ts'
import type { Plan } from '../../../domain/plan.ts'
import type { Sample } from '../../../domain/verdict.ts'
import { freePorts } from '../../../sandbox/ports.ts'
import { eventually } from '../../helpers/stack.ts'
import { readyForMs } from '../../helpers/subjects.ts'
import { cluster, connect, admin, reader, executor, call, at, deployments, pods, podSpec, deploy, settled, podsOf, breakIt, remove, target, observed, scaling, rollingBack, restarting, run, type Json } from './operator.ts'

describe('verification', () => {
  const window = { settleMs: 1_500, timeoutMs: 20_000 }

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
    await sleep(readyForMs)
    await call('PATCH', pods(name), { metadata: { annotations: { 'sandbox.aegis.dev/unready': 'true' } } })
    await eventually('a pod hangs', async () => (await executor.health(plan)).health.failing === 1)
    expect((await judge(plan, health)).verdict).toBe('worse')
  })

  test('finds a restart of a hanging pod better', async () => {
    await deploy('hanging')
    const name = (await podsOf('hanging'))[0]!['metadata'].name
    await sleep(readyForMs)
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

test('another cluster\'s target is refused', async () => {
  await expect(reader.observe({ ...target('Pod', 'x'), cluster: 'main' })).rejects.toMatchObject({ code: 'other_cluster' })
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
