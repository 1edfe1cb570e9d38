import type { V1ObjectMeta } from '@kubernetes/client-node'
import type { Manager } from '../../domain/actions/observation.ts'
import { controllerOf } from './owners.ts'

/** Who else writes an object. The label `app.kubernetes.io/instance` shows nothing: Argo CD and Helm share it with everyone. */
const marks: readonly { is: Manager['is']; key: RegExp }[] = [
  { is: 'argocd', key: /^argocd\.argoproj\.io\/(tracking-id|instance)$/ },
  { is: 'flux', key: /^(kustomize|helm)\.toolkit\.fluxcd\.io\/name$/ },
]

/** Field managers, as these controllers name themselves when they apply. */
const fieldManagers: readonly { is: Manager['is']; name: RegExp }[] = [
  { is: 'argocd', name: /^argocd(-application)?-controller$|^argocd$/ },
  { is: 'flux', name: /^(kustomize-controller|helm-controller|flux-client-side-apply|gotk-.*)$/ },
]

export function managersOf(metadata: V1ObjectMeta | undefined): Manager[] {
  const keys = [...Object.keys(metadata?.annotations ?? {}), ...Object.keys(metadata?.labels ?? {})]
  const writers = new Set((metadata?.managedFields ?? []).map(({ manager }) => manager ?? ''))
  const owner = controllerOf(metadata)
  const found: Manager[] = [
    ...marks.flatMap(({ is, key }) => keys.filter((one) => key.test(one)).map((evidence) => ({ is, evidence }))),
    ...fieldManagers.flatMap(({ is, name }) => [...writers].filter((one) => name.test(one)).map((evidence) => ({ is, evidence }))),
    ...(owner ? [{ is: 'controller' as const, evidence: `${owner.kind}/${owner.name}` }] : []),
    ...helmRelease(metadata),
  ]
  return found.filter((one, index) => found.findIndex((other) => other.is === one.is) === index)
}

function helmRelease(metadata: V1ObjectMeta | undefined): Manager[] {
  const release = metadata?.annotations?.['meta.helm.sh/release-name']
  if (metadata?.labels?.['app.kubernetes.io/managed-by'] !== 'Helm' && !release) return []
  return [{ is: 'helm', evidence: release ?? 'app.kubernetes.io/managed-by' }]
}
