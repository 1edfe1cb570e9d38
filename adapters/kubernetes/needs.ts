import type { ActionName } from '../../domain/remediation.ts'
import type { Resource } from './api.ts'

/**
 * What the execution worker asks a cluster for. One list for preflight, which makes sure that it is granted, and for
 * the roles in deploy/, which grant it and no more.
 */
export type Need = { verb: 'get' | 'list' | 'create' | 'patch'; group: string; resource: Resource; subresource?: string }

/** Everything act, undo and fence will ask for, so that no right is missing half-way. */
export const actionNeeds: Record<ActionName, readonly Need[]> = {
  restart_pod: [
    { verb: 'get', group: '', resource: 'pods' },
    { verb: 'create', group: '', resource: 'pods', subresource: 'eviction' },
    { verb: 'patch', group: '', resource: 'pods' }, // the fence stamp alone: admission allows no more
  ],
  scale_deployment: [
    { verb: 'get', group: 'apps', resource: 'deployments' },
    { verb: 'patch', group: 'apps', resource: 'deployments' },
  ],
  rollback_deployment: [
    { verb: 'get', group: 'apps', resource: 'deployments' },
    { verb: 'patch', group: 'apps', resource: 'deployments' },
    { verb: 'get', group: 'apps', resource: 'replicasets' },
  ],
}

const reads = (group: string, verbs: readonly ('get' | 'list')[], ...resources: Resource[]): Need[] =>
  resources.flatMap((resource) => verbs.map((verb) => ({ verb, group, resource })))

/** What preflight and verification look at around a target, in its namespace. The namespace itself counts as being in it. */
export const lookingNeeds: readonly Need[] = [
  ...reads('', ['get'], 'namespaces'),
  ...reads('', ['list'], 'pods', 'resourcequotas', 'limitranges'),
  ...reads('apps', ['get', 'list'], 'deployments', 'replicasets', 'statefulsets', 'daemonsets'), // owner chains
  ...reads('autoscaling', ['list'], 'horizontalpodautoscalers'),
  ...reads('policy', ['list'], 'poddisruptionbudgets'), // the ready pods that have to stay
  ...reads('keda.sh', ['list'], 'scaledobjects'),
]

/** What no namespace holds: a dead node explains pods that are not ready. */
export const clusterNeeds: readonly Need[] = reads('', ['get'], 'nodes')
