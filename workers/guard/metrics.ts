import { Gauge, type Registry } from '../../adapters/metrics.ts'

export type GuardMetrics = { round(counts: { inForce: number; pending: number; kept: number }): void }

/** What tells that a guard sleeps, and that a cluster is not as the database has it. */
export function createGuardMetrics(registry: Registry): { of(cluster: string): GuardMetrics } {
  const doneAtMs = new Map<string, number>()
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames: ['cluster'] as const, registers: [registry] })
  const inForce = gauge('aegis_guard_freezes', 'Freezes in force that cover the cluster')
  const pending = gauge('aegis_guard_pending', 'Freezes, and lifted ones, that the cluster has not been seen to follow yet')
  const kept = gauge('aegis_guard_kept', 'Freezes that the cluster holds and the database does not know')
  new Gauge({
    name: 'aegis_guard_last_round_seconds',
    help: 'Since the guard last brought the cluster in line with the freezes on record',
    labelNames: ['cluster'] as const,
    registers: [registry],
    collect() {
      for (const [cluster, atMs] of doneAtMs) this.set({ cluster }, (performance.now() - atMs) / 1000)
    },
  })
  return {
    of(cluster) {
      doneAtMs.set(cluster, performance.now()) // a guard that never comes round ages from its start
      return {
        round(counts) {
          doneAtMs.set(cluster, performance.now())
          inForce.set({ cluster }, counts.inForce)
          pending.set({ cluster }, counts.pending)
          kept.set({ cluster }, counts.kept)
        },
      }
    },
  }
}
