import type { V1Deployment, V1LimitRange, V1ResourceQuota, V2HorizontalPodAutoscaler } from '@kubernetes/client-node'
import type { Autoscaler } from '../../domain/actions/checks.ts'
import { podNeeds, shortages, type ContainerNeeds, type Shortage } from '../../domain/actions/quota.ts'
import { Failure } from '../../domain/failure.ts'
import type { Plan, ScaleDeploymentPlan } from '../../domain/plan.ts'
import { list, pathOf } from './api.ts'
import type { Connection } from './connection.ts'
import { recent } from './recent.ts'

/** What stands around a target: who else scales it, and what room there is. */

type ScaledObject = { metadata?: { name?: string }; spec?: { scaleTargetRef?: { kind?: string; name?: string } } }

/** What is remembered of a cluster is asked again after this long. */
const memoryMs = 10_000

/**
 * Most clusters have no KEDA, and that is remembered for a while. Safe, because KEDA scales through a
 * HorizontalPodAutoscaler of its own, and those are listed each time.
 */
export function autoscalersOn(connection: Connection, nowMs?: () => number) {
  const notServed = recent(memoryMs, 1, nowMs)
  async function scaledObjects(namespace: string): Promise<ScaledObject[]> {
    if (notServed.has('scaledobjects')) return []
    try {
      return (await list<ScaledObject>(connection, pathOf('scaledobjects', namespace))).items
    } catch (failure) {
      if (!(failure instanceof Failure && failure.kind === 'missing')) throw failure
      notServed.note('scaledobjects')
      return []
    }
  }
  return async (plan: Plan): Promise<Autoscaler[]> => {
    const { namespace } = plan.target
    const [hpas, scaled] = await Promise.all([list<V2HorizontalPodAutoscaler>(connection, pathOf('horizontalpodautoscalers', namespace)), scaledObjects(namespace)])
    return autoscalersAmong(plan, hpas.items, scaled)
  }
}

function autoscalersAmong({ target, workload }: Plan, hpas: readonly V2HorizontalPodAutoscaler[], scaled: readonly ScaledObject[]): Autoscaler[] {
  const isOurs = (kind: string | undefined, name: string | undefined) =>
    [target, workload].some((one) => one.kind === kind && one.name === name)
  return [
    ...hpas.filter(({ spec }) => isOurs(spec?.scaleTargetRef.kind, spec?.scaleTargetRef.name)).map(({ metadata }) => ({ kind: 'HorizontalPodAutoscaler', name: metadata?.name ?? '' })),
    ...scaled.filter(({ spec }) => isOurs(spec?.scaleTargetRef?.kind ?? 'Deployment', spec?.scaleTargetRef?.name)).map(({ metadata }) => ({ kind: 'ScaledObject', name: metadata?.name ?? '' })),
  ]
}

export async function shortagesFor(connection: Connection, { target, replicas }: ScaleDeploymentPlan, deployment: V1Deployment): Promise<Shortage[]> {
  const more = replicas.to - replicas.from
  if (more <= 0) return []
  const quotas = await list<V1ResourceQuota>(connection, pathOf('resourcequotas', target.namespace))
  if (quotas.items.length === 0) return []
  const ranges = await list<V1LimitRange>(connection, pathOf('limitranges', target.namespace))
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
