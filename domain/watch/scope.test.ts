import { expect, test } from '@jest/globals'
import { isWatched } from './scope.ts'

test.each<[string, string[], string, boolean]>([
  ['an empty list looks everywhere', [], 'shop', true],
  ['but not into protected namespaces', [], 'kube-system', false],
  ['a list narrows', ['shop'], 'other', false],
  ['a list may end in a star', ['demo-*'], 'demo-a', true],
  ['a list may name a cluster', ['edge/shop'], 'shop', false],
  ['no list opens a protected namespace', ['*', 'kube-system'], 'kube-system', false],
])('%s', (_name, only, namespace, expected) => expect(isWatched(only, { cluster: 'main', namespace })).toBe(expected))
