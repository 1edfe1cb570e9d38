import type { V1Deployment, V1ReplicaSet } from '@kubernetes/client-node'
import { revisionsOf } from './revisions.ts'

const template = (image: string, hash?: string) => ({
  metadata: { labels: { app: 'cart', ...(hash && { 'pod-template-hash': hash }) } },
  spec: { containers: [{ name: 'app', image }] },
})

type Set = { revision: number; image?: string; madeAt?: string; available?: number; desired?: string; history?: string }

const replicaSet = ({ revision, image = `cart:${revision}`, madeAt = '2026-11-21T09:00:00Z', available = 0, desired = '3', history }: Set): V1ReplicaSet =>
  ({
    metadata: {
      name: `cart-${revision}`,
      uid: `rs-${revision}`,
      creationTimestamp: madeAt,
      annotations: {
        'deployment.kubernetes.io/revision': String(revision),
        'deployment.kubernetes.io/desired-replicas': desired,
        ...(history && { 'deployment.kubernetes.io/revision-history': history }),
      },
    },
    spec: { replicas: 0, template: template(image, `h${revision}`) },
    status: { availableReplicas: available },
  }) as unknown as V1ReplicaSet

type Shape = { image?: string; progressing?: string; since?: string; deadline?: number }

const deployment = ({ image = 'cart:2', progressing = 'True', since = '2026-11-21T09:00:01Z', deadline = 600 }: Shape = {}): V1Deployment =>
  ({
    spec: { progressDeadlineSeconds: deadline, template: template(image) },
    status: { conditions: [{ type: 'Progressing', status: progressing, lastTransitionTime: since }] },
  }) as unknown as V1Deployment

const proven = (sets: Set[], shape: Shape = {}) => revisionsOf(deployment(shape), sets.map(replicaSet)).find(({ revision }) => revision === 1)?.wasAvailable

const later = { revision: 2, madeAt: '2026-11-21T10:00:00Z' }

describe('was it ever available?', () => {
  test.each<[string, Set[], Shape, boolean]>([
    ['its pods are available now', [{ revision: 1, available: 1 }, later], { progressing: 'False' }, true],
    ['it was the newest for an hour and nobody gave up', [{ revision: 1 }, later], {}, true],
    ['it was replaced within its deadline', [{ revision: 1 }, { revision: 2, madeAt: '2026-11-21T09:05:00Z' }], {}, false],
    ['it was replaced within twice its deadline, which early progress extends', [{ revision: 1 }, { revision: 2, madeAt: '2026-11-21T09:15:00Z' }], {}, false],
    ['the controller gave up since', [{ revision: 1 }, later], { since: '2026-11-21T09:30:00Z' }, false],
    ['the controller has given up now', [{ revision: 1 }, later], { progressing: 'False' }, false],
    ['a revision between them is gone', [{ revision: 1 }, { ...later, revision: 3 }], {}, false],
    ['it was brought back once', [{ revision: 1, history: '1' }, later], {}, false],
    ['its successor was brought back', [{ revision: 1 }, { ...later, history: '1' }], {}, false],
    ['no pod of it was wanted', [{ revision: 1, desired: '0' }, later], {}, false],
    ['its deadline is practically endless', [{ revision: 1 }, later], { deadline: 2_147_483_647 }, false],
    ['nothing came after it', [{ revision: 1 }], {}, false],
  ])('%s', (_what, sets, shape, expected) => expect(proven(sets, shape)).toBe(expected))
})

test('the current revision is the one with the Deployment\'s template', () => {
  const facts = revisionsOf(deployment({ image: 'cart:1' }), [replicaSet(later), replicaSet({ revision: 1 })])
  expect(facts.map(({ revision, current }) => [revision, current])).toEqual([[1, true], [2, false]])
})

test('of two with one template, the newest is the current one', () => {
  const facts = revisionsOf(deployment(), [replicaSet({ revision: 1, image: 'cart:2' }), replicaSet(later)])
  expect(facts.filter(({ current }) => current).map(({ revision }) => revision)).toEqual([2])
})

test('while the controller has made none for the newest template, none is current', () => {
  expect(revisionsOf(deployment({ image: 'cart:9' }), [replicaSet(later)]).some(({ current }) => current)).toBe(false)
})
