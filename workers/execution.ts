import { Worker } from '@temporalio/worker'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ExecutionDeps } from '../activities/deps.ts'
import { executionSteps } from '../activities/execution.ts'
import { stepInterceptor } from '../activities/interceptor.ts'
import { executionConfig, processEnvironment } from '../adapters/config.ts'
import { clusterExecutor, connectCluster } from '../adapters/kubernetes/client.ts'
import { connectDatabase, databaseReady } from '../adapters/postgres/connect.ts'
import * as store from '../adapters/postgres/store.ts'
import { keyedDigest, sha256Hex, verifierOf } from '../adapters/signing.ts'
import { version } from '../adapters/version.ts'
import { executeQueue } from '../temporal/names.ts'
import { pollingState, runWorkerProcess, workerOptions } from './process.ts'
import { stepHooks } from './steps.ts'

const config = executionConfig(processEnvironment())
const name = config.AEGIS_CLUSTER

const health = { host: config.AEGIS_HEALTH_HOST, port: config.AEGIS_HEALTH_PORT }
const settings = { name: `aegis-execution-${name}`, logLevel: config.AEGIS_LOG_LEVEL, temporalAddress: config.TEMPORAL_ADDRESS, health }

await runWorkerProcess(settings, async ({ log, registry }, temporal) => {
  const db = connectDatabase({ url: config.DATABASE_URL, applicationName: settings.name, poolMax: 20 })
  const cluster = connectCluster({ name, kubeconfig: config.KUBECONFIG, userAgent: `aegis-executor/${version}`, timeoutMs: 10_000 })
  const deps: ExecutionDeps = {
    db,
    store,
    cluster: clusterExecutor(cluster),
    verify: verifierOf(config.AEGIS_WARRANT_PUBLIC_KEYS_FILE, 'AEGIS_WARRANT_PUBLIC_KEYS_FILE'),
    sha256: sha256Hex,
    keyedDigest: keyedDigest(digestKey(config.AEGIS_DIGEST_KEY_FILE)),
    allowedNamespaces: config.AEGIS_NAMESPACES,
    sleep: (ms) => sleep(ms),
    nowMs: () => Date.now(),
  }
  const aroundSteps = stepInterceptor(stepHooks(db, log, registry))
  const worker = await Worker.create({
    ...workerOptions(settings.name),
    ...temporal,
    taskQueue: executeQueue(name),
    activities: executionSteps(deps),
    interceptors: { activity: [() => ({ inbound: aroundSteps })] },
    // Verifications wait more than they work, so they may be many.
    maxConcurrentActivityTaskExecutions: 100,
  })
  return {
    worker,
    ready: async () => {
      const database = await databaseReady(db)
      return database.ok ? pollingState(worker) : database
    },
    stop: () => db.destroy(),
  }
})

/** Without a key file, digests of secrets are comparable within one process only. */
function digestKey(path: string | undefined): Buffer {
  return path === undefined ? randomBytes(32) : readFileSync(path)
}
