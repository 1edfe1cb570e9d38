/** W4: bodies that reach for the prototype, and bodies, headers and senders made to exhaust us. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { routes } from '../../api/routes.ts'
import type { Route } from '../../api/route.ts'
import { keyFor, startApi, type Got, type Sent, type TestApi } from '../helpers/api.ts'
import { sendRaw, type RawAnswer } from '../helpers/raw.ts'
import { stack } from '../helpers/stack.ts'
import { stallLimitMs, stallOf } from '../helpers/stall.ts'
import { openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let key: string

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null })
  key = (await keyFor(db.api, ['admin'])).key
  for (const { route } of withBody) await api.call(route.method.toUpperCase(), named(route), { key, body: {} })
})
afterAll(async () => {
  await api.close()
  await db.close()
})

const named = ({ path }: Route) => path.replace(/:\w+/g, randomUUID())
const withBody = routes.filter(({ body }) => body !== null).map((route) => ({ name: `${route.method.toUpperCase()} ${route.path}`, route }))
const changed = async () => (await db.owner.raw(`select (select count(*) from ledger.request)::integer as requests, (select count(*) from control.users)::integer as users, (select count(*) from control.api_key)::integer as keys, (select count(*) from ledger.freeze)::integer as freezes`)).rows[0] as object

const evil = '{"isAdmin":true,"roles":["admin"],"polluted":"yes","status":200,"toString":1}'
const pollution = [
  `{"__proto__":${evil}}`, `{"constructor":{"prototype":${evil}}}`, `{"prototype":${evil}}`, `{"a":{"__proto__":${evil}}}`, `{"a":[{"__proto__":${evil}}]}`, `{"\\u005f\\u005fproto\\u005f\\u005f":${evil}}`, `{"__pr\\u006fto__":${evil}}`,
  `{"constructor":null}`, `{"constructor.prototype.polluted":"yes"}`, `{"__proto__.polluted":"yes"}`, `{"__proto__[polluted]":"yes"}`, `{"a":{"constructor":{"prototype":${evil}}}}`, `[{"__proto__":${evil}}]`, `{"__proto__":[]}`, `{"__proto__":null}`,
  `{"__defineGetter__":"x"}`, `{"hasOwnProperty":1,"toString":1,"valueOf":1}`, `{"toJSON":"x","then":"x"}`, `{"reason":"r","reason":{"__proto__":${evil}}}`, `{"scope":{"__proto__":{"namespace":"shop"}},"reason":"r"}`, `{"__PROTO__":${evil}}`, `{"":{"__proto__":${evil}}}`,
]

describe('a body that reaches for the prototype', () => {
  test(`there are ${pollution.length} of them and ${withBody.length} routes`, () => expect(pollution.length).toBeGreaterThanOrEqual(20))

  test.each(withBody)('is refused whole by $name', async ({ name, route }) => {
    const before = await changed()
    for (const raw of pollution) {
      const got = await api.call(route.method.toUpperCase(), named(route), { key, raw })
      // No route of these takes one of the bodies but those that have no required member, which refuse it as unknown.
      expect([raw, got.status < 500 && (got.status >= 400 || name.startsWith('POST /api/v1/auth/logout'))]).toEqual([raw, true])
      if (raw.includes('proto') && !raw.includes('proto__.') && !raw.includes('proto__[') && !raw.includes('prototype.')) expect([raw, ['prototype_key', 'duplicate_key', 'no_signing_over_http', 'bad_request', 'malformed_json']]).toEqual([raw, expect.arrayContaining([got.problem.code])])
    }
    expect(({} as Record<string, unknown>)['polluted'] ?? ({} as Record<string, unknown>)['isAdmin'] ?? 'clean').toBe('clean')
    expect(Object.keys(Object.prototype)).toEqual([])
    expect(await changed()).toEqual(before)
  })

  test('in a query or a path is a name that nobody knows', async () => {
    for (const query of ['__proto__=1', '__proto__[polluted]=yes', 'constructor[prototype][polluted]=yes', 'constructor=1', 'a[__proto__]=1', 'limit=1&limit=2', 'limit[]=1', 'limit[a]=1']) {
      const got = await api.call('GET', `/api/v1/remediations?${query}`, { key })
      expect([query, got.status]).toEqual([query, 400])
    }
    for (const id of ['__proto__', 'constructor', 'prototype', 'toString']) expect([400, 404]).toContain((await api.call('GET', `/api/v1/policy/${id}`, { key })).status)
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })
})

test('a path for the name of a policy file is a name: nothing is read or written there', async () => {
  const text = JSON.stringify({ apiVersion: 'aegis.dev/policy/v1', id: 'p', effect: 'deny', actions: ['pvc:resize'], resources: ['k8s:**'], message: 'm', owner: 'o' })
  for (const name of ['../../../../etc/passwd.yaml', '/etc/passwd', 'file:///etc/passwd.yaml', 'policies/../../x.yaml', '\\\\host\\share.yaml', 'http://169.254.169.254/x.yaml']) {
    const got = await api.call('POST', '/api/v1/policy/test', { key, body: { files: [{ name, text }] } })
    expect([name, [200, 400].includes(got.status)]).toEqual([name, true])
    expect(JSON.stringify(got.body)).not.toMatch(/root:|ENOENT|EACCES/)
  }
})

const kib = 1024
const many = (count: number, one: (at: number) => string) => Array.from({ length: count }, (_, at) => one(at)).join(',')

const bombs: [string, () => Sent][] = [
  ['arrays 100,000 deep', () => ({ raw: '['.repeat(100_000) })],
  ['closed arrays 60,000 deep', () => ({ raw: `${'['.repeat(60_000)}${']'.repeat(60_000)}` })],
  ['objects 40,000 deep', () => ({ raw: '{"a":'.repeat(40_000) })],
  ['33 levels', () => ({ raw: `${'['.repeat(33)}${']'.repeat(33)}` })],
  ['20,000 keys', () => ({ raw: `{${many(20_000, (at) => `"k${at}":1`)}}` })],
  ['20,000 keys of one name', () => ({ raw: `{${many(20_000, () => '"k":1')}}` })],
  ['keys that collide where hashing is weak', () => ({ raw: `{${many(20_000, (at) => `"${at * 65_536}":1`)}}` })],
  ['100,000 numbers', () => ({ raw: `[${many(100_000, () => '1')}]` })],
  ['60,000 empty objects', () => ({ raw: `{"alerts":[${many(60_000, () => '{}')}]}` })],
  ['a string of 250 KiB', () => ({ raw: `{"reason":"${'x'.repeat(250 * kib)}"}` })],
  ['a string of 40,000 escapes', () => ({ raw: `{"reason":"${'\\u0041'.repeat(40_000)}"}` })],
  ['a key of 250 KiB', () => ({ raw: `{"${'k'.repeat(250 * kib)}":1}` })],
  ['a number of 200,000 digits', () => ({ raw: `{"replicas":${'9'.repeat(200_000)}}` })],
  ['an exponent of 1e999999999', () => ({ raw: '{"replicas":1e999999999,"x":-1e-999999999}' })],
  ['a number with 200,000 zeros behind the point', () => ({ raw: `{"replicas":0.${'0'.repeat(200_000)}1}` })],
  ['250 KiB of spaces', () => ({ raw: ' '.repeat(250 * kib) })],
  ['10 MiB of spaces', () => ({ raw: ' '.repeat(10 * kib * kib) })],
  ['a gzip body that becomes 64 MiB', () => ({ raw: gzipSync(Buffer.alloc(64 * kib * kib)), headers: { 'content-encoding': 'gzip' } })],
  ['a deflate body', () => ({ raw: '{}', headers: { 'content-encoding': 'deflate' } })],
  ['a brotli body under another name', () => ({ raw: '{}', headers: { 'content-encoding': 'identity, br' } })],
  ['a body in UTF-16', () => ({ raw: Buffer.from('{}', 'utf16le'), headers: { 'content-type': 'application/json; charset=utf-16' } })],
  ['a byte order mark', () => ({ raw: '\ufeff{}' })],
  ['a byte that is no UTF-8, at the end of 250 KiB', () => ({ raw: Buffer.concat([Buffer.alloc(250 * kib, 32), Buffer.from([0xff])]) })],
]

/** One route for each way a body is read: the usual, with items apart, larger, before a login, and policies. */
const readers = ['POST /api/v1/freeze', 'POST /api/v1/remediations', 'POST /executor/execute', 'POST /api/v1/alerts', 'POST /api/v1/policy/lint', 'POST /api/v1/policy/evaluate', 'POST /api/v1/auth/login', 'POST /api/v1/policy']

describe('a bomb', () => {
  test(`there are ${bombs.length}`, () => expect(bombs.length).toBeGreaterThanOrEqual(15))

  test.each(bombs)('%s: refused, and nobody is held up', async (_name, make) => {
    const before = await changed()
    const sent = make()
    for (const reader of readers) {
      const [method = '', path = ''] = reader.split(' ')
      const { result, stallMs } = await stallOf<Got>(() => api.call(method, path, { key, ...sent }).catch((failure: Error) => {
        // Beyond what is thrown away for its sender's sake, the line is cut while it still sends.
        if (failure.message === 'fetch failed') return { status: 413 } as Got
        throw failure
      }))
      expect([reader, [400, 413, 415].includes(result.status) || result.status]).toEqual([reader, true])
      expect([reader, stallMs < stallLimitMs || stallMs]).toEqual([reader, true])
    }
    expect(await changed()).toEqual(before)
  })

  test('fifty at once hold nobody else up', async () => {
    const ping = async () => {
      const begun = performance.now()
      expect((await api.call('GET', '/api/v1/health/ping')).status).toBe(200)
      return performance.now() - begun
    }
    const raw = `{${many(20_000, (at) => `"k${at}":1`)}}`
    const attack = Promise.all(Array.from({ length: 50 }, () => api.call('POST', '/api/v1/freeze', { key, raw })))
    const took: number[] = []
    for (let at = 0; at < 10; at++) took.push(await ping())
    expect((await attack).map(({ status }) => status)).toEqual(Array(50).fill(400))
    expect(Math.max(...took)).toBeLessThan(3_000)
  })
})

describe('headers', () => {
  const head = (...lines: string[]) => `${['GET /api/v1/health/ping HTTP/1.1', 'Host: x', 'Connection: close', ...lines].join('\r\n')}\r\n\r\n`

  test.each<[string, string, number]>([
    ['one of 20 KiB', head(`X: ${'x'.repeat(20_000)}`), 431],
    ['three thousand', head(...Array.from({ length: 3_000 }, (_, at) => `X-${at}: 1`)), 431],
    ['a path of 20 KiB', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
    ['no host', 'GET /api/v1/health/ping HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['a NUL', head('X: a\u0000b'), 400],
    ['a bare line feed for an end', 'GET /api/v1/health/ping HTTP/1.1\nHost: x\n\n', 400],
    ['a length and chunks', `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n`, 400],
    ['two lengths', 'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}GET /x HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['a length that is none', 'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\n{}', 400],
    ['chunks under another name', 'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n', 400],
    ['chunks twice', 'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n', 400],
    ['a space before the colon', 'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n', 400],
    ['a folded line', head('X: a\r\n b'), 400],
    ['another version', 'GET / HTTP/9.9\r\nHost: x\r\n\r\n', 400],
    ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ])('%s', async (_name, text, status) => {
    const { result, stallMs } = await stallOf<RawAnswer>(() => sendRaw(api.url, [text]))
    // One answer: what was smuggled behind is no request of its own.
    expect([result.status, result.body.split(/HTTP\/1\.1 \d{3} /).length]).toEqual([status, 1])
    expect(stallMs).toBeLessThan(stallLimitMs)
  })
})

describe('who sends slowly', () => {
  const post = (length: number) => `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`

  test('headers or a body, bit by bit, is told so and cut off when it is due', async () => {
    const drip = (text: string) => [...text]
    const [headers, body, silent] = await Promise.all([
      sendRaw(api.url, drip(`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(200)}`), { everyMs: 200 }),
      sendRaw(api.url, [post(200), ...drip('{"username":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')], { everyMs: 250 }),
      sendRaw(api.url, [post(200)]),
    ])
    expect([headers.status, body.status, silent.status]).toEqual([408, 408, 408])
    expect(headers.tookMs).toBeLessThan(8_000)
    expect(Math.max(body.tookMs, silent.tookMs)).toBeLessThan(18_500)
    expect(Math.min(body.tookMs, silent.tookMs)).toBeGreaterThan(14_000)
  })

  test('and goes away in the middle is no failure of ours', async () => {
    const before = (await api.call('GET', '/metrics')).body['text'] as string
    const failures = (text: string) => text.split('\n').filter((line) => line.startsWith('aegis_http_request_duration_seconds_count') && /status="5/.test(line))
    await sendRaw(api.url, [`${post(200)}{"user`], { limitMs: 200 })
    await new Promise((wake) => setTimeout(wake, 300))
    const after = (await api.call('GET', '/metrics')).body['text'] as string
    expect(failures(after)).toEqual(failures(before))
    expect(after).toMatch(/aegis_requests_refused_total\{code="body_cut_off"\}|code="body_cut_off"/)
  })
})
