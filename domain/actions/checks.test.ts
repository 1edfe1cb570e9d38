import { annotatedFloors, autoscalerCheck, availabilityCheck, fail, floorCheck, ignoredCheck, namespaceChecks, ownerCheck, pass, pausedCheck, quotaCheck, rbacCheck, refusalOf, unchangedCheck, warn } from './checks.ts'
import { deploymentSample } from './fixtures/deployment.ts'
import type { Manager } from './observation.ts'
import { rollbackDeployment } from './rollback_deployment.ts'
import { scaleDeployment } from './scale_deployment.ts'
import type { Plan, RestartPodPlan, ScaleDeploymentPlan } from '../plan.ts'

const scale = scaleDeployment.plan(deploymentSample, { replicas: 5 }, null) as ScaleDeploymentPlan
const rollback = rollbackDeployment.plan(deploymentSample, {}, null) as Plan
const restart: RestartPodPlan = {
  action: 'restart_pod',
  target: { cluster: 'main', namespace: 'shop', kind: 'Pod', name: 'cart-1', uid: 'p-1', generation: null },
  workload: deploymentSample.workload,
  podReady: true,
  undo: null,
}

const inNamespace = (namespace: string): Plan => ({ ...scale, target: { ...scale.target, namespace } })

test.each<[string, string, string[], string | undefined]>([
  ['a listed namespace is open', 'shop', ['shop'], undefined],
  ['a listed prefix is open', 'shop', ['sh*'], undefined],
  ['an empty list opens nothing', 'shop', [], 'namespace_not_allowed'],
  ['another cluster\'s entry does not count', 'shop', ['edge/shop'], 'namespace_not_allowed'],
  ['a protected namespace stays shut', 'kube-system', ['*', 'kube-system'], 'protected_namespace'],
  ['our own namespace stays shut', 'aegis-system', ['aegis-system'], 'protected_namespace'],
])('%s', (_what, namespace, allowed, reason) => {
  expect(refusalOf(namespaceChecks(inNamespace(namespace), allowed))?.reason).toBe(reason)
})

test.each([
  ['is as planned', {}, undefined],
  ['has another UID', { uid: 'd-2' }, 'target_gone'],
  ['has another generation', { generation: 5 }, 'target_changed'],
  ['has other replicas', { replicas: 4 }, 'target_changed'],
  ['has another template', { templateHash: 'newer' }, 'target_changed'],
  ['has another owner', { workload: { ...deploymentSample.workload, uid: 'x' } }, 'target_changed'],
])('a target that %s', (_what, change, reason) => {
  const { refusal } = unchangedCheck(scale, { ...deploymentSample, ...change })
  expect(refusal?.reason).toBe(reason)
  if (reason) expect(refusal?.outcome).toBe('overtaken')
})

test('a target that is gone was overtaken', () => expect(unchangedCheck(scale, undefined).refusal).toMatchObject({ outcome: 'overtaken', reason: 'target_gone' }))

const managed = (is: Manager['is']): Manager[] => [{ is, evidence: 'some/mark' }]

test.each<[string, Plan, Manager[], string, string | undefined]>([
  ['nobody else', scale, [], 'pass', undefined],
  ['Argo CD', scale, managed('argocd'), 'fail', 'owned_by_gitops'],
  ['Flux', rollback, managed('flux'), 'fail', 'owned_by_gitops'],
  ['a controller', rollback, managed('controller'), 'fail', 'owned_by_controller'],
  ['Helm, which runs only when someone runs it', rollback, managed('helm'), 'warn', undefined],
  ['Helm under Argo CD', scale, [...managed('helm'), ...managed('argocd')], 'fail', 'owned_by_gitops'],
  ['whoever manages it, when a pod is restarted', restart, managed('argocd'), 'pass', undefined],
])('managed by %s', (_what, plan, managers, status, reason) => {
  const { result, refusal } = ownerCheck(plan, managers)
  expect([result.status, refusal?.reason]).toEqual([status, reason])
})

test('an autoscaler stops a scale and nothing else', () => {
  const hpa = [{ kind: 'HorizontalPodAutoscaler', name: 'cart' }]
  expect(autoscalerCheck(scale, hpa).refusal).toMatchObject({ outcome: 'blocked', reason: 'autoscaled' })
  expect(autoscalerCheck(rollback, hpa).result.status).toBe('pass')
  expect(autoscalerCheck(scale, []).result.status).toBe('pass')
})

test('a shortage stops a scale-up; one that may not concern these pods is said', () => {
  const short = { quota: 'team', scoped: false, resource: 'pods' }
  expect(quotaCheck(scale, [short]).refusal?.reason).toBe('quota_exceeded')
  expect(quotaCheck(scale, [{ ...short, scoped: true }]).result.status).toBe('warn')
  expect(quotaCheck(scale, []).result.status).toBe('pass')
  expect(quotaCheck({ ...scale, replicas: { from: 5, to: 3 } }, [short]).result.status).toBe('pass')
})

test('a right that is missing is named', () => {
  const { refusal } = rbacCheck([{ verb: 'patch', resource: 'pods', allowed: false }, { verb: 'create', resource: 'pods/eviction', allowed: true }])
  expect(refusal?.message).toContain('`patch pods`')
  expect(refusal?.message).not.toContain('eviction')
})

test('the only ready pod is said to be the only one', () => {
  expect(availabilityCheck(true, 1).result.status).toBe('warn')
  expect(availabilityCheck(true, 2).result.status).toBe('pass')
  expect(availabilityCheck(false, 0).result.status).toBe('pass')
})

test('the first failing check decides; warnings decide nothing', () => {
  expect(refusalOf([pass('a', ''), warn('b', ''), fail('c', 'third', ''), fail('d', 'fourth', '')])?.reason).toBe('third')
  expect(refusalOf([pass('a', ''), warn('b', '')])).toBeNull()
})

test('hands off means hands off', () => {
  expect(ignoredCheck(true).refusal?.reason).toBe('ignored')
  expect(pausedCheck(true).refusal?.reason).toBe('paused')
})

test.each<[string, number, number, number[], string | undefined]>([
  ['enough stay', 4, 2, [2], undefined],
  ['too few would stay', 4, 3, [1, 2], 'below_min_available'],
  ['too few are ready already, and none is taken', 1, 0, [2], undefined],
  ['nobody set a floor', 3, 3, [], undefined],
  ['a floor that cannot be read', 9, 1, [Infinity], 'below_min_available'],
])('a floor of ready pods: %s', (_name, ready, taken, floors, reason) => {
  expect(floorCheck(ready, taken, floors.map((pods) => ({ name: 'PodDisruptionBudget `web`', pods }))).refusal?.reason).toBe(reason)
})

test('the annotation is a floor like any other', () => {
  expect(annotatedFloors({ minAvailable: null })).toEqual([])
  expect(floorCheck(2, 1, annotatedFloors({ minAvailable: 2 })).refusal?.message).toMatch(/2 pods are ready and this would take 1 down, but the annotation `aegis.dev\/min-available` asks for 2/)
})
