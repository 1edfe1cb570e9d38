import type { DecisionConfig, LimitSetting } from '../adapters/config.ts'
import type { GuardRules } from '../activities/deps.ts'
import type { ConcurrencyRule, LimitRule } from '../domain/limits.ts'

/** The configured limits as rules. */
export const limitRules = (limits: readonly LimitSetting[]): LimitRule[] =>
  limits.map((limit) => ({ key: `${limit.action} ${limit.limit}/${limit.windowMs / 1000}s per ${limit.scope}`, ...limit }))

export const concurrencyRules = (config: { AEGIS_CONCURRENCY_PER_CLUSTER: number; AEGIS_CONCURRENCY_PER_NAMESPACE: number }): ConcurrencyRule[] => [
  { key: 'concurrent per cluster', scope: 'cluster', limit: config.AEGIS_CONCURRENCY_PER_CLUSTER },
  { key: 'concurrent per namespace', scope: 'namespace', limit: config.AEGIS_CONCURRENCY_PER_NAMESPACE },
]

export const guardRules = (config: DecisionConfig): GuardRules => ({
  disruption: {
    workloadPercent: config.AEGIS_DISRUPTION_WORKLOAD_PERCENT,
    namespacePercent: config.AEGIS_DISRUPTION_NAMESPACE_PERCENT,
    windowMs: config.AEGIS_DISRUPTION_WINDOW_MS,
  },
  majorityPercent: config.AEGIS_MAJORITY_STOP_PERCENT,
  flap: config.AEGIS_FLAP,
  breaker: config.AEGIS_BREAKER,
  afterRolloutMs: config.AEGIS_AFTER_ROLLOUT_MS,
  afterActionMs: config.AEGIS_AFTER_ACTION_MS,
})
