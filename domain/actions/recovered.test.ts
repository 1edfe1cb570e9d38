import { expect, test } from '@jest/globals'
import type { Plan } from '../plan.ts'
import { deploymentSample, readSample } from './fixtures/deployment.ts'
import { hasRecovered } from './recovered.ts'
import { rollbackDeployment } from './rollback_deployment.ts'
import type { AttemptRead } from './situation.ts'

const workload = { cluster: 'main', namespace: 'shop', kind: 'Deployment' as const, name: 'cart', uid: 'd-1' }
const restart = (podReady: boolean): Plan => ({
  action: 'restart_pod', target: { cluster: 'main', namespace: 'shop', kind: 'Pod', name: 'cart-a', uid: 'p-1', generation: null }, workload, podReady, undo: null,
})
const rollback = (complete?: boolean): Plan => ({ ...(rollbackDeployment.plan(deploymentSample, {}, null) as Extract<Plan, { action: 'rollback_deployment' }>), complete })
const scale: Plan = { action: 'scale_deployment', target: { ...workload, generation: 1 }, workload, replicas: { from: 1, to: 2 }, templateHash: 'h', undo: { replicas: { from: 2, to: 1 } } }
const pod = (wellSinceMs: number | null): AttemptRead => ({ exists: true, kind: 'Pod', uid: 'p-1', resourceVersion: '9', stamps: [], terminating: false, wellSinceMs })
const release = (wellSinceMs: number | null): AttemptRead => ({ ...readSample, wellSinceMs })

const heldMs = 10_000
const nowMs = 60_000

test.each<[string, Plan, AttemptRead, boolean]>([
  ['a pod that has been ready for long enough', restart(false), pod(50_000), true],
  ['a pod that is ready for a moment, as one that flaps', restart(false), pod(50_001), false],
  ['a pod that is not ready', restart(false), pod(null), false],
  ['a pod that was ready when it was judged', restart(true), pod(1), false],
  ['a pod that is gone', restart(false), { exists: false }, false],
  ['a release that has been up for long enough', rollback(false), release(50_000), true],
  ['a release that is up for a moment', rollback(false), release(50_001), false],
  ['a release that is not up', rollback(false), release(null), false],
  ['a release that was up when it was judged', rollback(true), release(1), false],
  ['a release whose plan does not say', rollback(undefined), release(1), false],
  ['a Deployment that is to be scaled', scale, release(1), false],
])('%s', (_what, plan, read, expected) => expect(hasRecovered(plan, read, heldMs, nowMs)).toBe(expected))
