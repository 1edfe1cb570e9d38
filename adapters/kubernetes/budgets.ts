import type { V1Deployment, V1LabelSelector, V1PodDisruptionBudget } from '@kubernetes/client-node'
import type { Floor } from '../../domain/actions/checks.ts'
import { list, pathOf } from './api.ts'
import type { Connection } from './connection.ts'
import { podsIn } from './terms.ts'

/**
 * How many of the Deployment's pods its disruption budgets want ready once it has `replicas`. The API server holds
 * evictions to these by itself, but neither a scale nor a rollout.
 */
export async function floorsOf(connection: Connection, { metadata, spec }: V1Deployment, replicas: number): Promise<Floor[]> {
  const { items } = await list<V1PodDisruptionBudget>(connection, pathOf('poddisruptionbudgets', metadata?.namespace ?? ''))
  const labels = spec?.template.metadata?.labels ?? {}
  return items
    .filter(({ spec: budget }) => budget?.selector && selects(budget.selector, labels))
    .map(({ metadata: of, spec: budget }) => ({ name: `PodDisruptionBudget \`${of?.name}\``, pods: floorOf(budget, replicas) }))
}

/** One that cannot be read is a floor that nothing may go below. */
function floorOf(budget: V1PodDisruptionBudget['spec'], replicas: number): number {
  const { minAvailable, maxUnavailable } = budget ?? {}
  const floor = minAvailable !== undefined && minAvailable !== null ? podsIn(minAvailable, replicas) : replicas - podsIn(maxUnavailable ?? 0, replicas)
  return Number.isFinite(floor) ? floor : Infinity
}

export function selects({ matchLabels = {}, matchExpressions = [] }: V1LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const value = (key: string) => (Object.hasOwn(labels, key) ? labels[key] : undefined)
  return Object.entries(matchLabels).every(([key, wanted]) => value(key) === wanted) && matchExpressions.every(({ key, operator, values = [] }) => {
    const found = value(key)
    if (operator === 'Exists') return found !== undefined
    if (operator === 'DoesNotExist') return found === undefined
    const listed = found !== undefined && values.includes(found)
    return operator === 'In' ? listed : !listed
  })
}
