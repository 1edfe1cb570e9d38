import { bundleWorkflowCode, DefaultLogger, Worker } from '@temporalio/worker'
import type { Knex } from 'knex'
import { fileURLToPath } from 'node:url'
import { decisionSteps } from '../activities/decision.ts'
import type { DecisionDeps } from '../activities/deps.ts'
import { stepInterceptor } from '../activities/interceptor.ts'
import { decisionConfig, processEnvironment, type DecisionConfig } from '../adapters/config.ts'
import { clusterReader, connectCluster } from '../adapters/kubernetes/client.ts'
import { policyReloadMs, publishedPolicies } from '../adapters/policies/published.ts'
import { connectDatabase, databaseReady } from '../adapters/postgres/connect.ts'
import { listen, type Channel } from '../adapters/postgres/listen.ts'
import { ensurePartitions } from '../adapters/postgres/partitions.ts'
import * as store from '../adapters/postgres/store.ts'
import { freshId, freshNonce, sha256Hex, signerOf, verifierOf } from '../adapters/signing.ts'
import { version } from '../adapters/version.ts'
import { Failure } from '../domain/failure.ts'
import { namespaceListed } from '../domain/namespaces.ts'
import { strictestMode, type Ending } from '../domain/remediation.ts'
import { lazyClient } from '../temporal/client.ts'
import { decideQueue } from '../temporal/names.ts'
import { startLoop } from '../temporal/loop.ts'
import { startReconciler, whatHappened } from '../temporal/reconciler.ts'
import { startRelay, type Outbox } from '../temporal/relay.ts'
import { breakGlassMetrics } from './break-glass-metrics.ts'
import { concurrencyRules, guardRules, limitRules } from './limits.ts'
import { pager } from './pages.ts'
import { policyMetrics } from './policy-metrics.ts'
import { pollingState, runWorkerProcess, workerOptions } from './process.ts'
import { stepHooks } from './steps.ts'

const config = decisionConfig(processEnvironment())
/** The ledger's partitions are made this far ahead; a worker that is up one day in that time is enough. */
const partitionMonthsAhead = 3
const partitionEveryMs = 12 * 3_600_000
const reviewsEveryMs = 15_000
/** Between polls of the outbox; a notification from the database wakes the relay sooner. */
const relayEveryMs = 500

const health = { host: config.AEGIS_HEALTH_HOST, port: config.AEGIS_HEALTH_PORT }
const settings = { name: 'aegis-decision', logLevel: config.AEGIS_LOG_LEVEL, temporalAddress: config.TEMPORAL_ADDRESS, health }

await runWorkerProcess(settings, async ({ log, registry }, temporal) => {
  const db = connectDatabase({ url: config.DATABASE_URL, applicationName: settings.name, poolMax: 20 })
  const policies = publishedPolicies(db, {
    verify: verifierOf(config.AEGIS_POLICY_PUBLIC_KEYS_FILE, 'AEGIS_POLICY_PUBLIC_KEYS_FILE'),
    reloadMs: policyReloadMs,
    onChange: ({ snapshot, error }) => (error ? log.error({ error }, 'policies not taken') : log.info({ snapshot: snapshot.hash }, 'policies taken')),
  })
  await policies.reload()
  policyMetrics(registry, policies)
  const client = lazyClient({ address: config.TEMPORAL_ADDRESS })
  const deps = decisionDeps(config, { db, store, policies, runOf: (id) => whatHappened(client, id), page: pager(log, registry) })
  const onFailure = (failure: unknown) => log.warn({ err: failure }, 'a round failed; it is tried again')

  const relay = startRelay({ client, outbox: outboxOf(db), inFlightLimit: config.AEGIS_IN_FLIGHT_LIMIT, everyMs: relayEveryMs, onFailure })
  const wake = (channel: Channel) => (channel === 'aegis_policy' ? void policies.reload() : relay.kick())
  const listener = listen(config.DATABASE_URL, ['aegis_request', 'aegis_answer', 'aegis_policy'], wake, { onError: onFailure })
  const reconciler = startReconciler({
    client,
    everyMs: config.AEGIS_RECONCILE_EVERY_MS,
    onFailure,
    onLost: (run) => log.warn(run, 'a run ended without its record; settling it'),
    unsettled: (page) => store.unsettledRemediations(db, { idleMs: config.AEGIS_RECONCILE_IDLE_MS, ...page }),
    overdue: (limit) => store.overdueRequests(db, limit),
    closeOverdue: (id) => closeOverdue(db, id),
  })

  const partitions = startLoop(async () => void (await ensurePartitions(db, partitionMonthsAhead)), { everyMs: partitionEveryMs, onFailure })
  const reviews = startLoop(breakGlassMetrics(registry, db), { everyMs: reviewsEveryMs, onFailure })
  const aroundSteps = stepInterceptor(stepHooks(db, log, registry))
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../workflows/index.ts', import.meta.url)),
    workflowInterceptorModules: [fileURLToPath(new URL('../workflows/hook.ts', import.meta.url))],
    logger: new DefaultLogger('ERROR'),
  })
  const worker = await Worker.create({
    ...workerOptions(settings.name),
    ...temporal,
    taskQueue: decideQueue,
    workflowBundle,
    activities: decisionSteps(deps),
    interceptors: { activity: [() => ({ inbound: aroundSteps })] },
    maxConcurrentWorkflowTaskExecutions: 20,
    maxConcurrentLocalActivityExecutions: 20,
    maxConcurrentActivityTaskExecutions: 20,
  })
  return {
    worker,
    ready: async () => {
      const database = await databaseReady(db)
      return database.ok ? pollingState(worker) : database
    },
    async stop() {
      await Promise.all([relay.stop(), reconciler.stop(), partitions.stop(), reviews.stop(), listener.close()])
      policies.close()
      await client.connection.close()
      await db.destroy()
    },
  }
})

function outboxOf(db: Knex): Outbox {
  return {
    unstarted: (limit) => store.unstartedRequests(db, limit),
    markStarted: (id) => store.markStarted(db, id),
    inFlight: () => store.inFlightCounts(db),
    undelivered: (limit) => store.undeliveredAnswers(db, limit),
    markDelivered: (answerId) => store.markDelivered(db, answerId),
  }
}

/** Requests that no Temporal took in time end here; a run that starts late finds the terminal row and does nothing. */
async function closeOverdue(db: Knex, id: string): Promise<void> {
  const ending: Ending = { outcome: 'blocked', reason: 'never_started', message: 'Temporal did not take the run before the deadline', verdict: null }
  await store.closeRemediation(db, { id, ending, source: 'reconciler', runId: null, firstRunId: null, newId: freshId })
}

function decisionDeps(config: DecisionConfig, given: Pick<DecisionDeps, 'db' | 'store' | 'policies' | 'runOf' | 'page'>): DecisionDeps {
  const readers = new Map(
    config.AEGIS_CLUSTERS.map(({ name, kubeconfig }) => {
      const connection = connectCluster({ name, kubeconfig, userAgent: `aegis-decision/${version}`, timeoutMs: 10_000 })
      return [name, clusterReader(connection)]
    }),
  )
  return {
    ...given,
    clusters(name) {
      const reader = readers.get(name)
      if (!reader) throw new Failure('invalid', 'unknown_cluster', `cluster \`${name}\` is not in AEGIS_CLUSTERS of the decision worker`)
      return reader
    },
    signer: signerOf(config.AEGIS_WARRANT_KEY_FILE, 'AEGIS_WARRANT_KEY_FILE'),
    sha256: sha256Hex,
    freshId,
    freshNonce,
    settings: {
      modeOf: (namespace) => strictestMode(config.AEGIS_MODE, config.AEGIS_NAMESPACE_MODES.get(namespace) ?? 'auto'),
      limits: limitRules(config.AEGIS_LIMITS),
      concurrency: concurrencyRules(config),
      namespaces: config.AEGIS_NAMESPACES,
      isProduction: (target) => namespaceListed(config.AEGIS_PRODUCTION_NAMESPACES, target),
      guards: guardRules(config),
      timing: {
        settleMs: config.AEGIS_SETTLE_MS,
        verifyTimeoutMs: config.AEGIS_VERIFY_TIMEOUT_MS,
        undoTimeoutMs: 15 * 60_000,
        fenceTimeoutMs: 5 * 60_000,
      },
      policyTrialMs: config.AEGIS_POLICY_TRIAL_MS,
      approvalTimeoutMs: config.AEGIS_APPROVAL_TIMEOUT_MS,
      tzdata: process.versions.tz ?? 'unknown',
    },
  }
}
