import type { V1PodTemplateSpec } from '@kubernetes/client-node'
import { plainTemplate, sourceHash, templateHash } from './template.ts'

const raw = (change: object = {}, metadata: object = {}): V1PodTemplateSpec =>
  ({ metadata: { labels: { app: 'cart' }, ...metadata }, spec: { containers: [{ name: 'app', image: 'cart:1' }] }, ...change }) as V1PodTemplateSpec
const hashOf = (template: V1PodTemplateSpec) => templateHash(plainTemplate(template))
const sourceOf = (template: V1PodTemplateSpec) => sourceHash(plainTemplate(template))

test('a ReplicaSet holds the same template as its Deployment, but for the label the controller adds', () => {
  const deployments = raw()
  const replicaSets = raw({}, { creationTimestamp: null, labels: { app: 'cart', 'pod-template-hash': '7d9f' } })
  expect(hashOf(replicaSets)).toBe(hashOf(deployments))
  expect(plainTemplate(replicaSets)).toEqual(deployments)
})

test('the order of keys means nothing, any other difference does', () => {
  expect(hashOf({ spec: raw().spec!, metadata: raw().metadata! })).toBe(hashOf(raw()))
  expect(hashOf(raw({}, { labels: { app: 'cart', tier: 'web' } }))).not.toBe(hashOf(raw()))
})

test('a rolling restart changes the template, not what it runs', () => {
  const restarted = raw({}, { annotations: { 'kubectl.kubernetes.io/restartedAt': '2026-11-21T09:00:00Z' } })
  expect(hashOf(restarted)).not.toBe(hashOf(raw()))
  expect(sourceOf(restarted)).toBe(sourceOf(raw()))
  expect(sourceOf(raw({}, { annotations: { note: 'x' } }))).not.toBe(sourceOf(raw()))
})

test('fields this client has never heard of are kept', () => {
  const later = raw({ spec: { containers: [], fieldOfTheFuture: { a: 1 } } })
  expect(plainTemplate(later)).toEqual(later)
})

test('a number that cannot be put back exactly is refused', () => {
  const huge = raw({ spec: { containers: [], activeDeadlineSeconds: 2 ** 60 } })
  expect(() => plainTemplate(huge)).toThrow(expect.objectContaining({ kind: 'invalid', code: 'template_not_exact' }))
})

test('what is taken from the server is not changed', () => {
  const replicaSets = raw({}, { labels: { app: 'cart', 'pod-template-hash': '7d9f' } })
  const before = structuredClone(replicaSets)
  plainTemplate(replicaSets)
  expect(replicaSets).toEqual(before)
})
