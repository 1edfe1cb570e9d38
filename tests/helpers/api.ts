/** An API over a database of the test's own. Every answer is held against the schema its route declares. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Knex } from 'knex'
import { callerSecretsOf } from '../../adapters/caller-secrets.ts'
import { createLogger } from '../../adapters/log.ts'
import { createApiMetrics, createRegistry } from '../../adapters/metrics.ts'
import { publishedPolicies } from '../../adapters/policies/published.ts'
import { directorySync } from '../../adapters/policies/sync.ts'
import { createApiKey } from '../../adapters/postgres/keys.ts'
import { loadRules } from '../../adapters/rules.ts'
import { createKeys, signerOf, verifierOf } from '../../adapters/signing.ts'
import { accessTokens } from '../../adapters/tokens.ts'
import type { OidcProvider } from '../../adapters/oidc.ts'
import { accounts, type AccountSettings } from '../../api/accounts.ts'
import { createApp } from '../../api/app.ts'
import { keyLookup, newApiKey } from '../../api/authentication.ts'
import { callerLookup } from '../../api/callers.ts'
import { httpLimits, type HttpLimitRules } from '../../api/http-limits.ts'
import { httpServer } from '../../api/http-server.ts'
import { policyAudit } from '../../api/policy-question.ts'
import { problemSchema, type Problem } from '../../api/problems.ts'
import { ndjson, type ApiDeps, type ApiSettings, type Route } from '../../api/route.ts'
import { routes } from '../../api/routes.ts'
import { signatureRefusals } from '../../api/signature-refusals.ts'
import { temporalHealth } from '../../temporal/health.ts'
import type { Role } from '../../domain/remediation.ts'
import { applyRule } from '../../domain/rules/apply.ts'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { lazyClient } from '../../temporal/client.ts'
import { deliverAnswer } from '../../temporal/signals.ts'

export type Sent = { key?: string | undefined; body?: unknown; raw?: string | Uint8Array; headers?: Record<string, string> }
export type Got = { status: number; body: Record<string, unknown>; problem: Problem; headers: Headers }
export type TestApi = {
  url: string
  deps: ApiDeps
  call(method: string, path: string, sent?: Sent): Promise<Got>
  close(): Promise<void>
}

const settings: ApiSettings = {
  version: '0.0.0-test', clusters: ['main', 'edge'], namespaces: ['shop', 'demo-*'], mode: 'auto', deadlineMs: 600_000,
  temporalUiUrl: 'http://127.0.0.1:8233', temporalNamespace: 'default', policyDirectory: 'policies', policyFourEyes: false, rulesFile: 'rules/default.yaml', logLevel: 'silent', audience: 'aegis-test',
}

/** One pair for all APIs of a test file: they share databases. */
const policyKeys = keyPair()

/** Of this test file: what signs access tokens. */
export const tokenFiles = filesOf('token')

function filesOf(name: string) {
  const directory = mkdtempSync(join(tmpdir(), 'aegis-keys-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
  const files = { privateKeyFile: join(directory, `${name}.key`), publicKeysFile: join(directory, `${name}.pub`) }
  createKeys(files.privateKeyFile, files.publicKeysFile)
  return files
}

export const publicUrl = 'https://aegis.example'
const accountSettings: AccountSettings = { publicUrl, signup: false, localLogin: true, trustedProxies: 1 }

export function keyPair() {
  const directory = mkdtempSync(join(tmpdir(), 'aegis-keys-'))
  const [secret, open] = [join(directory, 'policy.key'), join(directory, 'policy.pub')]
  createKeys(secret, open)
  const pair = { signer: signerOf(secret, 'the test'), verify: verifierOf(open, 'the test') }
  rmSync(directory, { recursive: true })
  return pair
}

/** One sealing key for all APIs of a test file, likewise. */
export const callerSecrets = sealingKey()

function sealingKey() {
  const directory = mkdtempSync(join(tmpdir(), 'aegis-keys-'))
  const file = join(directory, 'caller-keys')
  writeFileSync(file, `${randomBytes(32).toString('hex')}\n`)
  const secrets = callerSecretsOf(file, 'the test')
  rmSync(directory, { recursive: true })
  return secrets
}

const manyCalls = { limit: 1_000_000, windowMs: 1_000 }
/** Tests call from one address, often without a credential. */
const plenty: HttpLimitRules = { principal: manyCalls, route: manyCalls, address: manyCalls }

/** `directory`: what is synced; null for nothing, the shipped policies when left out. */
export type ApiOptions = { db: Knex; temporal: string; directory?: string | null; settings?: Partial<ApiSettings>; limits?: HttpLimitRules; account?: Partial<AccountSettings>; oidc?: OidcProvider; tokens?: typeof tokenFiles; policyKeys?: ReturnType<typeof keyPair>; log?: (line: string) => void }

export async function startApi({ db, temporal, directory = join(checkout, 'policies'), settings: changes = {}, limits = plenty, account = {}, oidc, tokens = tokenFiles, policyKeys: signing = policyKeys, log = () => undefined }: ApiOptions): Promise<TestApi> {
  const rules = await loadRules(join(checkout, 'rules/default.yaml'))
  const publisher = { db, ...signing }
  const policies = publishedPolicies(db, { verify: publisher.verify, reloadMs: 60_000 })
  const sync = directory === null ? null : directorySync(directory, publisher)
  await sync?.round()
  await policies.reload()
  const client = lazyClient({ address: temporal })
  const logger = createLogger({ name: 'test', level: 'info', destination: { write: log } })
  const metrics = createApiMetrics(createRegistry('test'))
  const find = callerLookup(db)
  const deps: ApiDeps = {
    settings: { ...settings, policyDirectory: directory ?? '', ...changes },
    db,
    policies: () => policies.current(),
    publisher,
    findKey: keyLookup(db),
    callers: { find, secrets: callerSecrets, refusals: signatureRefusals({ db, find, log: logger, metrics }) },
    accounts: accounts({ db, settings: { ...accountSettings, ...account }, tokens: accessTokens({ ...tokens, issuer: publicUrl }), hashSlots: 2, oidc: oidc ?? null }),
    auditPolicy: policyAudit(db),
    sync,
    refreshPolicies: () => policies.reload(),
    rules: (signal) => applyRule(rules, signal),
    deliver: (delivery) => deliverAnswer(client, delivery),
    temporal: temporalHealth(client, ['main', 'edge']),
    log: logger,
    metrics,
    httpLimits: httpLimits(limits),
  }
  const server = httpServer(createApp(deps))
  const url = await listen(server)
  return {
    url,
    deps,
    call: (method, path, sent) => call(url, method, path, sent),
    close: async () => {
      policies.close()
      await ended(server)
      await client.connection.close()
    },
  }
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const ended = (server: Server) =>
  new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })

async function call(url: string, method: string, path: string, { key, body, raw, headers = {} }: Sent = {}): Promise<Got> {
  const credential: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` }
  const content = raw ?? (body === undefined ? undefined : JSON.stringify(body))
  const type: Record<string, string> = content === undefined ? {} : { 'content-type': 'application/json' }
  const response = await fetch(url + path, { method, redirect: 'manual', headers: { ...credential, ...type, ...headers }, ...(content === undefined ? {} : { body: content as string }) })
  holdAgainstHeaders(method, path, response.headers)
  const text = await response.text()
  const answer = answerOf(response.headers.get('content-type') ?? '', text)
  holdAgainstSchema(method, path, response, answer)
  return { status: response.status, body: answer, problem: answer as unknown as Problem, headers: response.headers }
}

/** Lines of JSON come as `lines`, what is no JSON as `text`. */
function answerOf(type: string, text: string): Record<string, unknown> {
  if (type.startsWith(ndjson)) return { lines: text.trimEnd().split('\n').map((line) => JSON.parse(line) as unknown) }
  return type.includes('json') ? (JSON.parse(text) as Record<string, unknown>) : { text }
}

/** Written out once more, apart from the code: what every answer of the API carries, whatever it says. */
const everyAnswer: Record<string, string> = {
  'content-security-policy': "default-src 'none';object-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none';sandbox",
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cache-control': 'no-store',
}
const noAnswer = ['access-control-allow-origin', 'access-control-allow-credentials', 'server', 'x-powered-by', 'etag']

export function holdAgainstHeaders(method: string, path: string, headers: Headers): void {
  const wrong = [...Object.entries(everyAnswer).filter(([name, value]) => headers.get(name) !== value).map(([name]) => `${name}: ${headers.get(name)}`), ...noAnswer.filter((name) => headers.has(name))]
  if (!/^[0-9A-Za-z._-]{1,64}$/.test(headers.get('x-request-id') ?? '')) wrong.push('x-request-id')
  if (wrong.length > 0) throw new Error(`${method} ${path} answered with the wrong headers: ${wrong.join(', ')}`)
}

/** A refusal must be a whole problem document, anything else what the route says it answers. */
function holdAgainstSchema(method: string, path: string, response: Response, answer: unknown): void {
  if (response.headers.get('content-type')?.startsWith('application/problem+json')) return void problemSchema.parse(answer)
  const route = routeOf(method, path)
  const schema = route?.output[response.status]
  if (!schema) throw new Error(`${method} ${path} answered an undeclared ${response.status}: ${JSON.stringify(answer)}`)
  if (route.produces === 'application/json') schema.parse(answer)
  if (route.produces === ndjson) for (const line of (answer as { lines: unknown[] }).lines) schema.parse(line)
}

const routeOf = (method: string, path: string): Route | undefined => {
  const bare = path.split('?', 1)[0] ?? ''
  const fits = (pattern: string) => new RegExp(`^${pattern.replaceAll('.', '\\.').replace(/:\w+/g, '[^/]+')}$`).test(bare)
  return routes.find((route) => route.method === method.toLowerCase() && fits(route.path))
}

/** A key of its own owner, made behind the API's back. */
export async function keyFor(db: Knex, roles: Role[], owner = `owner-of-${roles.join('-')}`, place?: { cluster: string | null; namespace: string | null }): Promise<{ key: string; id: string; owner: string }> {
  const bindings = place ? roles.map((role) => ({ role, ...place })) : null
  const { key, draft } = newApiKey({ name: `test ${roles.join(' ')}`, roles, bindings, owner, expiresAt: new Date(Date.now() + 3_600_000) })
  await createApiKey(db, draft, { id: 'test', kind: 'person', owner: 'test', roles: ['admin'] })
  return { key, id: `key:${draft.keyId}`, owner }
}

export type Proxy = { port: number; cut(): void; mend(): void; close(): Promise<void> }

/** A wire to a server that can be cut: open connections break, new ones are refused at once. */
export async function wireTo(host: string, port: number): Promise<Proxy> {
  const open = new Set<Socket>()
  let whole = true
  const server = createTcpServer((near) => {
    if (!whole) return void near.destroy()
    const far = connect(port, host)
    for (const socket of [near, far]) {
      open.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        open.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    whole = false
    for (const socket of open) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    mend: () => void (whole = true),
    close: () => new Promise<void>((resolve) => {
      cut()
      server.close(() => resolve())
    }),
  }
}
