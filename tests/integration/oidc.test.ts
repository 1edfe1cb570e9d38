import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { outgoing } from '../../adapters/outgoing/fetch.ts'
import { oidcProvider, type OidcSettings } from '../../adapters/oidc.ts'
import { systemActor } from '../../adapters/postgres/ledger.ts'
import { changeUser, findByOidc } from '../../adapters/postgres/users.ts'
import type { Binding } from '../../domain/remediation.ts'
import { publicUrl, startApi, type Got, type TestApi } from '../helpers/api.ts'
import { startOidc, type OidcScript, type TestOidc } from '../helpers/oidc-provider.ts'
import { personWith, tryLogin } from '../helpers/people.ts'
import { kubeConfig, stack } from '../helpers/stack.ts'
import { openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let op: TestOidc
let api: TestApi
const logged: string[] = []

const roleMap = new Map<string, Binding[]>([
  ['sre', [{ role: 'approver', cluster: 'main', namespace: 'shop' }]],
  ['platform', [{ role: 'admin', cluster: null, namespace: null }]],
])

beforeAll(async () => {
  db = await openDatabase()
  op = await startOidc()
  api = await apiWith({})
})
/** Closed with the rest, whatever becomes of its test. */
const opened: TestApi[] = []
const apiWith = async (changes: Partial<OidcSettings>): Promise<TestApi> => {
  const settings = { issuer: op.issuer, origins: [], clientId: op.clientId, clientSecretFile: undefined, redirectUri: `${publicUrl}/api/v1/auth/oidc/callback`, groupsClaim: 'groups', roleMap, ...changes }
  const one = await startApi({ db: db.api, temporal: stack.temporal.address, account: { localLogin: false }, oidc: oidcProvider(settings), log: (line) => void logged.push(line) })
  opened.push(one)
  return one
}
afterAll(async () => {
  await Promise.all(opened.map((one) => one.close()))
  await op.close()
  await db.close()
})

type Way = { cookie: string; back: string }

/** To the provider and back, as a browser would go. */
async function there(script: OidcScript, by = api): Promise<Way> {
  op.next = script
  const begun = await by.call('GET', '/api/v1/auth/oidc/start')
  expect(begun.status).toBe(303)
  const cookie = begun.headers.getSetCookie()[0]!
  expect(cookie).toMatch(/^__Host-aegis-oidc=[\w-]+\.[\w-]+\.[\w-]+; Path=\/; Max-Age=600; Secure; HttpOnly; SameSite=Lax$/)
  const response = await fetch(begun.headers.get('location')!, { redirect: 'manual' })
  return { cookie: cookie.split(';')[0]!, back: response.headers.get('location')!.replace(publicUrl, '') }
}

const finish = ({ cookie, back }: Way, by = api): Promise<Got> => by.call('GET', back, { headers: { cookie } })

async function sessionOf(got: Got) {
  expect([got.status, got.headers.get('location')]).toEqual([303, `${publicUrl}/`])
  const cookie = got.headers.getSetCookie().map((each) => each.split(';')[0]).filter((each) => !each!.endsWith('=')).join('; ')
  const ours = { cookie, origin: publicUrl, 'sec-fetch-site': 'same-origin', 'x-aegis-csrf': '1' }
  const key = String((await api.call('POST', '/api/v1/auth/refresh', { body: {}, headers: ours })).body['accessToken'])
  return { key, me: (await api.call('GET', '/api/v1/auth/me', { key })).body }
}

test('whoever comes back with the code has a session, and the roles of their groups where they hold', async () => {
  const sub = randomUUID()
  const { me } = await sessionOf(await finish(await there({ sub, claims: { preferred_username: 'Ann', groups: ['sre', 'chess'] } })))
  expect(me).toMatchObject({ kind: 'person', owner: 'ann', groups: ['chess', 'sre'], roles: ['approver'], bindings: [{ role: 'approver', cluster: 'main', namespace: 'shop' }] })
})

test('groups are looked at anew at each login: what is gone is gone', async () => {
  const sub = randomUUID()
  await sessionOf(await finish(await there({ sub, claims: { groups: ['platform'] } })))
  const { me } = await sessionOf(await finish(await there({ sub, claims: { groups: ['sre'] } })))
  expect(me['roles']).toEqual(['approver'])
  expect((await db.owner.raw(`select count(*)::integer as count from control.users where oidc_sub = ?`, [sub])).rows[0].count).toBe(1)
})

test('the name or address of somebody else makes nobody somebody else', async () => {
  const victim = await personWith(db.api, [{ role: 'admin', cluster: null, namespace: null }])
  const { me } = await sessionOf(await finish(await there({ sub: randomUUID(), claims: { preferred_username: victim.username, email: `${victim.username}@example.org` } })))
  expect(me['owner']).not.toBe(victim.username)
  expect(me['roles']).toEqual([])
})

test.each<[string, OidcScript]>([
  ['another nonce', { sub: 'mallory', nonce: 'replayed' }],
  ['another audience', { sub: 'mallory', audience: 'other-client' }],
  ['another issuer', { sub: 'mallory', issuer: 'https://evil.example' }],
  ['a key that is not the provider’s', { sub: 'mallory', foreignKey: true }],
  ['a login of an hour ago', { sub: 'mallory', authTimeS: Math.floor(Date.now() / 1000) - 3_600 }],
])('an id token with %s is refused', async (_name, script) => {
  const got = await finish(await there(script))
  expect([got.status, got.problem.code]).toEqual([403, 'oidc_refused'])
  expect(got.headers.getSetCookie()).toEqual([])
  expect(await findByOidc(db.api, { issuer: op.issuer, sub: 'mallory' })).toBeUndefined()
})

test('another state, another browser, a code used twice and a refusal of the provider open nothing', async () => {
  const sub = randomUUID()
  const one = await there({ sub })
  const other = await there({ sub })
  const codes = async (way: Way) => (await finish(way)).problem.code
  expect(await codes({ ...one, back: other.back })).toBe('oidc_refused')
  expect((await api.call('GET', one.back)).problem.code).toBe('oidc_no_flow')
  await sessionOf(await finish(one))
  expect(await codes(one)).toBe('oidc_refused')
  expect(await codes({ ...other, back: other.back.replace(/code=[^&]+/, 'error=access_denied') })).toBe('oidc_refused')
})

describe('what the provider says of itself is its word alone', () => {
  let other: TestOidc
  beforeAll(async () => (other = await startOidc()))
  afterAll(() => other.close())
  afterEach(() => void (op.says = {}))

  test.each([
    ['another login page', () => ({ authorization_endpoint: `${other.issuer}/authorize` })],
    ['a login page that is a script', () => ({ authorization_endpoint: 'javascript:alert(1)' })],
    ['another issuer', () => ({ issuer: other.issuer })],
  ])('%s is believed by nobody: the login does not begin', async (_name, says) => {
    op.says = says()
    const fresh = await apiWith({})
    const got = await fresh.call('GET', '/api/v1/auth/oidc/start')
    expect([got.status, got.problem.code, got.headers.get('location')]).toEqual([503, 'oidc_away', null])
  })

  test.each([
    ['a token endpoint', () => ({ token_endpoint: `${other.issuer}/token` })],
    ['a token endpoint at a metadata service', () => ({ token_endpoint: 'http://169.254.169.254/latest/api/token' })],
    ['keys', () => ({ jwks_uri: `${other.issuer}/keys` })],
  ])('%s elsewhere is not asked, and the login is refused', async (_name, says) => {
    op.says = says()
    const fresh = await apiWith({})
    const got = await finish(await there({ sub: randomUUID() }, fresh), fresh)
    expect([got.status, got.problem.code]).toEqual([403, 'oidc_refused'])
    expect(other.asked).toEqual([])
  })

  test('what an operator named besides the issuer is asked', async () => {
    op.says = { jwks_uri: `${op.issuer.replace('127.0.0.1', 'localhost')}/keys` }
    const fresh = await apiWith({ origins: [op.issuer.replace('127.0.0.1', 'localhost')] })
    expect((await finish(await there({ sub: randomUUID() }, fresh), fresh)).status).toBe(303)
  })

  test('the log names what an operator would have to name', async () => {
    op.says = { authorization_endpoint: 'https://login.example/authorize' }
    const fresh = await apiWith({})
    await fresh.call('GET', '/api/v1/auth/oidc/start')
    expect(logged.join('')).toContain('`https://login.example` is not an address that may be asked: if it is meant to be, AEGIS_OIDC_ORIGINS has to name it')
  })
})

test('a server whose certificate nobody vouches for is not spoken to', async () => {
  // The API server of the sandbox: real TLS, by an authority that only its kubeconfig names.
  const { origin } = new URL(kubeConfig(stack.clusters[0]!.kubeconfig).getCurrentCluster()!.server)
  expect(origin).toMatch(/^https:/)
  await expect(outgoing({ origins: [origin], namedIn: 'AEGIS_OIDC_ORIGINS' }).fetch(`${origin}/version`)).rejects.toThrow(/certificate|self.signed|verify/i)
})

test('another site cannot begin a login for somebody', async () => {
  for (const site of ['cross-site', 'same-site']) {
    const got = await api.call('GET', '/api/v1/auth/oidc/start', { headers: { 'sec-fetch-site': site } })
    expect([got.status, got.problem.code, got.headers.getSetCookie()]).toEqual([403, 'cross_site', []])
  }
  for (const site of ['none', 'same-origin']) expect((await api.call('GET', '/api/v1/auth/oidc/start', { headers: { 'sec-fetch-site': site } })).status).toBe(303)
})

test('a disabled account stays out', async () => {
  const sub = randomUUID()
  await sessionOf(await finish(await there({ sub })))
  const user = await findByOidc(db.api, { issuer: op.issuer, sub })
  await changeUser(db.api, user!.userId, { state: 'disabled' }, systemActor)
  const got = await finish(await there({ sub }))
  expect([got.status, got.problem.code]).toEqual([403, 'account_disabled'])
})

test('where passwords are switched off, the right one opens nothing', async () => {
  const { username } = await personWith(db.api, [])
  const got = await tryLogin(api, username)
  expect([got.status, got.problem.code]).toEqual([403, 'local_login_off'])
})
