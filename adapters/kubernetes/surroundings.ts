import type { V1Deployment, V1LimitRange, V1ResourceQuota, V2HorizontalPodAutoscaler } from '@kubernetes/client-node'
import type { Autoscaler, Permission } from '../../domain/actions/checks.ts'
import { podNeeds, shortages, type ContainerNeeds, type Shortage } from '../../domain/actions/quota.ts'
import { Failure } from '../../domain/failure.ts'
import type { Plan, ScaleDeploymentPlan } from '../../domain/plan.ts'
import { create, list, pathOf } from './api.ts'
import type { Connection } from './connection.ts'

/** What stands around a target: who else scales it, what room there is, what this identity may do. */

type ScaledObject = { metadata?: { name?: string }; spec?: { scaleTargetRef?: { kind?: string; name?: string } } }

export async function autoscalersOf(connection: Connection, { target, workload }: Plan): Promise<Autoscaler[]> {
  const [hpas, scaled] = await Promise.all([
    list<V2HorizontalPodAutoscaler>(connection, pathOf('horizontalpodautoscalers', target.namespace)),
    ifServed(list<ScaledObject>(connection, pathOf('scaledobjects', target.namespace))),
  ])
  const isOurs = (kind: string | undefined, name: string | undefined) =>
    [target, workload].some((one) => one.kind === kind && one.name === name)
  return [
    ...hpas.items.filter(({ spec }) => isOurs(spec?.scaleTargetRef.kind, spec?.scaleTargetRef.name)).map(({ metadata }) => ({ kind: 'HorizontalPodAutoscaler', name: metadata?.name ?? '' })),
    ...(scaled?.items ?? []).filter(({ spec }) => isOurs(spec?.scaleTargetRef?.kind ?? 'Deployment', spec?.scaleTargetRef?.name)).map(({ metadata }) => ({ kind: 'ScaledObject', name: metadata?.name ?? '' })),
  ]
}

/** Most clusters have no KEDA. */
async function ifServed<T>(listing: Promise<T>): Promise<T | undefined> {
  try {
    return await listing
  } catch (failure) {
    if (failure instanceof Failure && failure.kind === 'missing') return undefined
    throw failure
  }
}

export async function shortagesFor(connection: Connection, { target, replicas }: ScaleDeploymentPlan, deployment: V1Deployment): Promise<Shortage[]> {
  const more = replicas.to - replicas.from
  if (more <= 0) return []
  const [quotas, ranges] = await Promise.all([
    list<V1ResourceQuota>(connection, pathOf('resourcequotas', target.namespace)),
    list<V1LimitRange>(connection, pathOf('limitranges', target.namespace)),
  ])
  const defaults = ranges.items.flatMap(({ spec }) => spec?.limits ?? []).find(({ type }) => type === 'Container')
  const needs = podNeeds(containersOf(deployment), { requests: defaults?.defaultRequest ?? {}, limits: defaults?._default ?? valueNamed(defaults, 'default') })
  const known = quotas.items.map(({ metadata, spec, status }) => ({
    name: metadata?.name ?? '',
    scoped: (spec?.scopes?.length ?? 0) > 0 || spec?.scopeSelector !== undefined,
    hard: spec?.hard ?? {},
    used: status?.used ?? {},
  }))
  return shortages(more, needs, known)
}

/** The typed client calls this field `_default`; the API server calls it `default`. */
const valueNamed = (object: object | undefined, key: string): Record<string, string> =>
  ((object as Record<string, unknown> | undefined)?.[key] as Record<string, string> | undefined) ?? {}

function containersOf({ spec }: V1Deployment): ContainerNeeds[] {
  const { containers = [], initContainers = [] } = spec?.template.spec ?? {}
  return [
    ...containers.map(({ resources }) => ({ role: 'main' as const, requests: resources?.requests ?? {}, limits: resources?.limits ?? {} })),
    ...initContainers.map(({ resources, restartPolicy }) => ({
      role: restartPolicy === 'Always' ? ('sidecar' as const) : ('init' as const),
      requests: resources?.requests ?? {},
      limits: resources?.limits ?? {},
    })),
  ]
}

type Need = { verb: string; group: string; resource: string; subresource?: string }

/** Everything act, undo and fence will ask for, so that no right is missing half-way. */
const needsOf: Record<Plan['action'], readonly Need[]> = {
  restart_pod: [
    { verb: 'get', group: '', resource: 'pods' },
    { verb: 'create', group: '', resource: 'pods', subresource: 'eviction' },
    { verb: 'patch', group: '', resource: 'pods' },
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

const reviews = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'

export const permissionsFor = (connection: Connection, { action, target }: Plan): Promise<Permission[]> =>
  Promise.all(
    needsOf[action].map(async (need) => {
      const resourceAttributes = { ...need, namespace: target.namespace, name: target.kind === 'Deployment' && need.resource === 'replicasets' ? undefined : target.name }
      const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } }
      const { status } = await create<{ status?: { allowed?: boolean } }>(connection, reviews, body)
      const resource = need.subresource ? `${need.resource}/${need.subresource}` : need.resource
      return { verb: need.verb, resource, allowed: status?.allowed === true }
    }),
  )
