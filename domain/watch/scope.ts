import { namespaceAllowed, protectedNamespaces } from '../namespaces.ts'
import type { WorkloadFacts } from './facts.ts'

/** What is looked at: all but the protected namespaces, or of these only what the list names. An empty list narrows nothing. */
export const isWatched = (only: readonly string[], workload: Pick<WorkloadFacts, 'cluster' | 'namespace'>): boolean =>
  only.length === 0 ? !protectedNamespaces.includes(workload.namespace) : namespaceAllowed(only, workload)
