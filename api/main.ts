/** The API process: configuration, adapters, app, listen; it holds no rights in any cluster. */
import type { Knex } from 'knex'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { apiConfig, processEnvironment, type ApiConfig } from '../adapters/config.ts'
import { callerSecretsOf } from '../adapters/caller-secrets.ts'
import { createLogger, scrub } from '../adapters/log.ts'
import { createApiMetrics, createRegistry, healthServer } from '../adapters/metrics.ts'
import { policyReloadMs, publishedPolicies, type PolicySource } from '../adapters/policies/published.ts'
import { directorySync, type DirectorySync } from '../adapters/policies/sync.ts'
import { connectDatabase, databaseReady } from '../adapters/postgres/connect.ts'
import { listen } from '../adapters/postgres/listen.ts'
import { forgetNonces } from '../adapters/postgres/nonces.ts'
import { loadSnapshot } from '../adapters/postgres/policies.ts'
import { loadRules } from '../adapters/rules.ts'
import { signerOf, verifierOf } from '../adapters/signing.ts'
import { version } from '../adapters/version.ts'
import { Failure } from '../domain/failure.ts'
import { applyRule } from '../domain/rules/apply.ts'
import { lazyClient } from '../temporal/client.ts'
import { startLoop } from '../temporal/loop.ts'
import { temporalHealth } from '../temporal/health.ts'
import { deliverAnswer } from '../temporal/signals.ts'
import { createApp } from './app.ts'
import { keyLookup } from './authentication.ts'
import { callerLookup } from './callers.ts'
import { ensureFirstKey } from './first-key.ts'
import { policyAudit } from './policy-question.ts'
import type { ApiDeps, ApiSettings } from './route.ts'
import { signatureRefusals } from './signature-refusals.ts'

const syncEveryMs = 3_000
const retryMs = 2_000
const poolMax = 20
const drainMs = 10_000
const sweepMs = 100
const forgetEveryMs = 60_000
/** A round that finds so many goes on at once. */
const nonceBatch = 1_000
const headersTimeoutMs = 5_000
const requestTimeoutMs = 15_000

const settingsOf = (config: ApiConfig, temporalNamespace: string): ApiSettings => ({
  version,
  clusters: config.AEGIS_CLUSTERS.map(({ name }) => name),
  namespaces: config.AEGIS_NAMESPACES,
  mode: config.AEGIS_MODE,
  deadlineMs: config.AEGIS_DEADLINE_MS,
  temporalUiUrl: config.TEMPORAL_UI_URL.replace(/\/$/, ''),
  temporalNamespace,
  policyDirectory: config.AEGIS_POLICY_DIRECTORY,
  policyFourEyes: config.AEGIS_POLICY_FOUR_EYES === 'on',
  rulesFile: config.AEGIS_RULES_FILE,
  logLevel: config.AEGIS_LOG_LEVEL,
  audience: config.AEGIS_AUDIENCE,
})

async function assemble(config: ApiConfig) {
  const log = createLogger({ name: 'aegis-api', level: config.AEGIS_LOG_LEVEL })
  const metrics = createApiMetrics(createRegistry('aegis-api'))
  const rules = await loadRules(config.AEGIS_RULES_FILE)
  const db = connectDatabase({ url: config.DATABASE_URL, applicationName: 'aegis-api', poolMax })
  const verify = verifierOf(config.AEGIS_POLICY_PUBLIC_KEYS_FILE, 'AEGIS_POLICY_PUBLIC_KEYS_FILE')
  const publisher = { db, verify, signer: signerOf(config.AEGIS_POLICY_KEY_FILE, 'AEGIS_POLICY_KEY_FILE') }
  const policies = publishedPolicies(db, {
    verify,
    reloadMs: policyReloadMs,
    onChange: ({ snapshot, error }) => (error === undefined ? log.info({ snapshot: snapshot.hash }, 'policies in force') : log.warn({ error }, 'the policies of record are not in use')),
  })
  const sync = config.AEGIS_POLICY_DIRECTORY === '' ? null : directorySync(config.AEGIS_POLICY_DIRECTORY, publisher)
  const client = lazyClient({ address: config.TEMPORAL_ADDRESS })
  const findCaller = callerLookup(db)
  const refusals = signatureRefusals({ db, find: findCaller, log, metrics })
  const secrets = config.AEGIS_CALLER_KEYS_FILE === '' ? null : callerSecretsOf(config.AEGIS_CALLER_KEYS_FILE, 'AEGIS_CALLER_KEYS_FILE')
  const deps: ApiDeps = {
    settings: settingsOf(config, client.options.namespace),
    db,
    policies: () => policies.current(),
    publisher,
    findKey: keyLookup(db),
    callers: { find: findCaller, secrets, refusals },
    auditPolicy: policyAudit(db),
    sync,
    refreshPolicies: () => policies.reload(),
    rules: (signal) => applyRule(rules, signal),
    deliver: (delivery) => deliverAnswer(client, delivery),
    temporal: temporalHealth(client, config.AEGIS_CLUSTERS.map(({ name }) => name)),
    log,
    metrics,
  }
  const keeping = await keepPolicies({ db, policies, sync, url: config.DATABASE_URL, log })
  const forgetting = startLoop(async () => (await forgetNonces(db, nonceBatch)) === nonceBatch, {
    everyMs: forgetEveryMs,
    onFailure: (failure) => log.warn({ err: failure }, 'spent nonces could not be forgotten; it is tried again'),
  })
  const release = async () => {
    await Promise.all([keeping.stop(), forgetting.stop(), refusals.flush()])
    await Promise.allSettled([db.destroy(), client.connection.close()])
  }
  return { deps, release }
}

/**
 * Publishes what the directory holds, then and whenever it changes, and takes what others publish. Policies that
 * nobody could start with stop the process, as long as there are no others; a database that is away does not.
 */
async function keepPolicies({ db, policies, sync, url, log }: { db: Knex; policies: PolicySource; sync: DirectorySync | null; url: string; log: ApiDeps['log'] }) {
  let told: string | null = null
  const round = async () => {
    await sync?.round()
    const error = sync?.state().error ?? null
    if (error !== null && error !== told) log.warn({ error }, 'the policy directory is not in force as it stands')
    told = error
  }
  const onFailure = (failure: unknown) => log.warn({ err: failure }, 'the policies could not be synced; it is tried again')
  await round().catch(onFailure)
  await policies.reload()
  if (told !== null && (await loadSnapshot(db).catch(() => 'unknown')) === undefined) throw new Failure('invalid', 'policy_invalid', told)
  const listener = listen(url, ['aegis_policy'], () => void policies.reload(), { onError: onFailure })
  const loop = startLoop(round, { everyMs: syncEveryMs, onFailure })
  return {
    stop: async () => {
      policies.close()
      await Promise.all([loop.stop(), listener.close()])
    },
  }
}

/** Whether the question of the first key is settled. A database that is away leaves it open; anything else stops the start. */
async function firstKeySettled({ db, log }: ApiDeps, file: string | undefined, stopped: AbortSignal): Promise<boolean> {
  try {
    const result = await ensureFirstKey(db, { file, show: (line) => console.log(line) })
    if (result === 'made') log.info({ file }, 'the first API key was made')
    return true
  } catch (failure) {
    if (stopped.aborted) return true // the pool was closed under the question
    if (!(failure instanceof Failure && failure.kind === 'unavailable')) throw failure
    log.warn({ err: failure }, 'the database does not answer: whether a first API key is needed is looked up later')
    return false
  }
}

async function main(): Promise<void> {
  const config = apiConfig(processEnvironment())
  const { deps, release } = await assemble(config)
  const { log } = deps
  const stopping = new AbortController()
  const keyFile = config.AEGIS_FIRST_KEY_FILE
  const settled = await firstKeySettled(deps, keyFile, stopping.signal) // before we listen: who sees us ready can read the key
  const server = createServer({ headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs }, createApp(deps))
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(config.PORT, config.HOST, resolve))
  const health = await healthServer({
    host: config.AEGIS_HEALTH_HOST,
    port: config.AEGIS_HEALTH_PORT,
    live: () => true,
    ready: () => databaseReady(deps.db),
    registry: deps.metrics.registry,
  })
  log.info({ host: config.HOST, port: (server.address() as AddressInfo).port, healthPort: health.port }, 'listening')

  const stop = async (signal: string) => {
    if (stopping.signal.aborted) return
    stopping.abort()
    log.info({ signal }, 'stopping: no new calls, the open ones have 10 s')
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    const sweep = setInterval(() => server.closeIdleConnections(), sweepMs) // a kept-alive line would hold us up
    await Promise.race([closed, sleep(drainMs, undefined, { ref: false })])
    clearInterval(sweep)
    server.closeAllConnections()
    await Promise.all([closed, health.close(), release()])
    log.info('stopped')
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal))
  for (let known = settled; !known && !stopping.signal.aborted; known = await firstKeySettled(deps, keyFile, stopping.signal)) {
    await sleep(retryMs, undefined, { signal: stopping.signal }).catch(() => undefined)
  }
}

main().catch((failure: unknown) => {
  console.error(scrub(failure instanceof Error ? failure.message : String(failure)))
  process.exit(1)
})
