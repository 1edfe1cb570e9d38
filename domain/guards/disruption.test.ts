import fc from 'fast-check'
import { playsAll, printedSeed } from '../../tests/helpers/draw.ts'
import { deploymentSample } from '../actions/fixtures/deployment.ts'
import { rollbackDeployment } from '../actions/rollback_deployment.ts'
import type { Plan, RestartPodPlan, ScaleDeploymentPlan } from '../plan.ts'
import { disruptionBudgets, readyPodsTaken, shareOf } from './disruption.ts'

const seed = printedSeed('disruption')

const rollback = rollbackDeployment.plan(deploymentSample, {}, null) as Plan
const restart = (podReady: boolean) => ({ action: 'restart_pod', podReady }) as RestartPodPlan
const scale = (from: number, to: number) => ({ action: 'scale_deployment', replicas: { from, to } }) as ScaleDeploymentPlan

test.each<[string, Plan, [ready: number, desired: number], number | null, number]>([
  ['a ready pod restarted', restart(true), [3, 3], null, 1],
  ['an unready pod restarted', restart(false), [3, 4], null, 0],
  ['scaled up', scale(3, 5), [3, 3], 1, 0],
  ['scaled down with all ready', scale(10, 6), [10, 10], 2, 4],
  ['scaled down by what is not ready', scale(10, 6), [6, 10], 2, 0],
  ['scaled to nothing', scale(3, 0), [3, 3], 1, 3],
  ['rolled back while all are ready', rollback, [8, 8], 2, 2],
  ['rolled back with as many down as the rollout allows', rollback, [6, 8], 2, 0],
  ['rolled back with fewer ready than it keeps', rollback, [3, 8], 2, 0],
  ['rolled back where a pod is added first', rollback, [3, 3], 0, 0],
  ['rolled back by ending all first', rollback, [3, 3], 3, 3],
  ['rolled back with a strategy nobody saw', rollback, [3, 3], null, 3],
])('%s takes %o of ready and desired %o with maxUnavailable %o: %i', (_name, plan, [ready, desired], maxUnavailable, taken) => {
  expect(readyPodsTaken(plan, { ready, desired }, { maxUnavailable })).toBe(taken)
})

const rules = { workloadPercent: 20, namespacePercent: 10, windowMs: 600_000 }

test('what takes no ready pod needs no room', () => expect(disruptionBudgets(0, 10, 100, rules)).toEqual([]))

test('a share of ready pods, rounded down and never to none', () => {
  expect(disruptionBudgets(2, 14, 39, rules)).toEqual([
    { name: "20 % of the workload's 14 ready pods", scope: 'workload', amount: 2, limit: 2, windowMs: 600_000 },
    { name: "10 % of the namespace's 39 ready pods", scope: 'namespace', amount: 2, limit: 3, windowMs: 600_000 },
  ])
  expect(disruptionBudgets(1, 1, 1, rules).map(({ limit }) => limit)).toEqual([1, 1])
})

test('a look at the namespace that is older than the workload’s own does not make it smaller', () => {
  expect(disruptionBudgets(1, 30, 10, rules)[1]).toMatchObject({ limit: 3 })
})

test('no share is ever exceeded, but for the one pod that is always allowed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 0, max: 5_000 }), (percent, pods) => {
      const limit = shareOf(percent, pods)
      expect(limit).toBeGreaterThanOrEqual(1)
      if (limit > 1) expect(limit * 100).toBeLessThanOrEqual(percent * pods)
    }),
    { numRuns: playsAll ? 20_000 : 1_000, seed },
  )
})
