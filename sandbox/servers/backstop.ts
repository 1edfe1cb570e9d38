/** What an operator does so that Aegis may act in a cluster, and no more: the objects of deploy/, as they are shipped. */
import { join } from 'node:path'
import { executorAccount, executorPolicy, freezeObject, managedLabel, systemNamespace, userOf } from '../../adapters/kubernetes/backstop/names.ts'
import { nextPlaces } from '../../domain/freeze.ts'
import { checkout } from '../setup/programs.mjs'
import { administratorBy, applyAll, objectsIn, type Api } from './cluster-api.ts'

const folder = (name: string) => join(checkout, 'deploy', name)
const object = `/api/v1/namespaces/${systemNamespace}/configmaps/${freezeObject}`

/** Accounts and rights first, then what holds them back. */
export async function applyBackstop(api: Api): Promise<void> {
  await applyAll(api, objectsIn(folder('rbac')))
  await applyAll(api, objectsIn(folder('admission')))
}

/** A policy holds a moment after it is applied. Asked with an administrator's rights under the worker's name, so that only admission can refuse. */
export async function isHeldBack(api: Api): Promise<boolean> {
  const trial = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'trial' } }
  return api.call('POST', '/api/v1/namespaces/default/configmaps?dryRun=All', trial, 'application/json', userOf(executorAccount)).then(
    () => false,
    (refusal: Error) => refusal.message.includes(executorPolicy),
  )
}

/** As the guard of an Aegis that knows of no freeze leaves it. For an Aegis of its own on a cluster that others used before. */
export async function thaw(kubeconfig: string): Promise<void> {
  const api = administratorBy(kubeconfig)
  await api.call('PATCH', object, [{ op: 'add', path: '/data', value: nextPlaces({}, [], new Set()).places }], 'application/json-patch+json')
}

/** Lets Aegis act in a namespace. */
export async function manageNamespace(kubeconfig: string, namespace: string): Promise<void> {
  const api = administratorBy(kubeconfig)
  const objects = objectsIn(folder('managed-namespace')).map((each) => ({ ...each, metadata: { ...each.metadata, namespace } }))
  await Promise.all([applyAll(api, objects), api.call('PATCH', `/api/v1/namespaces/${namespace}`, { metadata: { labels: { [managedLabel]: 'true' } } }, 'application/merge-patch+json')])
}
