import { expect, test } from '@jest/globals'
import { namespaceListed, namespaceAllowed } from './namespaces.ts'

test.each([
  ['an empty list allows none', [], 'shop', false],
  ['a name allows itself', ['shop'], 'shop', true],
  ['a name allows no longer name', ['shop'], 'shop-2', false],
  ['a prefix allows what begins with it', ['shop-*'], 'shop-2', true],
  ['a cluster narrows it', ['edge/shop'], 'shop', false],
  ['the right cluster allows it', ['main/shop'], 'shop', true],
  ['a star allows any namespace', ['*'], 'shop', true],
  ['a star in every cluster', ['*/shop'], 'shop', true],
  ['nothing opens kube-system', ['*', 'kube-system'], 'kube-system', false],
  ['nothing opens our own namespace', ['*', 'aegis-system'], 'aegis-system', false],
])('%s', (_name, allowed, namespace, expected) => expect(namespaceAllowed(allowed, { cluster: 'main', namespace })).toBe(expected))

test('an empty list names no place, and a list may name protected ones without opening them', () => {
  expect(namespaceListed([], { cluster: 'main', namespace: 'shop' })).toBe(false)
  expect(namespaceListed(['kube-*'], { cluster: 'main', namespace: 'kube-system' })).toBe(true)
  expect(namespaceAllowed(['kube-*'], { cluster: 'main', namespace: 'kube-system' })).toBe(false)
})
