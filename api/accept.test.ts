import { outsideReason } from './accept.ts'
import type { ApiSettings } from './route.ts'

const settings = (changes: Partial<ApiSettings>): ApiSettings => ({
  version: '0', clusters: ['main', 'edge'], namespaces: ['shop', 'edge/demo-*'], mode: 'auto', deadlineMs: 1,
  temporalUiUrl: '', temporalNamespace: '', policyDirectory: '', policyFourEyes: true, rulesFile: '', logLevel: 'info', audience: '', ...changes,
})
const code = (changes: Partial<ApiSettings>, cluster: string, namespace: string) => outsideReason(settings(changes), { cluster, namespace })?.code

test.each([
  ['a listed namespace is inside', {}, 'main', 'shop', undefined],
  ['another is not', {}, 'main', 'bank', 'namespace_not_allowed'],
  ['a cluster narrows an entry', {}, 'main', 'demo-a', 'namespace_not_allowed'],
  ['and a glob widens it', {}, 'edge', 'demo-a', undefined],
  ['a cluster nobody configured is no cluster', {}, 'prod', 'shop', 'unknown_cluster'],
  ['an empty list forbids acting', { namespaces: [], mode: 'auto' }, 'main', 'shop', 'namespace_not_allowed'],
  ['an empty list forbids approving too', { namespaces: [], mode: 'approve' }, 'main', 'shop', 'namespace_not_allowed'],
  ['an empty list does not forbid looking', { namespaces: [], mode: 'observe' }, 'main', 'shop', undefined],
  ['protected namespaces are closed even for looking', { namespaces: [], mode: 'observe' }, 'main', 'kube-system', 'namespace_not_allowed'],
  ['and no list opens them', { namespaces: ['*'] }, 'main', 'kube-system', 'namespace_not_allowed'],
] as const)('%s', (_name, changes, cluster, namespace, wanted) => expect(code(changes, cluster, namespace)).toBe(wanted))
