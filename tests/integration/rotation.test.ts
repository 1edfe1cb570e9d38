/**
 * Keys and secrets are changed for others under load: no valid use is refused, none is accepted 5 s after what it rests
 * on went, and nobody is logged out. Secrets of callers are in caller-keys.test.ts.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify, type JSONWebKeySet } from 'jose'
import type { DecisionDeps, ExecutionDeps } from '../../activities/deps.ts'
import { issueWarrant } from '../../activities/issue-warrant.ts'
import { validateSignature } from '../../activities/validate-signature.ts'
import { readDocument } from '../../adapters/policies/files.ts'
import { publish, type ChangeSet } from '../../adapters/policies/publish.ts'
import { publishedPolicies, type PolicySource } from '../../adapters/policies/published.ts'
import * as store from '../../adapters/postgres/store.ts'
import { createKeys, freshNonce, sha256Hex, signerOf, verifierOf } from '../../adapters/signing.ts'
import { planDigest } from '../../domain/digest.ts'
import { keyFor, publicUrl, startApi, type Got, type TestApi } from '../helpers/api.ts'
import { playsAll } from '../helpers/draw.ts'
import { globalRole, login, personWith, refresh, type Session } from '../helpers/people.ts'
import { stack } from '../helpers/stack.ts'
import { steadily } from '../helpers/steady.ts'
import { draftOf, freshId, health, openDatabase, planOf, times, workload, type TestDatabase } from './postgres/database.ts'

const perSecond = 50
/** What a removal may take to hold everywhere. */
const graceMs = 5_000

let db: TestDatabase
let directory: string
let apis: [TestApi, TestApi]
/** What has to be closed when all is over, however a test ended. */
const opened: { close(): unknown }[] = []

beforeAll(async () => {
  db = await openDatabase()
  directory = mkdtempSync(join(tmpdir(), 'aegis-rotation-'))
  apis = [await replica(db.api), await replica(db.connect('api'))]
})
afterAll(async () => {
  await Promise.all(opened.map((one) => one.close()))
  await db.close()
  rmSync(directory, { recursive: true, force: true })
})

async function replica(pool: TestDatabase['api'], over: Partial<Parameters<typeof startApi>[0]> = {}): Promise<TestApi> {
  const api = await startApi({ db: pool, temporal: stack.temporal.address, directory: null, ...over })
  opened.push(api)
  return api
}
const me = (api: TestApi, key: string) => api.call('GET', '/api/v1/auth/me', { key })

/** Two pairs and the files in use, which begin with the first. `both`, `only`: what a rotation writes. */
function keyFiles(name: string) {
  const pairs = times(2, (index) => ({ secret: join(directory, `${name}-${index}.key`), open: join(directory, `${name}-${index}.pub`) }))
  for (const { secret, open } of pairs) createKeys(secret, open)
  const [old, next] = pairs.map(({ secret, open }) => ({ secret: readFileSync(secret, 'utf8'), open: readFileSync(open, 'utf8') })) as [{ secret: string; open: string }, { secret: string; open: string }]
  const live = { privateKeyFile: join(directory, `${name}.key`), publicKeysFile: join(directory, `${name}.pub`) }
  const write = (secret: string, open: string) => {
    writeFileSync(live.publicKeysFile, open)
    writeFileSync(live.privateKeyFile, secret)
  }
  write(old.secret, old.open)
  return { ...live, old: pairs[0]!, add: () => write(old.secret, old.open + next.open), sign: () => write(next.secret, old.open + next.open), remove: () => write(next.secret, next.open) }
}

/** One use of something that was in use, or no longer. */
type Use = { sentMs: number; doneMs: number; outcome: string }
async function used(uses: Use[], ask: () => Promise<string>): Promise<string> {
  const sentMs = performance.now()
  const outcome = await ask()
  uses.push({ sentMs, doneMs: performance.now(), outcome })
  return outcome
}
const outcomeOf = ({ status, problem }: Got): string => (status < 300 ? 'ok' : problem.code)
const outcomes = (uses: Use[]) => [...new Set(uses.map(({ outcome }) => outcome))]
const before = (uses: Use[], ms: number) => uses.filter(({ doneMs }) => doneMs < ms)
const after = (uses: Use[], ms: number) => uses.filter(({ sentMs }) => sentMs > ms)

test('the key that signs access tokens: both are at the well-known place before the new one signs, and a token that is used all the time opens nothing 5 s after its key went', async () => {
  const seconds = playsAll ? 60 : 13
  const keys = keyFiles('token')
  const own = [await replica(db.api, { tokens: keys }), await replica(db.connect('api'), { tokens: keys })]
  const people = await Promise.all(times(4, () => personWith(db.api, [globalRole('user')])))
  const sessions: Session[] = await Promise.all(people.map(({ username }, at) => login(own[at % 2]!, username)))
  const leftBehind = sessions[0]!.accessToken
  const [calls, late, renewals]: [Use[], Use[], Use[]] = [[], [], []]
  let known: JSONWebKeySet = { keys: [] }
  const strange: string[] = []

  const look = async () => void (known = (await own[0]!.call('GET', '/.well-known/jwks.json')).body as unknown as JSONWebKeySet)
  /** A service that holds our tokens against the keys it last saw. */
  const elsewhere = async (token: string, keysThen: JSONWebKeySet) => {
    await jwtVerify(token, createLocalJWKSet(keysThen), { issuer: publicUrl, audience: 'aegis-api' }).catch((failure: Error) => strange.push(failure.message))
  }
  const renew = async (who: number) => {
    const keysThen = known
    const got = await refresh(own[who % 2]!, sessions[who]!)
    await used(renewals, async () => outcomeOf(got))
    if (got.status !== 200) return
    sessions[who] = { ...sessions[who]!, accessToken: String(got.body['accessToken']), refreshToken: String(got.body['refreshToken']) }
    await elsewhere(sessions[who].accessToken, keysThen)
  }
  const kidOf = (token: string) => decodeProtectedHeader(token).kid
  await look()

  let removedMs = Infinity
  const fire = async (at: number) => {
    const api = own[at % 2]!
    if (at % 10 === 9) return void (await used(late, async () => outcomeOf(await me(api, leftBehind))))
    if (at % 50 === 0) return look()
    await used(calls, async () => outcomeOf(await me(api, sessions[at % 4]!.accessToken)))
  }
  const step = Math.max(2.5, seconds / 8) // longer than a process takes to see a file
  await steadily(perSecond, seconds, fire, async ({ until }) => {
    await until(1)
    keys.add()
    await until(1 + step)
    expect(known.keys).toHaveLength(2)
    keys.sign()
    await until(1 + 2 * step)
    for (const who of [0, 1, 2, 3]) await renew(who)
    expect(new Set(sessions.map(({ accessToken }) => kidOf(accessToken))).size).toBe(1)
    expect(kidOf(sessions[0]!.accessToken)).not.toBe(kidOf(leftBehind))
    removedMs = performance.now()
    keys.remove()
  })
  for (const who of [0, 1, 2, 3]) await renew(who)

  expect(outcomes(calls)).toEqual(['ok'])
  expect(outcomes(renewals)).toEqual(['ok'])
  expect(strange).toEqual([])
  expect([outcomes(before(late, removedMs)), outcomes(after(late, removedMs + graceMs))]).toEqual([['ok'], ['token_key_unknown']])
  console.log(`token key: ${calls.length} calls, none refused; the old one was last accepted ${Math.round(Math.max(...late.filter(({ outcome }) => outcome === 'ok').map(({ sentMs }) => sentMs)) - removedMs)} ms after it went`)
}, 120_000)

test('an API key: the new one works from its first call on, the old one up to its revocation and never after it', async () => {
  const seconds = playsAll ? 60 : 4
  const { key: admin } = await keyFor(db.api, ['admin'])
  const make = async () => (await apis[0].call('POST', '/api/v1/keys', { key: admin, body: { name: 'robot', owner: 'ann', roles: ['service'] } })).body as { key: string; keyId: string }
  const old = await make()
  let inUse = old
  const [valid, late]: [Use[], Use[]] = [[], []]
  let [switchedMs, revokingMs, revokedMs] = [Infinity, Infinity, Infinity]
  const ask = (key: string, at: number) => async () => outcomeOf(await apis[at % 2]!.call('GET', '/api/v1/remediations', { key }))
  const fire = async (at: number) => void (at % 5 === 0 && performance.now() > switchedMs ? await used(late, ask(old.key, at)) : await used(valid, ask(inUse.key, at)))
  await steadily(perSecond, seconds, fire, async ({ until }) => {
    await until(seconds * 0.2)
    inUse = await make()
    switchedMs = performance.now()
    await until(seconds * 0.5)
    revokingMs = performance.now()
    expect((await apis[0].call('DELETE', `/api/v1/keys/${old.keyId}`, { key: admin })).status).toBe(200)
    revokedMs = performance.now()
  })
  expect(outcomes(valid)).toEqual(['ok'])
  expect([outcomes(before(late, revokingMs)), outcomes(after(late, revokedMs))]).toEqual([['ok'], ['bad_credential']])
  expect(valid.length).toBeGreaterThan(seconds * perSecond * 0.8)
}, 120_000)

test('refresh tokens: each use brings another, lost replies and all, and whoever is not logged out stays in', async () => {
  const seconds = playsAll ? 60 : 8
  const people = await Promise.all(times(10, () => personWith(db.api, [globalRole('user')])))
  const sessions = await Promise.all(people.map(({ username }, at) => login(apis[at % 2]!, username)))
  const out = { ...sessions[0]! }
  const [renewals, calls, late, lateCalls]: [Use[], Use[], Use[], Use[]] = [[], [], [], []]
  let endedMs = Infinity

  const renew = async (who: number, at: number) => {
    const session = sessions[who]!
    const got = await refresh(apis[at % 2]!, session)
    const again = at % 5 === 0 ? await refresh(apis[(at + 1) % 2]!, session) : got // the reply was lost
    await used(renewals, async () => (got.body['refreshToken'] === again.body['refreshToken'] ? outcomeOf(again) : 'another successor'))
    if (got.status !== 200) return
    sessions[who] = { ...session, accessToken: String(got.body['accessToken']), refreshToken: String(got.body['refreshToken']) }
    await used(calls, async () => outcomeOf(await me(apis[at % 2]!, sessions[who]!.accessToken)))
  }
  const turns: Promise<void>[] = sessions.map(() => Promise.resolve()) // a client has one refresh under way at a time
  const fire = async (at: number) => {
    const who = at % 10
    if (who === 0 && performance.now() > endedMs) {
      await used(late, async () => outcomeOf(await refresh(apis[at % 2]!, out)))
      return void (await used(lateCalls, async () => outcomeOf(await me(apis[at % 2]!, out.accessToken))))
    }
    if (who === 0) return
    turns[who] = turns[who]!.then(() => renew(who, at))
    await turns[who]
  }
  await steadily(perSecond, seconds, fire, async ({ until }) => {
    await until(1)
    for (const api of apis) expect((await me(api, out.accessToken)).status).toBe(200) // both know the session
    expect((await apis[0].call('DELETE', '/api/v1/auth/sessions', { key: out.accessToken })).status).toBe(200)
    endedMs = performance.now()
  })
  expect([outcomes(renewals), outcomes(calls)]).toEqual([['ok'], ['ok']])
  expect(outcomes(late)).toEqual(['session_ended'])
  expect(outcomes(after(lateCalls, endedMs + graceMs))).toEqual(['session_ended'])
  console.log(`refresh tokens: ${renewals.length} uses, none refused`)
}, 120_000)

const allowAll = (message: string): ChangeSet => ({
  edits: [{ id: 'rotation-allow', document: readDocument({ apiVersion: 'aegis.dev/policy/v1', id: 'rotation-allow', effect: 'allow', actions: ['*'], resources: ['**'], owner: 'tests', message }).policy! }],
  managedBy: 'api', cause: 'edit', author: { id: 'ann', kind: 'person', owner: 'ann' }, comment: 'a test', commit: null,
})

test('the key that signs policies: processes are started anew one after the other, every question is answered, and a set under the old key is taken by none', async () => {
  const seconds = playsAll ? 60 : 6
  const keys = keyFiles('policy')
  /** What a process reads when it is started. */
  const read = () => ({ signer: signerOf(keys.privateKeyFile, 'the test'), verify: verifierOf(keys.publicKeysFile, 'the test') })
  const first = read()
  await publish({ db: db.api, ...first }, () => allowAll('one'))
  const { key } = await keyFor(db.api, ['admin'])
  const pools = [db.api, db.connect('api')]
  const own = await Promise.all(pools.map((pool) => replica(pool, { policyKeys: read() })))
  const decision = async (): Promise<PolicySource> => {
    const source = publishedPolicies(db.decision, { verify: read().verify, reloadMs: 200 })
    opened.push(source)
    await source.reload()
    return source
  }
  let deciding = await decision()
  const uses: Use[] = []
  const flying = own.map(() => new Set<Promise<unknown>>())
  let serving = [0, 1]

  const ask = async (which: number) => {
    const got = await own[which]!.call('POST', '/api/v1/policy/evaluate', { key, body: { action: 'deployment:scale', resource: 'k8s:main/shop/deployment/cart' } })
    return got.status === 200 && got.body['allowed'] === true ? 'ok' : String(got.body['code'])
  }
  const fire = async (at: number) => {
    const { stale, error, published } = deciding.current()
    await used(uses, async () => (stale || error !== undefined || published === null ? `decision: ${error ?? 'stale'}` : 'ok'))
    const which = serving[at % serving.length]!
    const asking = used(uses, () => ask(which))
    flying[which]!.add(asking)
    await asking.finally(() => flying[which]!.delete(asking))
  }
  const restartDecision = async () => {
    const started = await decision()
    deciding.close()
    deciding = started
  }
  const restartApi = async (which: number) => {
    serving = serving.filter((one) => one !== which)
    await Promise.all(flying[which]!)
    await own[which]!.close()
    own[which] = await replica(pools[which]!, { policyKeys: read() })
    serving = [...serving, which]
  }
  const refused = () => own.map(({ deps }) => deps.policies().error ?? 'none')

  await steadily(perSecond, seconds, fire, async ({ until }) => {
    await until(seconds * 0.1)
    keys.add()
    await restartDecision()
    await until(seconds * 0.25)
    keys.sign()
    for (const which of [0, 1]) await restartApi(which)
    await until(seconds * 0.45)
    await publish(own[0]!.deps.publisher, () => allowAll('two'))
    await Promise.all([...own.map(({ deps }) => deps.refreshPolicies()), deciding.reload()])
    await until(seconds * 0.6)
    keys.remove()
    for (const which of [0, 1]) await restartApi(which)
    await restartDecision()
    expect(refused()).toEqual(['none', 'none'])
  })
  expect(outcomes(uses)).toEqual(['ok'])

  // Whoever still has the old key, and the API's rights in the database.
  const both = verifierOf(keys.publicKeysFile, 'the test')
  await publish({ db: db.api, signer: first.signer, verify: (...given) => both(...given) ?? first.verify(...given) }, () => allowAll('of the old key'))
  await Promise.all([...own.map(({ deps }) => deps.refreshPolicies()), deciding.reload()])
  expect([...refused(), deciding.current().error]).toEqual(times(3, () => expect.stringContaining('is not among AEGIS_POLICY_PUBLIC_KEYS_FILE')))
  expect(deciding.current().published?.documents.map(({ message }) => message)).toEqual(['two'])
  console.log(`policy key: ${uses.length} answers, all of them yes`)
}, 120_000)

test('the key that signs warrants: each warrant that is issued holds with every execution worker, and one of the old key with none once that is out', async () => {
  const seconds = playsAll ? 60 : 4
  const keys = keyFiles('warrant')
  const decisionDeps = () => ({ db: db.decision, store, freshId, freshNonce, signer: signerOf(keys.privateKeyFile, 'the test') }) as unknown as DecisionDeps
  const executionDeps = () => ({ db: db.execution, store, cluster: { name: 'main' }, verify: verifierOf(keys.publicKeysFile, 'the test'), sha256: sha256Hex, allowedNamespaces: ['shop'] }) as unknown as ExecutionDeps
  let deciding = decisionDeps()
  const executing = [executionDeps(), executionDeps()]

  const remediations = await Promise.all(times(5, async (at) => {
    const plan = planOf(workload(`warranted-${at}`))
    const { request: { id } } = await store.acceptRequest(db.api, draftOf({ target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: `warranted-${at}` } }))
    const digest = planDigest(plan, sha256Hex)
    await store.savePlan(db.decision, { id, plan, digest, baseline: health, labels: { workload: {}, namespace: null }, terms: null, observedAt: new Date().toISOString(), watch: { settleMs: 0, timeoutMs: 0 } })
    await store.savePreflight(db.execution, { id, digest, card: { checks: [], diff: [] } as never, refusal: null })
    return { id, digest, decisionId: '' }
  }))
  /** What was decided a minute ago is asked again. */
  const decide = () => Promise.all(remediations.map(async (one) => {
    const decisionId = freshId()
    const decision = { approvals: { given: 0 }, effect: 'allow', code: 'allowed', snapshot: 'sha256:s', now: Date.now(), tzdata: '2025b', obligations: {}, binding: [] }
    const autonomy = { given: 'auto' as const, rungs: [], standing: [], mode: 'auto' as const, code: 'allowed', message: 'm' }
    await store.saveDecision(db.decision, { decisionId, id: one.id, planDigest: one.digest, input: {}, decision, autonomy, proceed: 'act', answerBy: null })
    one.decisionId = decisionId
  }))
  await decide()

  const [uses, late]: [Use[], Use[]] = [[], []]
  type Issued = { id: string; digest: string; warrantId: string }
  const issue = async ({ id, digest, decisionId }: (typeof remediations)[number]): Promise<Issued> =>
    ({ id, digest, warrantId: (await issueWarrant(deciding)({ id, cluster: 'main', digest, decisionId, phase: 'act' })).warrantId })
  const check = async ({ id, digest, warrantId }: Issued, worker: number) => {
    const said = await validateSignature(executing[worker]!)({ id, cluster: 'main', digest, warrantId, phase: 'act' })
    return said.valid ? 'ok' : said.reason
  }
  const fire = async (at: number) => {
    // A decision that is being replaced meanwhile gives no warrant; the workflow asks again.
    const warrant = await issue(remediations[at % 5]!).catch((failure: { code?: string }) => (failure.code === 'no_decision' ? undefined : Promise.reject(failure)))
    if (warrant) await used(uses, () => check(warrant, at % 2))
  }
  let ofOld: Issued | undefined
  await steadily(perSecond, seconds, fire, async ({ until }) => {
    await until(seconds * 0.1)
    keys.add()
    executing[0] = executionDeps()
    await until(seconds * 0.2)
    executing[1] = executionDeps()
    await until(seconds * 0.3)
    await decide()
    ofOld = await issue(remediations[0]!)
    keys.sign()
    deciding = decisionDeps()
    await until(seconds * 0.6) // what was issued under the old key has been used, or has lapsed
    await decide()
    keys.remove()
    for (const worker of [0, 1]) executing[worker] = executionDeps()
    for (const worker of [0, 1]) await used(late, () => check(ofOld!, worker))
  })
  expect(outcomes(uses)).toEqual(['ok'])
  expect(uses.length).toBeGreaterThan(seconds * perSecond * 0.9)
  expect(outcomes(late)).toEqual(['warrant_key_unknown'])
  console.log(`warrant key: ${uses.length} warrants, all of them good`)
}, 120_000)
