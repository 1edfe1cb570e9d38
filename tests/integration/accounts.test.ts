/** Accounts over HTTP: how one comes to have one, and W3 (who is there, how often one may try). */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { genSaltSync, hashSync } from 'bcryptjs'
import { ensureBootstrap } from '../../api/bootstrap.ts'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { playsAll } from '../helpers/draw.ts'
import { freshNetwork, globalRole, login, password, personWith, refresh, tryLogin } from '../helpers/people.ts'
import { stack } from '../helpers/stack.ts'
import { openDatabase, times, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let admin: string
let directory: string

beforeAll(async () => {
  db = await openDatabase()
  directory = mkdtempSync(join(tmpdir(), 'aegis-accounts-'))
  api = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null })
  admin = (await keyFor(db.api, ['admin'])).key
})
afterAll(async () => {
  await api.close()
  await db.close()
  rmSync(directory, { recursive: true, force: true })
})

const name = () => `u-${randomUUID().slice(0, 12)}`
const entries = async (kind: string) => Number((await db.owner.raw(`select count(*) from ledger.audit_event where kind = ?`, [kind])).rows[0].count)

describe('coming to have an account', () => {
  test('the first admin makes their own with a token that is good once; with an account there is none any more', async () => {
    const file = join(directory, 'bootstrap')
    expect([await ensureBootstrap(db.api, file), await ensureBootstrap(db.api, file)]).toEqual(['made', 'there'])
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const bootstrapToken = readFileSync(file, 'utf8').trim()
    const first = name()
    const all = await Promise.all(times(5, (index) => api.call('POST', '/api/v1/auth/signup', { body: { username: index === 0 ? first : name(), password, bootstrapToken }, headers: { 'x-forwarded-for': freshNetwork() } })))
    expect(all.map(({ status }) => status).sort((a, b) => a - b)).toEqual([201, 401, 401, 401, 401])
    expect(await ensureBootstrap(db.api, join(directory, 'again'))).toBe('there')
    const made = all.find(({ status }) => status === 201)!
    const { accessToken } = await login(api, String(made.body['username']))
    expect((await api.call('GET', '/api/v1/auth/me', { key: accessToken })).body['roles']).toEqual(['admin'])
  })

  test('an admin makes an account and never knows its password', async () => {
    const username = name()
    const made = await api.call('POST', '/api/v1/users', { key: admin, body: { username: username.toUpperCase(), bindings: [{ role: 'approver', cluster: 'main', namespace: 'shop' }] } })
    expect(made.body).toMatchObject({ username, hasPassword: false, bindings: [{ role: 'approver', cluster: 'main', namespace: 'shop' }] })
    expect((await tryLogin(api, username)).status).toBe(401)
    const token = String(made.body['oneTimeToken'])
    const weak = await api.call('POST', '/api/v1/auth/reset', { body: { token, password: 'password1' } })
    expect([weak.status, weak.problem.code]).toEqual([400, 'weak_password'])
    expect((await api.call('POST', '/api/v1/auth/reset', { body: { token, password } })).status).toBe(200)
    expect((await api.call('POST', '/api/v1/auth/reset', { body: { token, password: `${password}!` } })).problem.code).toBe('bad_one_time_token')
    const { accessToken } = await login(api, username.toUpperCase())
    expect((await api.call('GET', '/api/v1/auth/me', { key: accessToken })).body).toMatchObject({ owner: username, roles: ['approver'] })
    expect((await api.call('POST', '/api/v1/users', { key: admin, body: { username } })).problem.code).toBe('username_taken')
    const told = JSON.stringify((await db.owner.raw(`select entry from ledger.audit_event where stream in ('users', 'logins')`)).rows)
    for (const secret of [token.split('_')[2]!, password]) expect(told).not.toContain(secret)
  })

  test('a one-time token is good for a day at most, and for one use', async () => {
    const made = await api.call('POST', '/api/v1/users', { key: admin, body: { username: name() } })
    const { rows } = await db.owner.raw(`select max(expires_at - created_at) <= interval '1 day' as short from control.one_time_tokens where user_id = ?`, [String(made.body['userId'])])
    expect(rows).toEqual([{ short: true }])
    await db.owner.raw(`update control.one_time_tokens set expires_at = now() where user_id = ?`, [String(made.body['userId'])])
    expect((await api.call('POST', '/api/v1/auth/reset', { body: { token: String(made.body['oneTimeToken']), password } })).problem.code).toBe('bad_one_time_token')
  })

  test('nobody signs up by themselves unless it is switched on, and then without any role', async () => {
    const body = { username: name(), password }
    expect((await api.call('POST', '/api/v1/auth/signup', { body })).problem.code).toBe('signup_off')
    const open = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null, account: { signup: true } })
    expect((await open.call('POST', '/api/v1/auth/signup', { body, headers: { 'x-forwarded-for': freshNetwork() } })).status).toBe(201)
    const { accessToken } = await login(open, body.username)
    expect((await open.call('GET', '/api/v1/auth/me', { key: accessToken })).body['roles']).toEqual([])
    expect((await open.call('GET', '/api/v1/remediations', { key: accessToken })).problem.code).toBe('not_permitted')
    await open.close()
  })

  test('a bcrypt hash from elsewhere is good for a login, which replaces it', async () => {
    const username = name()
    const of = (rounds: number) => hashSync(password, genSaltSync(rounds))
    const weak = await api.call('POST', '/api/v1/users', { key: admin, body: { username, passwordHash: of(4) } })
    expect(weak.problem.errors.map(({ field }) => field)).toEqual(['passwordHash'])
    expect((await api.call('POST', '/api/v1/users', { key: admin, body: { username, passwordHash: of(10) } })).status).toBe(201)
    const stored = async () => String((await db.owner.raw('select password_hash from control.users where username = ?', [username])).rows[0].password_hash)
    expect(await stored()).toMatch(/^\$2/)
    expect((await tryLogin(api, username, { password: `${password}x` })).status).toBe(401)
    await login(api, username)
    expect(await stored()).toMatch(/^\$argon2id\$v=19\$m=65536,t=3,p=1\$/)
    await login(api, username)
  })

  test('a password is checked letter by letter, to its end', async () => {
    const username = name()
    const long = `${'Ein langer Weg über den Fluß, '.repeat(4)}Ende`
    const token = String((await api.call('POST', '/api/v1/users', { key: admin, body: { username } })).body['oneTimeToken'])
    expect((await api.call('POST', '/api/v1/auth/reset', { body: { token, password: long } })).status).toBe(200)
    for (const other of [long.slice(0, -1), `${long.slice(0, -1)}E`, long.toLowerCase(), ` ${long}`, `${long} `, long.normalize('NFD'), long.slice(0, 72)]) expect([other, (await tryLogin(api, username, { password: other })).status]).toEqual([other, 401])
    await login(api, username, { password: long })
  })

  test('a password of years ago is as good as ever', async () => {
    const person = await personWith(db.api, [])
    await db.owner.raw(`update control.users set created_at = now() - interval '5 years', changed_at = now() - interval '5 years' where user_id = ?`, [person.userId])
    await login(api, person.username)
  })

  test('any number of sessions at once, each of them listed and ended by its owner', async () => {
    const person = await personWith(db.api, [])
    const all = await Promise.all(times(12, () => login(api, person.username)))
    const { accessToken: key } = all[0]!
    expect((await api.call('GET', '/api/v1/auth/sessions', { key })).body['items']).toHaveLength(12)
    expect((await api.call('DELETE', `/api/v1/auth/sessions/${all[5]!.sessionId}`, { key })).body['ended']).toBe(1)
    expect((await api.call('GET', '/api/v1/auth/me', { key: all[5]!.accessToken })).status).toBe(401)
    expect((await api.call('GET', '/api/v1/auth/me', { key: all[6]!.accessToken })).status).toBe(200)
  })

  test('the last admin of all cannot be shut out, nor lose the role', async () => {
    const alone = await openDatabase()
    const lone = await startApi({ db: alone.api, temporal: stack.temporal.address, directory: null })
    const person = await personWith(alone.api, [globalRole('admin')])
    const { accessToken: key } = await login(lone, person.username)
    const answers = [await lone.call('POST', `/api/v1/users/${person.userId}/disable`, { key }), await lone.call('PUT', `/api/v1/users/${person.userId}`, { key, body: { bindings: [] } })]
    expect(answers.map(({ status, problem }) => [status, problem.code])).toEqual([[409, 'last_admin'], [409, 'last_admin']])
    expect((await lone.call('GET', '/api/v1/auth/me', { key })).body['roles']).toEqual(['admin'])
    await lone.close()
    await alone.close()
  })

  test('a new password ends every other session, and not the one it was set in', async () => {
    const person = await personWith(db.api, [globalRole('user')])
    const [here, there] = [await login(api, person.username), await login(api, person.username)]
    const changed = (current: string) => api.call('POST', '/api/v1/auth/password', { key: here.accessToken, body: { current, password: 'another walk along the river' }, headers: { 'x-forwarded-for': freshNetwork() } })
    expect((await changed('wrong one')).problem.code).toBe('wrong_password')
    expect((await changed(password)).status).toBe(200)
    expect((await api.call('GET', '/api/v1/auth/me', { key: there.accessToken })).problem.code).toBe('session_ended')
    expect((await api.call('GET', '/api/v1/auth/me', { key: here.accessToken })).status).toBe(200)
    expect((await refresh(api, here)).status).toBe(200)
  })
})

describe('who is there nobody can tell', () => {
  test('an account, none, one that is disabled and one without a password are answered alike', async () => {
    const [there, disabled, without] = [await personWith(db.api, []), await personWith(db.api, []), name()]
    await db.owner.raw(`update control.users set state = 'disabled' where user_id = ?`, [disabled.userId])
    await api.call('POST', '/api/v1/users', { key: admin, body: { username: without } })
    const all = await Promise.all([there.username, disabled.username, without, name()].map((username) => tryLogin(api, username, { password: 'not this one' })))
    const alike = (body: object) => ({ ...body, requestId: '' })
    for (const got of all) expect([got.status, alike(got.body)]).toEqual([401, alike(all[0]!.body)])
    expect((await tryLogin(api, disabled.username)).problem).toMatchObject({ code: 'bad_login', detail: all[0]!.problem.detail })
  })

  // By time: the medians of tries in turn, so that the machine's moods meet both.
  test('nor by the time it takes', async () => {
    const tries = playsAll ? 400 : 40
    const { username } = await personWith(db.api, [])
    const took = { known: [] as number[], unknown: [] as number[] }
    for (let n = 0; n < tries; n++) {
      for (const who of n % 2 ? (['known', 'unknown'] as const) : (['unknown', 'known'] as const)) {
        const from = freshNetwork()
        const begun = performance.now()
        const got = await tryLogin(api, who === 'known' ? username : name(), { from, password: 'not this one' })
        took[who].push(performance.now() - begun)
        expect(got.status).toBe(401)
      }
    }
    const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!
    const [known, unknown] = [median(took.known), median(took.unknown)]
    console.log(`login refused, median of ${tries}: known ${known.toFixed(1)} ms, unknown ${unknown.toFixed(1)} ms`)
    expect(Math.abs(known - unknown) / Math.min(known, unknown)).toBeLessThan(playsAll ? 0.1 : 0.3)
  }, 300_000)
})

describe('how often one may try', () => {
  test('sixty at once get ten tries and not one more; the answer says when to come back', async () => {
    const { username } = await personWith(db.api, [])
    const from = freshNetwork()
    const all = await Promise.all(times(60, () => tryLogin(api, username, { from, password: 'not this one' })))
    const counts = (status: number) => all.filter((got) => got.status === status).length
    expect([counts(401) + counts(503), counts(429)]).toEqual([10, 50])
    expect(Number(all.find(({ status }) => status === 429)!.headers.get('retry-after'))).toBeGreaterThan(800)
    expect((await tryLogin(api, username, { from })).status).toBe(429)
    expect((await tryLogin(api, username)).status).toBe(200) // elsewhere
  })

  test('a network gets a hundred an hour, whatever accounts it tries', async () => {
    const from = freshNetwork()
    await db.owner.raw(`insert into control.login_attempts (attempt_id, key) select gen_random_uuid(), ? from generate_series(1, 100)`, [`network:${from}`])
    const { username } = await personWith(db.api, [])
    expect((await tryLogin(api, username, { from })).problem.code).toBe('too_many_logins')
  })

  test('the owner still gets in from a device that was in before, while the account is attacked from the same network', async () => {
    const { username } = await personWith(db.api, [])
    const from = freshNetwork()
    const { deviceToken } = await login(api, username, { from })
    await Promise.all(times(12, () => tryLogin(api, username, { from, password: 'not this one' })))
    expect((await tryLogin(api, username, { from })).status).toBe(429)
    expect((await tryLogin(api, username, { from, deviceToken })).status).toBe(200)
    const stranger = (await personWith(db.api, [])).username
    const theirs = (await login(api, stranger)).deviceToken
    expect((await tryLogin(api, username, { from, deviceToken: theirs })).status).toBe(429) // a device is known for its own account alone
  })

  test('it is a sliding log: what is older than the window no longer counts', async () => {
    const { username } = await personWith(db.api, [])
    const from = freshNetwork()
    await Promise.all(times(10, () => tryLogin(api, username, { from, password: 'not this one' })))
    expect((await tryLogin(api, username, { from })).status).toBe(429)
    await db.owner.raw(`update control.login_attempts set at = at - interval '15 minutes' where key like ?`, [`%${from}`])
    expect((await tryLogin(api, username, { from })).status).toBe(200)
  })

  test('every refused login is on record, and nothing that was typed', async () => {
    const before = await entries('login_refused')
    await tryLogin(api, 'hunter2-typed-as-name', { password: 'not this one' })
    expect(await entries('login_refused')).toBe(before + 1)
    expect(Number((await db.owner.raw(`select count(*) from ledger.audit_event where entry like '%hunter2%'`)).rows[0].count)).toBe(0)
  })
})

test('a login is on record, with how', async () => {
  const person = await personWith(db.api, [])
  await login(api, person.username)
  const { rows } = await db.owner.raw(`select (entry::jsonb) -> 'body' ->> 'how' as how from ledger.audit_event where kind = 'login' and actor = ?`, [`user:${person.userId}`])
  expect(rows).toEqual([{ how: 'password' }])
})
