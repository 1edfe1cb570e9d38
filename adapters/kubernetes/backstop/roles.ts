import { actionNeeds, clusterNeeds, lookingNeeds, type Need } from '../needs.ts'
import { executorAccount, freezeObject, guardAccount, systemNamespace } from './names.ts'

/** Roles and bindings, from the list of what the execution worker asks for. */

export type Rule = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }
export type KubernetesObject = { apiVersion: string; kind: string; metadata: { name: string; namespace?: string; labels?: Record<string, string> } } & Record<string, unknown>

const rbac = 'rbac.authorization.k8s.io'
const serviceAccount = (name: string): KubernetesObject => ({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: systemNamespace } })
const subject = (name: string) => [{ kind: 'ServiceAccount', name, namespace: systemNamespace }]

/** Needs as rules: one for each resource, its verbs in a stable order. */
export function rulesFor(needs: readonly Need[]): Rule[] {
  const rules = new Map<string, Rule>()
  for (const { verb, group, resource, subresource } of needs) {
    const name = subresource === undefined ? resource : `${resource}/${subresource}`
    const rule = rules.get(`${group}/${name}`) ?? { apiGroups: [group], resources: [name], verbs: [] }
    rule.verbs = [...new Set([...rule.verbs, verb])].sort()
    rules.set(`${group}/${name}`, rule)
  }
  return [...rules.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, rule]) => rule)
}

export const namespaceRules = (): Rule[] => rulesFor([...Object.values(actionNeeds).flat(), ...lookingNeeds])

/** Applied once in each namespace that Aegis may act in: none is named here, so `kubectl apply -n` or kustomize says which. */
export const managedNamespaceObjects = (): KubernetesObject[] => [
  { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: { name: executorAccount }, rules: namespaceRules() },
  {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: { name: executorAccount },
    roleRef: { apiGroup: rbac, kind: 'Role', name: executorAccount },
    subjects: subject(executorAccount),
  },
]

export const executorObjects = (): KubernetesObject[] => [
  serviceAccount(executorAccount),
  { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: { name: executorAccount }, rules: rulesFor(clusterNeeds) },
  {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: executorAccount },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: executorAccount },
    subjects: subject(executorAccount),
  },
]

/** One object, by name. No `create`: names do not bind that verb, and an object that is gone has to be put back by a person. */
export const guardObjects = (): KubernetesObject[] => [
  serviceAccount(guardAccount),
  {
    apiVersion: `${rbac}/v1`,
    kind: 'Role',
    metadata: { name: guardAccount, namespace: systemNamespace },
    rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: [freezeObject], verbs: ['get', 'update'] }],
  },
  {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata: { name: guardAccount, namespace: systemNamespace },
    roleRef: { apiGroup: rbac, kind: 'Role', name: guardAccount },
    subjects: subject(guardAccount),
  },
]
