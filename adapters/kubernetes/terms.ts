import type { V1Deployment, V1ObjectMeta } from '@kubernetes/client-node'
import type { WorkloadTerms } from '../../domain/plan.ts'

const errorBudgetAnnotation = 'aegis.dev/error-budget'
const minAvailableAnnotation = 'aegis.dev/min-available'

/** Of a target and what owns it. A floor that cannot be read is one that nothing may go below. */
export function termsOf(marked: readonly (V1ObjectMeta | undefined)[], maxUnavailable: number | null): WorkloadTerms {
  const annotated = (name: string) => marked.flatMap((metadata) => metadata?.annotations?.[name] ?? [])
  const floors = annotated(minAvailableAnnotation).map((text) => (/^\d{1,6}$/.test(text) ? Number(text) : Number.MAX_SAFE_INTEGER))
  return {
    errorBudgetExhausted: annotated(errorBudgetAnnotation).includes('exhausted'),
    minAvailable: floors.length === 0 ? null : Math.max(...floors),
    maxUnavailable,
  }
}

/** What a number or a share of `pods` comes to, in the API's words. A share rounds up unless told otherwise. */
export function podsIn(value: number | string, pods: number, rounded: (share: number) => number = Math.ceil): number {
  if (typeof value === 'number') return value
  const percent = /^(\d{1,3})%$/.exec(value)?.[1]
  return percent === undefined ? Number.NaN : rounded((Number(percent) * pods) / 100)
}

/** As the Deployment controller resolves it: down, but never to nothing where no pod may be added either. */
export function maxUnavailableOf({ spec }: V1Deployment): number {
  const replicas = spec?.replicas ?? 1
  if (spec?.strategy?.type === 'Recreate') return replicas
  const { maxUnavailable = '25%', maxSurge = '25%' } = spec?.strategy?.rollingUpdate ?? {}
  const down = podsIn(maxUnavailable, replicas, Math.floor)
  if (!Number.isInteger(down)) return replicas
  return down === 0 && podsIn(maxSurge, replicas) === 0 ? 1 : Math.min(down, replicas)
}
