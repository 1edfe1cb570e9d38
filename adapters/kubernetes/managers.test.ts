import type { V1ObjectMeta } from '@kubernetes/client-node'
import { managersOf } from './managers.ts'

test.each<[string, V1ObjectMeta, object[]]>([
  ['nobody', { labels: { app: 'cart', 'app.kubernetes.io/instance': 'cart' } }, []],
  ['Argo CD by its tracking id', { annotations: { 'argocd.argoproj.io/tracking-id': 'shop:apps/Deployment:shop/cart' } }, [{ is: 'argocd', evidence: 'argocd.argoproj.io/tracking-id' }]],
  ['Argo CD by its label', { labels: { 'argocd.argoproj.io/instance': 'shop' } }, [{ is: 'argocd', evidence: 'argocd.argoproj.io/instance' }]],
  ['Argo CD by its field manager', { managedFields: [{ manager: 'argocd-controller' }] }, [{ is: 'argocd', evidence: 'argocd-controller' }]],
  ['Flux by its label', { labels: { 'kustomize.toolkit.fluxcd.io/name': 'shop' } }, [{ is: 'flux', evidence: 'kustomize.toolkit.fluxcd.io/name' }]],
  ['Flux over Helm', { labels: { 'helm.toolkit.fluxcd.io/name': 'shop', 'app.kubernetes.io/managed-by': 'Helm' } }, [{ is: 'flux', evidence: 'helm.toolkit.fluxcd.io/name' }, { is: 'helm', evidence: 'app.kubernetes.io/managed-by' }]],
  ['Helm by its release', { labels: { 'app.kubernetes.io/managed-by': 'Helm' }, annotations: { 'meta.helm.sh/release-name': 'cart' } }, [{ is: 'helm', evidence: 'cart' }]],
  ['a custom resource', { ownerReferences: [{ apiVersion: 'x/v1', kind: 'Shop', name: 'main', uid: 'u', controller: true }] }, [{ is: 'controller', evidence: 'Shop/main' }]],
  ['an owner that controls nothing', { ownerReferences: [{ apiVersion: 'x/v1', kind: 'Shop', name: 'main', uid: 'u' }] }, []],
  ['people and the controllers of the cluster', { managedFields: [{ manager: 'kubectl-edit' }, { manager: 'kube-controller-manager' }, { manager: 'aegis' }] }, []],
])('%s', (_what, metadata, expected) => expect(managersOf(metadata)).toEqual(expected))
