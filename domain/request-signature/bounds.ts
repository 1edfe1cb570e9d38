import { namespaceAllowed } from '../namespaces.ts'
import type { ActionName, ActionParameters, Target } from '../remediation.ts'

/** What a caller's key is good for. `namespaces` as in `namespaceAllowed`; an empty list allows none. */
export type CallerBounds = { actions: readonly ActionName[]; namespaces: readonly string[]; maxReplicas: number }

export type BoundsRefusal = 'key_not_for_action' | 'key_not_for_namespace' | 'key_not_for_replicas'

/** Why a key may not ask for this, or undefined. */
export function outsideBounds(bounds: CallerBounds, asked: { action: ActionName; target: Pick<Target, 'cluster' | 'namespace'>; parameters: ActionParameters }): BoundsRefusal | undefined {
  if (!bounds.actions.includes(asked.action)) return 'key_not_for_action'
  if (!namespaceAllowed(bounds.namespaces, asked.target)) return 'key_not_for_namespace'
  return (asked.parameters.replicas ?? 0) > bounds.maxReplicas ? 'key_not_for_replicas' : undefined
}
