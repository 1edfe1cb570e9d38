import { Gauge, type Registry } from '../adapters/metrics.ts'
import type { PolicySource } from '../adapters/policies/published.ts'

/** Which policies this worker decides by, and how sure it is that they are still those of record. */
export function policyMetrics(registry: Registry, policies: PolicySource): void {
  const registers = [registry]
  new Gauge({
    name: 'aegis_policy_snapshot_info',
    help: 'The snapshot decisions are made by',
    labelNames: ['snapshot'],
    registers,
    collect() {
      this.reset()
      this.set({ snapshot: policies.current().snapshot.hash }, 1)
    },
  })
  new Gauge({
    name: 'aegis_policy_age_seconds',
    help: 'Since the database was last read and found to hold this snapshot; past 60 s everything is denied',
    registers,
    collect() {
      this.set(policies.current().ageMs / 1000)
    },
  })
}
