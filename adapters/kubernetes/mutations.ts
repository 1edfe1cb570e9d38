import type { DeploymentRead, PodRead } from '../../domain/actions/situation.ts'
import type { Plan, ScaleDeploymentPlan } from '../../domain/plan.ts'
import type { EffectPhase } from '../../domain/remediation.ts'
import { evictionAnnotation, stampAnnotation, withStamp, type StampPhase } from '../../domain/stamp.ts'
import { pathOf } from './api.ts'
import type { Call } from './connection.ts'
import type { Template } from './template.ts'

/**
 * The only requests that change a cluster. Each names the UID and the resourceVersion of one read,
 * and stamps the object in the same write.
 */

/** Names Aegis in `managedFields`. A dry run is the very same request. */
const fieldManager = 'aegis'
export const dryRun = (call: Call): Call => ({ ...call, query: { ...call.query, dryRun: 'All' } })

const strict = { fieldManager, fieldValidation: 'Strict' }
const stampedPhase: Record<EffectPhase, StampPhase> = { act: 'applied', undo: 'undone' }

/** Never the scale subresource: it cannot carry the stamp. */
export function scaleCall(plan: ScaleDeploymentPlan, phase: EffectPhase, remediationId: string, read: DeploymentRead): Call {
  const { to } = phase === 'act' ? plan.replicas : plan.undo.replicas
  const metadata = stampedMetadata(read, remediationId, stampedPhase[phase])
  return mergePatch(pathOf('deployments', plan.target.namespace, plan.target.name), { metadata, spec: { replicas: to } })
}

/**
 * A JSON Patch that replaces the template whole: a merge patch would keep every key the old template
 * lacks. A read without annotations needs the parent first. A stale resourceVersion answers 409.
 */
export function rollbackCall(plan: Plan, phase: EffectPhase, remediationId: string, read: DeploymentRead, template: Template): Call {
  const annotations = read.annotated ? [] : [{ op: 'add', path: '/metadata/annotations', value: {} }]
  const body = [
    { op: 'test', path: '/metadata/uid', value: read.uid },
    { op: 'replace', path: '/metadata/resourceVersion', value: read.resourceVersion },
    ...annotations,
    { op: 'add', path: `/metadata/annotations/${pointer(stampAnnotation)}`, value: withStamp(read.stamps, remediationId, stampedPhase[phase]) },
    { op: 'replace', path: '/spec/template', value: template },
  ]
  const path = pathOf('deployments', plan.target.namespace, plan.target.name)
  return { method: 'PATCH', path, body, contentType: 'application/json-patch+json', query: strict }
}

/** An eviction asks the disruption budgets, which a delete would not. */
export function evictionCall({ target }: Plan, remediationId: string, { uid, resourceVersion }: PodRead): Call {
  const { namespace, name } = target
  const body = {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name, namespace, annotations: { [evictionAnnotation]: remediationId } },
    deleteOptions: { preconditions: { uid, resourceVersion } },
  }
  return { method: 'POST', path: pathOf('pods', namespace, name, 'eviction'), body, query: { fieldManager } }
}

/** Changes the annotation alone, which moves resourceVersion: whatever was read before can no longer be written. */
export function fenceCall({ target }: Plan, remediationId: string, mark: StampPhase, read: PodRead | DeploymentRead): Call {
  const resource = target.kind === 'Pod' ? 'pods' : 'deployments'
  return mergePatch(pathOf(resource, target.namespace, target.name), { metadata: stampedMetadata(read, remediationId, mark) })
}

const stampedMetadata = ({ uid, resourceVersion, stamps }: PodRead | DeploymentRead, remediationId: string, phase: StampPhase) => ({
  uid,
  resourceVersion,
  annotations: { [stampAnnotation]: withStamp(stamps, remediationId, phase) },
})

const mergePatch = (path: string, body: unknown): Call => ({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json', query: strict })

/** RFC 6901. */
export const pointer = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')
