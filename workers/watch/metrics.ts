import { Counter, Gauge, Histogram, type Registry } from '../../adapters/metrics.ts'

export type WatcherMetrics = ReturnType<typeof createWatcherMetrics>

/** What the watcher counts. Clusters and fault classes are few; workloads and ids are never labels. */
export function createWatcherMetrics(registry: Registry) {
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) => new Counter({ name, help, labelNames, registers })
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) => new Gauge({ name, help, labelNames, registers })
  return {
    incidents: counter('aegis_watcher_incidents_total', 'Faults that lasted, by what the rules led to (`none`: only recorded)', ['cluster', 'fault', 'action']),
    requests: counter('aegis_watcher_requests_total', 'Requests handed over; `known` belonged to a remediation that was there already', ['cluster', 'result']),
    held: counter('aegis_watcher_holds_total', 'Times a guard began to hold requests back', ['cluster', 'guard']),
    holding: gauge('aegis_watcher_held_requests', 'Requests held back now', ['cluster', 'guard']),
    majority: gauge('aegis_watcher_majority_stop', '1 while so many workloads fail at once that nothing is asked for', ['cluster']),
    workloads: gauge('aegis_watcher_workloads', 'Workloads watched', ['cluster']),
    failing: gauge('aegis_watcher_failing_workloads', 'Workloads with a fault now, lasting or not', ['cluster']),
    inView: gauge('aegis_watcher_cluster_in_view', '1 while the cluster answers and is followed', ['cluster']),
    detectionSeconds: new Histogram({
      name: 'aegis_watcher_detection_seconds',
      help: 'From the start of a fault, as the objects tell it, to its request; includes the dwell',
      labelNames: ['fault'] as const,
      buckets: [5, 10, 20, 30, 60, 90, 120, 180, 300, 600, 1800],
      registers,
    }),
  }
}
