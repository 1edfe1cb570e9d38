/** W2: what somebody may try with tokens. Each attack has its code, changes nothing, and is on record where we know whose token it was. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exportJWK } from 'jose'
import { changeUser } from '../../adapters/postgres/users.ts'
import { systemActor } from '../../adapters/postgres/ledger.ts'
import { createKeys, keyIdOf } from '../../adapters/signing.ts'
import { keyFor, publicUrl, startApi, tokenFiles, type TestApi } from '../helpers/api.ts'
import { globalRole, login, personWith, refresh, type Person, type Session } from '../helpers/people.ts'
import { eventually, stack } from '../helpers/stack.ts'
import { openDatabase, times, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let second: TestApi
/** With keys of its own, where a test has one. */
let third: TestApi | undefined
let ann: Person
let session: Session

const secretKey = createPrivateKey(readFileSync(tokenFiles.privateKeyFile, 'utf8'))
const openKey = createPublicKey(secretKey)
const kid = keyIdOf(openKey)
const stranger = generateKeyPairSync('ed25519').privateKey

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address })
  second = await startApi({ db: db.connect('api'), temporal: stack.temporal.address })
  ann = await personWith(db.api, [globalRole('user')])
  session = await login(api, ann.username)
})
afterAll(async () => {
  await api.close()
  await second.close()
  await third?.close()
  await db.close()
})

const count = async (sql: string, values: unknown[] = []): Promise<number> => Number((await db.owner.raw(sql, values as string[])).rows[0].count)
const effects = () => count('select count(*) from ledger.request')
const entries = (kind: string, actor: string) => count('select count(*) from ledger.audit_event where kind = ? and actor = ?', [kind, actor])

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
type Made = { header?: object; claims?: object; key?: KeyObject; without?: string[] }

function forged({ header = {}, claims = {}, key = secretKey, without = [] }: Made = {}): string {
  const now = Math.floor(Date.now() / 1000)
  const all = { iss: publicUrl, aud: 'aegis-api', sub: ann.userId, sid: session.sessionId, auth_time: now, iat: now, nbf: now, exp: now + 900, jti: randomUUID(), ...claims }
  const kept = Object.fromEntries(Object.entries(all).filter(([name]) => !without.includes(name)))
  const text = `${encoded({ alg: 'EdDSA', typ: 'at+jwt', kid, ...header })}.${encoded(kept)}`
  return `${text}.${sign(null, Buffer.from(text), key).toString('base64url')}`
}

/** The public key is no secret: whoever lets a token choose HMAC lets anybody sign. */
function confused(): string {
  const text = `${encoded({ alg: 'HS256', typ: 'at+jwt', kid })}.${forged().split('.')[1]}`
  return `${text}.${createHmac('sha256', readFileSync(tokenFiles.publicKeysFile)).update(text).digest('base64url')}`
}

/** Token keys in use, and another pair to take their place. */
function rotating() {
  const directory = mkdtempSync(join(tmpdir(), 'aegis-tokens-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
  const filesOf = (name: string) => ({ privateKeyFile: join(directory, `${name}.key`), publicKeysFile: join(directory, `${name}.pub`) })
  const [live, next] = [filesOf('live'), filesOf('next')]
  for (const { privateKeyFile, publicKeysFile } of [live, next]) createKeys(privateKeyFile, publicKeysFile)
  return { live, next }
}

const asked = () => ({ action: 'restart_pod', target: { namespace: 'shop', kind: 'Pod', name: `cart-${randomUUID().slice(0, 8)}` }, reason: 'attack' })
const now = () => Math.floor(Date.now() / 1000)

test('a token of ours, and the same one made by hand, are let in', async () => {
  for (const key of [session.accessToken, forged()]) expect((await api.call('GET', '/api/v1/auth/me', { key })).body).toMatchObject({ id: `user:${ann.userId}`, roles: ['user'] })
})

const attacks: [string, string, () => string | Promise<string>, known?: true][] = [
  ['algorithm none', 'token_algorithm', () => `${encoded({ alg: 'none', typ: 'at+jwt', kid })}.${forged().split('.')[1]}.`],
  ['HMAC with the public key for a secret', 'token_algorithm', confused],
  ['another asymmetric algorithm', 'token_algorithm', () => forged({ header: { alg: 'RS256' } })],
  ['a kid that is a path', 'token_key_unknown', () => forged({ header: { kid: '../../../../dev/null' } })],
  ['a kid that is SQL', 'token_key_unknown', () => forged({ header: { kid: "' or 1=1 --" } })],
  ['no kid', 'token_key_unknown', () => forged({ header: { kid: undefined } })],
  ['a kid nobody has', 'token_key_unknown', () => forged({ header: { kid: '0123456789abcdef' } })],
  ['its own key in the header', 'token_header', async () => forged({ key: stranger, header: { jwk: await exportJWK(createPublicKey(stranger)) } })],
  ['an address of keys in the header', 'token_header', () => forged({ header: { jku: 'https://evil.example/keys' } })],
  ['an address of a certificate in the header', 'token_header', () => forged({ header: { x5u: 'https://evil.example/cert' } })],
  ['a critical extension in the header', 'token_header', () => forged({ header: { crit: ['b64'], b64: false } })],
  ['the type of another token', 'token_type', () => forged({ header: { typ: 'JWT' } })],
  ['no type', 'token_type', () => forged({ header: { typ: undefined } })],
  ['an id token', 'token_audience', () => forged({ claims: { aud: 'aegis-console', nonce: 'n' } }), true],
  ['another audience', 'token_audience', () => forged({ claims: { aud: 'other-api' } }), true],
  ['another issuer', 'token_issuer', () => forged({ claims: { iss: 'https://staging.example' } }), true],
  ['expired', 'token_expired', () => forged({ claims: { exp: now() - 60, iat: now() - 700, nbf: now() - 700 } })],
  ['older than any of ours', 'token_expired', () => forged({ claims: { iat: now() - 4_000, nbf: now() - 4_000 } })],
  ['not yet', 'token_not_yet', () => forged({ claims: { nbf: now() + 600 } }), true],
  ['without an end', 'token_claims', () => forged({ without: ['exp'] }), true],
  ['without a session', 'token_claims', () => forged({ without: ['sid'] }), true],
  ['without an id', 'token_claims', () => forged({ without: ['jti'] }), true],
  ['a subject that is SQL', 'token_claims', () => forged({ claims: { sub: "x' or '1'='1" } })],
  ['signed by a stranger under our kid', 'token_signature', () => forged({ key: stranger })],
  ['other claims under an old signature', 'token_signature', () => {
    const [head, , signature] = forged().split('.')
    return `${head}.${encoded({ sub: randomUUID() })}.${signature}`
  }],
  ['bytes behind it', 'token_signature', () => `${forged()}AAAA`],
  ['four parts', 'token_malformed', () => `${forged()}.AAAA`],
  ['no JSON', 'token_malformed', () => 'a.b.c'],
  ['ten thousand characters', 'token_malformed', () => `${'a'.repeat(10_000)}.b.c`],
  ['a session that never was', 'session_unknown', () => forged({ claims: { sid: randomUUID() } })],
  ['another one’s session', 'session_unknown', async () => forged({ claims: { sid: (await login(api, (await personWith(db.api, [globalRole('admin')])).username)).sessionId } })],
  ['a refresh token', 'bad_credential', () => session.refreshToken],
  ['nothing', 'bad_credential', () => ''],
]

describe('an access token that is not one', () => {
  test.each(attacks)('%s: %s', async (_name, code, make, ...[known]) => {
    const before = { effects: await effects(), told: await entries('request_refused', `user:${ann.userId}`) }
    const key = await make()
    const got = await api.call('POST', '/api/v1/remediations', { key, body: asked() })
    expect({ status: got.status, code: got.problem.code }).toEqual({ status: 401, code })
    if (key.length > 10) expect(JSON.stringify(got.body)).not.toContain(key)
    expect(await effects()).toBe(before.effects)
    // One line a minute for the same person and code.
    if (known) expect(await entries('request_refused', `user:${ann.userId}`)).toBeLessThanOrEqual(before.told + 1)
    else expect(await entries('request_refused', `user:${ann.userId}`)).toBe(before.told)
  })

  test('of whose it was there is a line for each code, where the signature says so', async () => {
    const { rows } = await db.owner.raw(`select distinct (entry::jsonb) -> 'body' ->> 'code' as code from ledger.audit_event where kind = 'request_refused' and actor = ?`, [`user:${ann.userId}`])
    expect((rows as { code: string }[]).map(({ code }) => code).sort()).toEqual(['token_audience', 'token_claims', 'token_issuer', 'token_not_yet'])
  })

  test('in the query or twice in the header it is none', async () => {
    expect((await api.call('GET', `/api/v1/auth/me?access_token=${session.accessToken}`)).status).toBe(401)
    expect((await api.call('GET', '/api/v1/auth/me', { headers: { authorization: `Bearer ${session.accessToken}, Bearer ${session.accessToken}` } })).status).toBe(401)
  })
})

/** Of both processes: what one has changed the other has to see as well. */
async function refusedWithin5s(key: string, status: number, code: string): Promise<void> {
  const begun = performance.now()
  for (const each of [api, second]) {
    await eventually(`${code}`, async () => {
      const got = await each.call('POST', '/api/v1/remediations', { key, body: asked() })
      return got.status === status && got.problem.code === code
    }, 6_000)
  }
  expect(performance.now() - begun).toBeLessThan(5_500)
}

describe('what happens to an account holds in every process within 5 s', () => {
  test.each<[string, (person: Person, of: Session) => Promise<unknown>, number, string]>([
    ['a logout', (_person, of) => api.call('POST', '/api/v1/auth/logout', { body: { refreshToken: of.refreshToken, deviceToken: of.deviceToken }, headers: { 'user-agent': 'test' } }), 401, 'session_ended'],
    ['a logout everywhere', (_person, of) => api.call('DELETE', '/api/v1/auth/sessions', { key: of.accessToken }), 401, 'session_ended'],
    ['a disabled account', ({ userId }) => changeUser(db.api, userId, { state: 'disabled' }, systemActor), 401, 'account_disabled'],
    ['a role that is taken', ({ userId }) => changeUser(db.api, userId, { bindings: [globalRole('auditor')] }, systemActor), 403, 'not_permitted'],
    ['a role that holds elsewhere now', ({ userId }) => changeUser(db.api, userId, { bindings: [{ role: 'user', cluster: 'main', namespace: 'bank' }] }, systemActor), 403, 'not_permitted_there'],
  ])('%s', async (_name, change, status, code) => {
    const person = await personWith(db.api, [globalRole('user')])
    const of = await login(api, person.username)
    for (const each of [api, second]) expect((await each.call('POST', '/api/v1/remediations', { key: of.accessToken, body: asked() })).status).toBe(202)
    await change(person, of)
    await refusedWithin5s(of.accessToken, status, code)
    expect(await entries('request_refused', `user:${person.userId}`)).toBeGreaterThan(0)
  })

  test('a key of somebody who is disabled opens nothing, from its next call on', async () => {
    const person = await personWith(db.api, [])
    const { key } = await keyFor(db.api, ['user'], person.username)
    expect((await api.call('GET', '/api/v1/remediations', { key })).status).toBe(200)
    await changeUser(db.api, person.userId, { state: 'disabled' }, systemActor)
    expect((await api.call('GET', '/api/v1/remediations', { key })).status).toBe(401)
  })
})

describe('a token that was found good before', () => {
  test('is refused once it has run out, however often it was used', async () => {
    const key = forged({ claims: { exp: now() + 2, iat: now() - 60, nbf: now() - 60 } })
    const until = performance.now() + 8_500 // with what clocks may differ
    const seen: string[] = []
    while (performance.now() < until) {
      const got = await api.call('GET', '/api/v1/auth/me', { key })
      seen.push(got.status === 200 ? 'ok' : got.problem.code)
      await sleep(100)
    }
    expect([seen[0], seen.at(-1), new Set(seen).size]).toEqual(['ok', 'token_expired', 2])
  }, 20_000)

  test('is refused within 5 s of its key being taken out, however often it is used', async () => {
    const [files, text] = [rotating(), (path: string) => readFileSync(path, 'utf8')]
    const own = (third = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null, tokens: files.live }))
    const { accessToken: key } = await login(own, ann.username)
    const statuses: { at: number; status: number }[] = []
    const ask = async () => statuses.push({ at: performance.now(), status: (await own.call('GET', '/api/v1/auth/me', { key })).status })
    for (const _ of times(5, () => 0)) await ask()
    expect(statuses.every(({ status }) => status === 200)).toBe(true)
    writeFileSync(files.live.publicKeysFile, text(files.next.publicKeysFile))
    writeFileSync(files.live.privateKeyFile, text(files.next.privateKeyFile))
    const removedAt = performance.now()
    while (performance.now() < removedAt + 6_000) await ask().then(() => sleep(50))
    expect(statuses.filter(({ at, status }) => at > removedAt + 5_000 && status !== 401)).toEqual([])
    expect((await own.call('GET', '/api/v1/auth/me', { key })).problem.code).toBe('token_key_unknown')
  }, 20_000)

  test('under whose text somebody puts another signature is none', async () => {
    const key = forged()
    expect((await api.call('GET', '/api/v1/auth/me', { key })).status).toBe(200)
    const [head, body, signature = ''] = key.split('.')
    for (const other of [`${signature.slice(0, -2)}${signature.endsWith('AA') ? 'BA' : 'AA'}`, '', forged({ key: stranger }).split('.')[2]]) {
      expect((await api.call('GET', '/api/v1/auth/me', { key: `${head}.${body}.${other}` })).status).toBe(401)
    }
  })
})

describe('refresh tokens', () => {
  let person: Person
  let mine: Session
  const actor = () => `user:${person.userId}`
  const begin = async () => {
    person = await personWith(db.api, [globalRole('user')])
    mine = await login(api, person.username)
  }

  test('each is good for one use, and what it brings works', async () => {
    await begin()
    const got = await refresh(api, mine)
    expect(got.status).toBe(200)
    expect(got.body['refreshToken']).not.toBe(mine.refreshToken)
    expect((await api.call('GET', '/api/v1/auth/me', { key: String(got.body['accessToken']) })).status).toBe(200)
  })

  test('twenty at once, through two processes, hear the same successor', async () => {
    await begin()
    const all = await Promise.all(times(20, (index) => refresh(index % 2 ? api : second, mine)))
    expect(all.map(({ status }) => status)).toEqual(times(20, () => 200))
    expect(new Set(all.map(({ body }) => body['refreshToken'])).size).toBe(1)
    expect((await refresh(api, { ...mine, refreshToken: String(all[0]?.body['refreshToken']) })).status).toBe(200)
    expect(await entries('refresh_reused', actor())).toBe(0)
  })

  const stolen = async (sent: Parameters<typeof refresh>[2]) => {
    const got = await refresh(second, mine, sent)
    expect([got.status, got.problem.code]).toEqual([401, 'refresh_reused'])
    expect(await entries('refresh_reused', actor())).toBe(1)
  }

  test('used by the owner, then by a thief: nobody is in any more, and it is on record', async () => {
    await begin()
    const next = await refresh(api, mine)
    await stolen({ headers: { 'user-agent': 'thief' } })
    const after = await refresh(api, { ...mine, refreshToken: String(next.body['refreshToken']) })
    expect([after.status, after.problem.code]).toEqual([401, 'session_ended'])
    await refusedWithin5s(String(next.body['accessToken']), 401, 'session_ended')
  })

  test('used by a thief, then by the owner: the same', async () => {
    await begin()
    const theirs = await refresh(api, mine, { headers: { 'user-agent': 'thief' } })
    expect(theirs.status).toBe(200)
    const own = await refresh(second, mine, { body: { refreshToken: mine.refreshToken } }) // without the device token: another client
    expect([own.status, own.problem.code]).toEqual([401, 'refresh_reused'])
    expect((await refresh(api, { ...mine, refreshToken: String(theirs.body['refreshToken']) })).status).toBe(401)
  })

  test('used again once its successor was used, the same client or not', async () => {
    await begin()
    const next = await refresh(api, mine)
    await refresh(api, { ...mine, refreshToken: String(next.body['refreshToken']) })
    await stolen({})
  })

  test('used again after the grace for lost replies', async () => {
    await begin()
    expect((await refresh(api, mine)).status).toBe(200)
    await db.owner.raw(`update control.refresh_tokens set used_at = used_at - interval '11 seconds' where session_id = ?`, [mine.sessionId])
    await stolen({})
  })

  test.each<[string, string, string]>([
    ['7 days after the login', `update control.session_cache set expires_at = now() where session_id = ?`, 'session_expired'],
    ['after 24 hours without a use', `update control.refresh_tokens set issued_at = issued_at - interval '24 hours' where session_id = ?`, 'session_idle'],
    ['of an account that is disabled', `update control.users set state = 'disabled' where user_id = (select user_id from control.session_cache where session_id = ?)`, 'account_disabled'],
  ])('%s it is good no more', async (_name, sql, code) => {
    await begin()
    await db.owner.raw(sql, [mine.sessionId])
    const got = await refresh(api, mine)
    expect([got.status, got.problem.code]).toEqual([401, code])
  })

  test('an unknown one, an API key and an access token are none', async () => {
    const { key } = await keyFor(db.api, ['admin'])
    for (const refreshToken of [`aegis_refresh_${'A'.repeat(43)}`, key, 'x']) {
      const got = await refresh(api, { refreshToken, deviceToken: '' })
      expect([got.status, got.problem.code]).toEqual([401, 'refresh_unknown'])
    }
  })

  test('nothing that is stored, or on record, opens anything', async () => {
    await begin()
    const next = await refresh(api, mine)
    const stored = JSON.stringify((await db.owner.raw(`select t::text from control.refresh_tokens t union all select s::text from control.session_cache s union all select d::text from control.known_devices d
      union all select entry from ledger.audit_event where stream in ('logins', 'users')`)).rows)
    for (const secret of [mine.refreshToken, mine.deviceToken, mine.accessToken, String(next.body['refreshToken'])]) expect(stored).not.toContain(secret.replace(/^aegis_[a-z]+_/, ''))
  })
})

describe('a session in a browser', () => {
  const ours = { origin: publicUrl, 'sec-fetch-site': 'same-origin', 'x-aegis-csrf': '1', 'user-agent': 'browser' }
  const begin = async (headers: Record<string, string>) =>
    api.call('POST', '/api/v1/auth/login', { body: { username: ann.username, password: 'a walk along the quiet river' }, headers: { ...headers, 'x-forwarded-for': '10.200.0.1' } })
  const cookiesOf = (headers: Headers) => headers.getSetCookie()

  test('has its refresh token in a cookie that no script and no other site gets at, and nowhere else', async () => {
    const got = await begin(ours)
    expect(got.body).toMatchObject({ refreshToken: null, deviceToken: null })
    const cookies = cookiesOf(got.headers)
    expect(cookies).toHaveLength(2)
    for (const each of cookies) expect(each).toMatch(/^__Host-aegis-(refresh|device)=aegis_\w+_[\w-]{43}; Path=\/; Max-Age=\d+; Secure; HttpOnly; SameSite=Strict$/)
    const cookie = cookies.map((each) => each.split(';')[0]).join('; ')
    const again = await api.call('POST', '/api/v1/auth/refresh', { body: {}, headers: { ...ours, cookie } })
    expect([again.status, again.body['refreshToken']]).toEqual([200, null])
    const out = await api.call('POST', '/api/v1/auth/logout', { body: {}, headers: { ...ours, cookie: cookiesOf(again.headers)[0]!.split(';')[0]! } })
    expect([out.body['ended'], cookiesOf(out.headers)[0]]).toEqual([true, expect.stringContaining('Max-Age=0')])
  })

  test.each<[string, Record<string, string>]>([
    ['without Origin and Sec-Fetch-Site', { 'x-aegis-csrf': '1' }],
    ['from another origin', { ...ours, origin: 'https://evil.example' }],
    ['from an origin that only begins alike', { ...ours, origin: `${publicUrl}.evil.example` }],
    ['from the null origin', { ...ours, origin: 'null' }],
    ['from the same site but another host', { ...ours, 'sec-fetch-site': 'same-site' }],
    ['without the header that no form can send', { origin: publicUrl, 'sec-fetch-site': 'same-origin' }],
  ])('a cookie that comes %s counts for nothing', async (_name, headers) => {
    const got = await begin(ours)
    const cookie = cookiesOf(got.headers).map((each) => each.split(';')[0]).join('; ')
    for (const path of ['/api/v1/auth/refresh', '/api/v1/auth/logout']) {
      const refused = await api.call('POST', path, { body: {}, headers: { ...headers, cookie } })
      expect([refused.status, refused.problem.code]).toEqual([403, 'cross_site'])
    }
    expect((await begin(headers)).problem.code).toBe('cross_site')
    expect((await api.call('POST', '/api/v1/auth/refresh', { body: {}, headers: { ...ours, cookie } })).status).toBe(200)
  })

  test('ends with the next login in the same browser', async () => {
    const first = await begin(ours)
    const key = String(first.body['accessToken'])
    expect((await api.call('GET', '/api/v1/auth/me', { key })).status).toBe(200)
    const second = await begin({ ...ours, cookie: cookiesOf(first.headers).map((each) => each.split(';')[0]).join('; ') })
    expect(second.status).toBe(200)
    expect((await api.call('GET', '/api/v1/auth/me', { key })).problem.code).toBe('session_ended')
    expect((await api.call('GET', '/api/v1/auth/me', { key: String(second.body['accessToken']) })).status).toBe(200)
  })

  test('a cookie is no credential for anything but its session', async () => {
    const cookie = cookiesOf((await begin(ours)).headers).map((each) => each.split(';')[0]).join('; ')
    expect((await api.call('GET', '/api/v1/auth/me', { headers: { ...ours, cookie } })).status).toBe(401)
  })
})

describe('step-up', () => {
  test('what must not be done by somebody who found a screen unlocked needs a login of the last 5 minutes', async () => {
    const admin = await personWith(db.api, [globalRole('admin')])
    const of = await login(api, admin.username)
    const old = forged({ claims: { sub: admin.userId, sid: of.sessionId, auth_time: now() - 301 } })
    const made = (key: string) => api.call('POST', '/api/v1/keys', { key, body: { name: 'k', owner: 'ann', roles: ['user'] } })
    const refused = await made(old)
    expect([refused.status, refused.problem.code, refused.problem.nextStep]).toEqual([401, 'step_up_required', expect.stringContaining('log in again')])
    expect((await api.call('GET', '/api/v1/keys', { key: old })).status).toBe(200)
    expect((await made(of.accessToken)).status).toBe(201)
    expect((await made((await keyFor(db.api, ['admin'])).key)).status).toBe(201)
  })

  test('a refresh does not make a login younger', async () => {
    const person = await personWith(db.api, [globalRole('admin')])
    const of = await login(api, person.username)
    await db.owner.raw(`update control.session_cache set auth_time = auth_time - interval '301 seconds' where session_id = ?`, [of.sessionId])
    const next = await refresh(api, of)
    expect((await api.call('POST', '/api/v1/keys', { key: String(next.body['accessToken']), body: { name: 'k', owner: 'ann', roles: ['user'] } })).problem.code).toBe('step_up_required')
  })
})

test('the public keys are at the well-known place, and no private one', async () => {
  const { body } = await api.call('GET', '/.well-known/jwks.json')
  expect(body['keys']).toEqual([{ kty: 'OKP', crv: 'Ed25519', x: expect.any(String), kid, alg: 'EdDSA', use: 'sig' }])
  await sleep(0)
})
