/** The API process: configuration, adapters, app, listen; it holds no rights in any cluster. */
import type { Knex } from 'knex'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { apiConfig, processEnvironment, type ApiConfig } from '../adapters/config.ts'
import { callerSecretsOf } from '../adapters/caller-secrets.ts'
import { refuseSharedKeys } from '../adapters/key-purposes.ts'
import { createLogger, scrub } from '../adapters/log.ts'
import { createApiMetrics, createRegistry, healthServer } from '../adapters/metrics.ts'
import { policyReloadMs, publishedPolicies, type PolicySource } from '../adapters/policies/published.ts'
import { directorySync, type DirectorySync } from '../adapters/policies/sync.ts'
import { connectDatabase, databaseReady } from '../adapters/postgres/connect.ts'
import { listen } from '../adapters/postgres/listen.ts'
import { forgetNonces } from '../adapters/postgres/nonces.ts'
import { loadSnapshot } from '../adapters/postgres/policies.ts'
import { oidcProvider, type OidcProvider } from '../adapters/oidc.ts'
import { hashSlots } from '../adapters/passwords.ts'
import { loadRules } from '../adapters/rules.ts'
import { signerOf, verifierOf } from '../adapters/signing.ts'
import { accessTokens } from '../adapters/tokens.ts'
import { version } from '../adapters/version.ts'
import { Failure } from '../domain/failure.ts'
import { applyRule } from '../domain/rules/apply.ts'
import { lazyClient } from '../temporal/client.ts'
import { startLoop } from '../temporal/loop.ts'
import { temporalHealth } from '../temporal/health.ts'
import { deliverAnswer } from '../temporal/signals.ts'
import { accounts, type Accounts } from './accounts.ts'
import { createApp } from './app.ts'
import { keyLookup } from './authentication.ts'
import { callerLookup } from './callers.ts'
import { httpLimits } from './http-limits.ts'
import { httpServer } from './http-server.ts'
import { ensureBootstrap } from './bootstrap.ts'
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

function accountsOf(config: ApiConfig, db: Knex, log: ApiDeps['log']): Accounts {
  const { AEGIS_TOKEN_KEY_FILE: privateKeyFile, AEGIS_TOKEN_PUBLIC_KEYS_FILE: publicKeysFile, AEGIS_PUBLIC_URL: publicUrl } = config
  refuseSharedKeys({ AEGIS_TOKEN_PUBLIC_KEYS_FILE: publicKeysFile, AEGIS_POLICY_PUBLIC_KEYS_FILE: config.AEGIS_POLICY_PUBLIC_KEYS_FILE })
  const onError = (failure: unknown) => log.warn({ err: failure }, 'the changed token keys are not in use')
  return accounts({
    db,
    settings: { publicUrl, signup: config.AEGIS_SIGNUP, localLogin: config.AEGIS_LOCAL_LOGIN, trustedProxies: config.AEGIS_TRUSTED_PROXIES },
    tokens: accessTokens({ privateKeyFile, publicKeysFile, issuer: publicUrl, onError }),
    hashSlots: hashSlots(config.UV_THREADPOOL_SIZE),
    oidc: oidcOf(config),
  })
}

function oidcOf(config: ApiConfig): OidcProvider | null {
  if (config.AEGIS_OIDC_ISSUER === undefined) return null
  return oidcProvider({
    issuer: config.AEGIS_OIDC_ISSUER,
    origins: config.AEGIS_OIDC_ORIGINS,
    clientId: config.AEGIS_OIDC_CLIENT_ID,
    clientSecretFile: config.AEGIS_OIDC_CLIENT_SECRET_FILE,
    redirectUri: `${config.AEGIS_PUBLIC_URL}/api/v1/auth/oidc/callback`,
    groupsClaim: config.AEGIS_OIDC_GROUPS_CLAIM,
    roleMap: config.AEGIS_OIDC_ROLES,
  })
}

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
    accounts: accountsOf(config, db, log),
    auditPolicy: policyAudit(db),
    sync,
    refreshPolicies: () => policies.reload(),
    rules: (signal) => applyRule(rules, signal),
    deliver: (delivery) => deliverAnswer(client, delivery),
    temporal: temporalHealth(client, config.AEGIS_CLUSTERS.map(({ name }) => name)),
    httpLimits: httpLimits(config.AEGIS_HTTP_LIMITS),
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

/** Whether the questions of the first key and of the first person are settled. A database that is away leaves it open; anything else stops the start. */
async function firstKeySettled({ db, log }: ApiDeps, { AEGIS_FIRST_KEY_FILE: file, AEGIS_BOOTSTRAP_FILE: bootstrapFile }: ApiConfig, stopped: AbortSignal): Promise<boolean> {
  try {
    if (bootstrapFile !== undefined && (await ensureBootstrap(db, bootstrapFile)) === 'made') log.info({ file: bootstrapFile }, 'the bootstrap token of the first admin was made')
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
  const settled = await firstKeySettled(deps, config, stopping.signal) // before we listen: who sees us ready can read the key
  const server = httpServer(createApp(deps))
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
  for (let known = settled; !known && !stopping.signal.aborted; known = await firstKeySettled(deps, config, stopping.signal)) {
    await sleep(retryMs, undefined, { signal: stopping.signal }).catch(() => undefined)
  }
}

main().catch((failure: unknown) => {
  console.error(scrub(failure instanceof Error ? failure.message : String(failure)))
  process.exit(1)
})
