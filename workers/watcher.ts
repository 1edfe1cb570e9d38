import { processEnvironment, watcherConfig } from '../adapters/config.ts'
import { connectCluster } from '../adapters/kubernetes/client.ts'
import { faultView } from '../adapters/kubernetes/fault-view.ts'
import { createLogger } from '../adapters/log.ts'
import { createRegistry } from '../adapters/metrics.ts'
import { connectDatabase } from '../adapters/postgres/connect.ts'
import { loadRules } from '../adapters/rules.ts'
import { version } from '../adapters/version.ts'
import { dwellMsByFault } from '../domain/rules/dwell.ts'
import type { WatchRules } from '../domain/watch/observe.ts'
import { wantedFor } from '../domain/watch/request.ts'
import { isWatched } from '../domain/watch/scope.ts'
import { serveLoops } from './loops.ts'
import { watchCluster } from './watch/cluster.ts'
import { handover } from './watch/handover.ts'
import { createWatcherMetrics } from './watch/metrics.ts'

const name = 'aegis-watcher'
const config = watcherConfig(processEnvironment())

const log = createLogger({ name, level: config.AEGIS_LOG_LEVEL })
const registry = createRegistry(name)
const metrics = createWatcherMetrics(registry)
const ruleSet = await loadRules(config.AEGIS_RULES_FILE)
const db = connectDatabase({ url: config.DATABASE_URL, applicationName: name, poolMax: 4 })

const rules: WatchRules = {
  dwellMs: dwellMsByFault(ruleSet, config.AEGIS_WATCH_DWELL_MS),
  looks: config.AEGIS_WATCH_LOOKS,
  freshMs: config.AEGIS_WATCH_FRESH_MS,
  acts: (incident) => !('unmatched' in wantedFor(ruleSet, incident)),
  majorityStopPercent: config.AEGIS_MAJORITY_STOP_PERCENT,
  requestsPerMinute: config.AEGIS_WATCH_REQUESTS_PER_MINUTE,
  isoTime: (ms) => new Date(ms).toISOString(),
}

/** Each cluster has a loop of its own: one that is down holds up no other. */
const clusters = config.AEGIS_CLUSTERS.map(({ name: cluster, kubeconfig }) => {
  const connection = connectCluster({ name: cluster, kubeconfig, userAgent: `${name}/${version}`, timeoutMs: 10_000 })
  return watchCluster({
    name: cluster,
    view: faultView(connection, {
      onWhole: () => log.info({ cluster }, 'the cluster is in view'),
      onBroken: (failure) => log.warn({ err: failure, cluster }, 'the view of the cluster broke off; it is tried again'),
    }),
    rules,
    isWatched: (workload) => isWatched(config.AEGIS_WATCH_NAMESPACES, workload),
    handover: handover({ db, rules: ruleSet, deadlineMs: config.AEGIS_DEADLINE_MS, log, metrics }),
    log,
    metrics,
  })
})

await serveLoops({
  ...{ db, registry, log, loops: clusters },
  health: { host: config.AEGIS_HEALTH_HOST, port: config.AEGIS_HEALTH_PORT },
  doing: 'watching',
  about: { clusters: clusters.map((cluster) => cluster.name), rules: ruleSet.hash },
})
