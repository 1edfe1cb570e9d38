import fc from 'fast-check'
import type { RollbackDeploymentPlan } from '../plan.ts'
import { deploymentSample, readSample, revisionSample } from './fixtures/deployment.ts'
import type { RevisionFacts } from './observation.ts'
import { planDigest } from '../digest.ts'
import { rollbackDeployment } from './rollback_deployment.ts'
import type { DeploymentRead } from './situation.ts'

const plan = rollbackDeployment.plan(deploymentSample, {}, 'stuck_rollout') as RollbackDeploymentPlan

test('both ends are pinned by ReplicaSet UID and template hash', () => {
  const bad = { revision: 3, replicaSet: 'cart-3', replicaSetUid: 'rs-3', templateHash: 'bad' }
  const good = { revision: 2, replicaSet: 'cart-2', replicaSetUid: 'rs-2', templateHash: 'good' }
  expect(plan).toMatchObject({ replicas: 3, revision: { from: bad, to: good }, undo: { revision: { from: good, to: bad } } })
  expect(plan.target).toMatchObject({ uid: 'd-1', generation: 4 })
})

const [r1, r2, r3] = deploymentSample.revisions as [RevisionFacts, RevisionFacts, RevisionFacts]
const chosen = (revisions: RevisionFacts[], revision?: number) => {
  const planned = rollbackDeployment.plan({ ...deploymentSample, revisions }, revision === undefined ? {} : { revision }, null)
  return 'outcome' in planned ? planned.reason : planned.revision.to.revision
}

test.each<[string, RevisionFacts[], number | undefined, number | string]>([
  ['the newest good one is chosen', [r1, r2, r3], undefined, 2],
  ['one that was never available is passed over', [r1, { ...r2, wasAvailable: false }, r3], undefined, 1],
  ['one that runs the same as the bad one is passed over', [r1, { ...r2, sourceHash: 'bad' }, r3], undefined, 1],
  ['without proof there is none to choose', [{ ...r1, wasAvailable: false }, { ...r2, wasAvailable: false }, r3], undefined, 'no_earlier_revision'],
  ['without history there is none to choose', [r3], undefined, 'no_earlier_revision'],
  ['a later revision is no earlier one', [r3, revisionSample(4, 'newer')], undefined, 'no_earlier_revision'],
  ['a named one is taken, proof or not', [{ ...r1, wasAvailable: false }, r2, r3], 1, 1],
  ['a named one that is not there is refused', [r1, r2, r3], 9, 'revision_missing'],
  ['the running one is no change', [r1, r2, r3], 3, 'already_there'],
  ['one with the running template is no change', [{ ...r1, templateHash: 'bad' }, r2, r3], 1, 'already_there'],
])('%s', (_what, revisions, revision, expected) => expect(chosen(revisions, revision)).toBe(expected))

test.each([
  ['paused', { paused: true }, 'paused'],
  ['ignored', { ignored: true }, 'ignored'],
  ['no history is kept', { revisionHistoryLimit: 0 }, 'no_history'],
])('%s: no plan', (_what, change, reason) => {
  expect(rollbackDeployment.plan({ ...deploymentSample, ...change }, {}, null)).toMatchObject({ outcome: 'blocked', reason })
})

test.each([
  ['has not looked yet', { observedGeneration: 3 }],
  ['has not made the ReplicaSet yet', { revisions: [r1, r2] }],
])('while the controller %s, it is asked again', (_what, change) => {
  expect(() => rollbackDeployment.plan({ ...deploymentSample, ...change }, {}, null)).toThrow(expect.objectContaining({ kind: 'unavailable', code: 'rollout_unobserved' }))
})

const applied = [{ id: 'r-1', phase: 'applied' as const }]

test('whether the release is up is no part of what people approve', () => {
  const sha256 = (text: string) => text
  const digests = [true, false, undefined].map((complete) => planDigest({ ...plan, complete } as typeof plan, sha256))
  expect(new Set(digests).size).toBe(1)
})

test.each<[string, 'act' | 'undo', Partial<DeploymentRead>, string]>([
  ['still runs the bad template', 'act', {}, 'ready'],
  ['runs the good template by our hand', 'act', { templateHash: 'good', generation: 5, stamps: applied }, 'done_by_us'],
  ['runs the good template by another hand', 'act', { templateHash: 'good', generation: 5 }, 'wanted'],
  ['runs a third template', 'act', { templateHash: 'newer', generation: 5 }, 'changed'],
  ['was scaled since', 'act', { replicas: 9, generation: 5 }, 'changed'],
  ['runs the good template by our hand', 'undo', { templateHash: 'good', generation: 5, stamps: applied }, 'ready'],
  ['was scaled since our act', 'undo', { templateHash: 'good', replicas: 9, generation: 6, stamps: applied }, 'ready'],
  ['runs the bad template again', 'undo', { templateHash: 'bad', generation: 6, stamps: applied }, 'wanted'],
  ['runs a third template', 'undo', { templateHash: 'newer', generation: 6, stamps: applied }, 'changed'],
])('a deployment that %s, before the %s', (_what, phase, change, is) => {
  expect(rollbackDeployment.situation(plan, phase, 'r-1', { ...readSample, ...change }).is).toBe(is)
})

test('a plan made again from the same facts is the same, so a retry cannot flip to another revision', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray([r1, r2, r3], { minLength: 3 }), (revisions) => {
      expect(rollbackDeployment.plan({ ...deploymentSample, revisions }, {}, null)).toEqual(plan)
    }),
  )
})

test('what is chosen was available, is older, and differs', () => {
  const revision = fc.record({ number: fc.integer({ min: 1, max: 9 }), source: fc.constantFrom('bad', 'a', 'b'), wasAvailable: fc.boolean() })
  fc.assert(
    fc.property(fc.uniqueArray(revision, { selector: ({ number }) => number }), (others) => {
      const revisions = others.filter(({ number }) => number !== 5).map(({ number, source, wasAvailable }) => ({ ...revisionSample(number, source), wasAvailable }))
      const planned = rollbackDeployment.plan({ ...deploymentSample, revisions: [...revisions, { ...revisionSample(5, 'bad'), current: true }] }, {}, null)
      if ('outcome' in planned) return
      const to = revisions.find(({ replicaSetUid }) => replicaSetUid === planned.revision.to.replicaSetUid)
      expect(to).toMatchObject({ wasAvailable: true })
      expect(to!.revision).toBeLessThan(5)
      expect(to!.sourceHash).not.toBe('bad')
    }),
  )
})
