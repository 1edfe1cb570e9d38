import type { NamespaceLimit } from '../adapters/config.ts'
import type { ConcurrencyRule, LimitRule } from '../domain/limits.ts'

/** The configured limits as rules; each is counted per namespace. */
export const limitRules = (limits: readonly NamespaceLimit[]): LimitRule[] =>
  limits.map(({ action, limit, windowMs }) => ({ key: `${action} ${limit}/${windowMs / 1000}s`, action, scope: 'namespace', limit, windowMs }))

export const concurrencyRules = (config: { AEGIS_CONCURRENCY_PER_CLUSTER: number; AEGIS_CONCURRENCY_PER_NAMESPACE: number }): ConcurrencyRule[] => [
  { key: 'concurrent per cluster', scope: 'cluster', limit: config.AEGIS_CONCURRENCY_PER_CLUSTER },
  { key: 'concurrent per namespace', scope: 'namespace', limit: config.AEGIS_CONCURRENCY_PER_NAMESPACE },
]
