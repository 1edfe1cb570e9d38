import fc from 'fast-check'
import type { ScaleDeploymentPlan } from '../plan.ts'
import { stampPhases } from '../stamp.ts'
import { deploymentSample, readSample } from './fixtures/deployment.ts'
import { scaleDeployment } from './scale_deployment.ts'
import type { AttemptRead, DeploymentRead } from './situation.ts'

const plan = scaleDeployment.plan(deploymentSample, { replicas: 5 }, null) as ScaleDeploymentPlan

test('the count is absolute, and the undo is the same with the ends swapped', () => {
  expect(plan).toEqual({
    action: 'scale_deployment',
    target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'cart', uid: 'd-1', generation: 4 },
    workload: deploymentSample.workload,
    replicas: { from: 3, to: 5 },
    templateHash: 'bad',
    undo: { replicas: { from: 5, to: 3 } },
  })
})

test.each([
  ['already there', {}, { replicas: 3 }, 'no_action_needed', 'already_scaled'],
  ['paused', { paused: true }, { replicas: 5 }, 'blocked', 'paused'],
  ['ignored', { ignored: true }, { replicas: 5 }, 'blocked', 'ignored'],
  ['no count', {}, {}, 'blocked', 'replicas_missing'],
  ['a negative count', {}, { replicas: -1 }, 'blocked', 'replicas_out_of_range'],
  ['half a pod', {}, { replicas: 1.5 }, 'blocked', 'replicas_out_of_range'],
  ['far too many', {}, { replicas: 1_001 }, 'blocked', 'replicas_out_of_range'],
])('%s: no plan', (_what, change, parameters, outcome, reason) => {
  expect(scaleDeployment.plan({ ...deploymentSample, ...change }, parameters, null)).toMatchObject({ outcome, reason })
})

const mine = (phase: 'applied' | 'undone' | 'abandoned') => [{ id: 'r-1', phase }]

test.each<[string, Partial<DeploymentRead>, string]>([
  ['is as planned', {}, 'ready'],
  ['has only moved its resourceVersion', { resourceVersion: '999' }, 'ready'],
  ['carries our stamp', { replicas: 5, generation: 5, stamps: mine('applied') }, 'done_by_us'],
  ['carries our stamp and was changed since', { replicas: 9, generation: 6, stamps: mine('applied') }, 'done_by_us'],
  ['was fenced', { stamps: mine('abandoned') }, 'stopped'],
  ['was undone', { generation: 6, stamps: mine('undone') }, 'stopped'],
  ['was scaled the same by someone else', { replicas: 5, generation: 5 }, 'wanted'],
  ['was scaled otherwise', { replicas: 4, generation: 5 }, 'changed'],
  ['was changed in something else', { generation: 5 }, 'changed'],
  ['was paused', { paused: true }, 'changed'],
  ['is another object', { uid: 'd-2' }, 'changed'],
])('before the act, a deployment that %s', (_what, change, is) => {
  expect(scaleDeployment.situation(plan, 'act', 'r-1', { ...readSample, ...change }).is).toBe(is)
})

test.each<[string, Partial<DeploymentRead>, string]>([
  ['is as the act left it', { replicas: 5, generation: 5, stamps: mine('applied') }, 'ready'],
  ['was changed in something else since', { replicas: 5, generation: 8, stamps: mine('applied') }, 'ready'],
  ['is back already', { replicas: 3, generation: 6, stamps: mine('applied') }, 'wanted'],
  ['is back already, the stamp pushed out', { replicas: 3, generation: 6 }, 'wanted'],
  ['was undone by us', { generation: 6, stamps: mine('undone') }, 'done_by_us'],
  ['was scaled otherwise since', { replicas: 7, generation: 6, stamps: mine('applied') }, 'changed'],
  ['lost our stamp', { replicas: 5, generation: 5 }, 'changed'],
  ['was fenced', { replicas: 5, stamps: mine('abandoned') }, 'stopped'],
])('before the undo, a deployment that %s', (_what, change, is) => {
  expect(scaleDeployment.situation(plan, 'undo', 'r-1', { ...readSample, ...change }).is).toBe(is)
})

test('a deployment that is gone is left alone', () => {
  expect(scaleDeployment.situation(plan, 'act', 'r-1', { exists: false }).is).toBe('changed')
})

const anyRead: fc.Arbitrary<AttemptRead> = fc.record({
  exists: fc.constant(true as const),
  kind: fc.constant('Deployment' as const),
  uid: fc.constantFrom('d-1', 'd-2'),
  resourceVersion: fc.constant('9'),
  generation: fc.constantFrom(4, 5, 6),
  replicas: fc.constantFrom(3, 4, 5),
  paused: fc.boolean(),
  templateHash: fc.constantFrom('bad', 'good'),
  annotated: fc.boolean(),
  stamps: fc.array(fc.record({ id: fc.constantFrom('r-1', 'r-2'), phase: fc.constantFrom(...stampPhases) }), { maxLength: 3 }),
})

test('an act is never ready once our stamp is there, whatever it says', () => {
  fc.assert(
    fc.property(anyRead, (seen) => {
      const stamped = seen.exists && seen.stamps.some(({ id }) => id === 'r-1')
      const { is } = scaleDeployment.situation(plan, 'act', 'r-1', seen)
      expect(stamped && is === 'ready').toBe(false)
    }),
  )
})

test('nothing is ever ready on another object, and an undo only with our stamp', () => {
  fc.assert(
    fc.property(anyRead, fc.constantFrom('act' as const, 'undo' as const), (seen, phase) => {
      const { is } = scaleDeployment.situation(plan, phase, 'r-1', seen)
      const ours = seen.exists && seen.uid === 'd-1' && (phase === 'act' || seen.stamps.some(({ id }) => id === 'r-1'))
      expect(is === 'ready' && !ours).toBe(false)
    }),
  )
})
