import type { Plan } from '../plan.ts'
import type { RemediationRequest } from '../remediation.ts'
import { policyInput, resourceOf } from './input.ts'

const target = { cluster: 'a', namespace: 'shop', kind: 'Deployment', name: 'web' } as const
const workload = { cluster: 'a', namespace: 'shop', kind: 'Deployment', name: 'web', uid: 'u' }
const health = { desired: 4, updated: 4, ready: 3, available: 3, failing: 1, restarts: 0, faults: [] }
const request: RemediationRequest = {
  id: 'r', door: 'alert', principal: { id: 'p', kind: 'service', owner: 'ann', roles: ['service'] }, action: 'scale_deployment', target,
  parameters: {}, reason: 'load', severity: 'high', fault: null, incident: null, attempt: 1, acceptedAt: '', deadlineAt: '',
}
const scale = (from: number, to: number) =>
  ({ action: 'scale_deployment', replicas: { from, to }, undo: { replicas: { from: to, to: from } }, target: { ...target, uid: 'u', generation: 1 }, workload, templateHash: 'h' }) as Plan
const pod = { action: 'restart_pod', undo: null, target: { ...target, kind: 'Pod', uid: 'u', generation: null }, workload } as Plan
const factsOf = (plan: Plan, podReady = false, ready = 3) =>
  policyInput({ request, plan, health: { ...health, ready }, podReady, history: {}, approvals: [], now: 1, tzdata: 't' }).request

test('a resource is spelled with its kind in lower case', () => expect(resourceOf(target)).toBe('k8s:a/shop/deployment/web'))

test('a fault nobody named is the word none, labels nobody may read are named and absent', () => {
  const { context, action } = policyInput({ request, plan: scale(4, 6), health, podReady: false, history: {}, approvals: [], now: 1, tzdata: 't' })
  expect(action).toBe('deployment:scale')
  expect(context).toEqual({ severity: 'high', door: 'alert', fault: 'none', cluster: 'a', namespace: 'shop', unread: ['namespaceLabels'], workload: { kind: 'deployment', name: 'web' }, attempt: 1 })
})

test.each<[string, ReturnType<typeof factsOf>, object]>([
  ['scaling up costs no ready pod', factsOf(scale(4, 6)), { replicas: 6, deltaReplicas: 2, percentOfReady: 0, undo: 'planned' }],
  ['scaling down costs at most those that are ready', factsOf(scale(9, 4)), { replicas: 4, deltaReplicas: -5, percentOfReady: 100, undo: 'planned' }],
  ['restarting an unready pod costs none', factsOf(pod), { percentOfReady: 0, undo: 'none' }],
  ['restarting a ready one is exact, not rounded', factsOf(pod, true), { percentOfReady: 100 / 3, undo: 'none' }],
  ['with none ready the share is not known', factsOf(pod, true, 0), { undo: 'none' }],
])('%s', (_name, facts, expected) => expect(facts).toEqual(expected))
