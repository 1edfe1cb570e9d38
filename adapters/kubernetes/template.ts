import type { V1PodTemplateSpec } from '@kubernetes/client-node'
import { createHash } from 'node:crypto'
import { canonicalJson } from '../../domain/canonical.ts'
import { Failure } from '../../domain/failure.ts'

/** A pod template as a Deployment holds it: its ReplicaSet's, less what the controller added. */
export type Template = { readonly template: unique symbol } & V1PodTemplateSpec

const restartedAt = 'kubectl.kubernetes.io/restartedAt'

/**
 * The label `pod-template-hash` names a ReplicaSet, so a template put back with it would never match
 * its selector again. Throws `invalid` for numbers that JavaScript cannot hold exactly.
 */
export function plainTemplate(raw: V1PodTemplateSpec | undefined): Template {
  const { metadata, ...rest } = structuredClone(raw ?? {})
  refuseInexact(rest)
  const { creationTimestamp, labels, ...kept } = metadata ?? {}
  const { 'pod-template-hash': _hash, ...ours } = labels ?? {}
  const created = creationTimestamp === null || creationTimestamp === undefined ? {} : { creationTimestamp }
  return { metadata: { ...kept, ...created, ...(Object.keys(ours).length > 0 && { labels: ours }) }, ...rest } as Template
}

export const templateHash = (template: Template): string => sha256(canonicalJson(template))

/** Blind to rolling restarts, each of which makes a revision that runs the same. */
export function sourceHash(template: Template): string {
  const { annotations = {}, ...metadata } = template.metadata ?? {}
  const { [restartedAt]: _at, ...others } = annotations
  const kept = Object.keys(others).length > 0 ? { annotations: others } : {}
  return sha256(canonicalJson({ ...template, metadata: { ...metadata, ...kept } }))
}

const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex')

/** Written back, such a number would differ from what was read, and its hash would not show it. */
function refuseInexact(value: unknown): void {
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new Failure('invalid', 'template_not_exact', 'the pod template holds a whole number beyond 2^53, which cannot be put back exactly: roll back by hand')
  }
  if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) refuseInexact(inner)
}
