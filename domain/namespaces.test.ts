import { expect, test } from '@jest/globals'
import { namespaceAllowed } from './namespaces.ts'

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
