import { guardConfig, processEnvironment } from '../adapters/config.ts'
import { connectCluster, freezeObjectOn } from '../adapters/kubernetes/client.ts'
import { createLogger } from '../adapters/log.ts'
import { createRegistry } from '../adapters/metrics.ts'
import { connectDatabase } from '../adapters/postgres/connect.ts'
import { listen } from '../adapters/postgres/listen.ts'
import { version } from '../adapters/version.ts'
import { keepGuard } from './guard/keep.ts'
import { createGuardMetrics } from './guard/metrics.ts'
import { guardRound } from './guard/round.ts'
import { serveLoops } from './loops.ts'

/**
 * Makes each cluster itself refuse what is frozen, so that no worker has to be believed, and none has to be awake. It
 * knows neither Temporal nor any key, and in a cluster it may write one object.
 */
const name = 'aegis-guard'
const config = guardConfig(processEnvironment())

const log = createLogger({ name, level: config.AEGIS_LOG_LEVEL })
const registry = createRegistry(name)
const metrics = createGuardMetrics(registry)
const db = connectDatabase({ url: config.DATABASE_URL, applicationName: name, poolMax: 4 })

/** Each cluster has a loop of its own: one that is down holds up no other. */
const guards = config.AEGIS_CLUSTERS.map(({ name: cluster, kubeconfig }) => {
  const connection = connectCluster({ name: cluster, kubeconfig, userAgent: `${name}/${version}`, timeoutMs: 3_000 })
  const object = freezeObjectOn(connection)
  return keepGuard({ cluster, round: () => guardRound(db, object), log, metrics: metrics.of(cluster) })
})
const listener = listen(config.DATABASE_URL, ['aegis_freeze'], () => guards.forEach((guard) => guard.wake()), {
  onError: (failure) => log.warn({ err: failure }, 'listening for freezes broke off; they are looked for every second'),
})

await serveLoops({
  ...{ db, registry, log, loops: guards, close: () => listener.close() },
  health: { host: config.AEGIS_HEALTH_HOST, port: config.AEGIS_HEALTH_PORT },
  doing: 'guarding',
  about: { clusters: config.AEGIS_CLUSTERS.map((cluster) => cluster.name) },
})
