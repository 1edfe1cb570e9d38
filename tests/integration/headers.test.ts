/**
 * What browsers are told with every answer, and what they get from other sites. `api.call` and `sendRaw` hold each
 * answer of every test against the same list; here are the answers that no other test would ask for.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { routes } from '../../api/routes.ts'
import { holdAgainstHeaders, keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { sendRaw } from '../helpers/raw.ts'
import { stack } from '../helpers/stack.ts'
import { openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let limited: TestApi
let key: string

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null })
  const one = { limit: 1, windowMs: 60_000 }
  limited = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null, limits: { principal: one, route: one, address: one } })
  key = (await keyFor(db.api, ['admin'])).key
})
afterAll(async () => {
  await Promise.all([api.close(), limited.close()])
  await db.close()
})

const names = routes.map(({ method, path }) => [method.toUpperCase(), path] as const)
const named = (path: string) => path.replace(/:\w+/g, randomUUID())

describe('every answer tells browsers to show nothing, sniff nothing, frame nothing, keep nothing and stay on TLS', () => {
  test.each(names)('%s %s, let in and not', async (method, path) => {
    const body = method === 'POST' || method === 'PUT' ? { body: {} } : {}
    const all = [await api.call(method, named(path), { key, ...body }), await api.call(method, named(path), body)]
    for (const got of all) {
      expect(got.status).toBeLessThan(500)
      if (!path.includes('/oidc/')) expect(got.headers.get('location')).toBeNull() // nobody is led on, to HTTPS neither
      if (got.headers.get('content-type') !== null) expect(got.headers.get('content-type')).toMatch(/^(application\/(json|problem\+json)|text\/plain); ?(version=[\d.]+; ?)?charset=utf-8$|^application\/x-ndjson/)
    }
  })

  test.each<[string, number, (on: () => TestApi) => Promise<{ status: number }>]>([
    ['a path that leads nowhere', 404, () => api.call('GET', '/nowhere')],
    ['a method that is not taken', 405, () => api.call('DELETE', '/api/v1/health')],
    ['TRACE', 405, () => sendRaw(api.url, ['TRACE /api/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: secret=1\r\n\r\n'])],
    ['a path that cannot be decoded', 400, () => api.call('GET', '/api/v1/remediations/%E0%A4%A', { key })],
    ['a body that is too large', 413, () => api.call('POST', '/api/v1/freeze', { key, raw: ' '.repeat(300 * 1024) })],
    ['a body that is no JSON', 415, () => api.call('POST', '/api/v1/freeze', { key, raw: 'a', headers: { 'content-type': 'text/xml' } })],
    ['headers that are too large', 431, () => sendRaw(api.url, [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`])],
    ['no HTTP', 400, () => sendRaw(api.url, ['hello\r\n\r\n'])],
  ])('%s: %d', async (_name, status, ask) => {
    expect((await ask(() => api)).status).toBe(status)
  })

  test('too many calls: 429, of somebody known and of nobody', async () => {
    const calls = [{ key }, { key }, {}, {}, {}]
    const statuses: number[] = []
    for (const sent of calls) statuses.push((await limited.call('GET', '/api/v1/freeze', sent)).status)
    expect(statuses).toEqual([200, 429, 401, 429, 429])
  })

  test('the database away: 503', async () => {
    const gone = db.connect('api')
    const alone = await startApi({ db: gone, temporal: stack.temporal.address, directory: null })
    await gone.destroy()
    const got = await alone.call('GET', '/api/v1/freeze', { key })
    expect(got.status).toBeGreaterThanOrEqual(500)
    await alone.close()
  })
})

describe('a page of another site', () => {
  const foreign = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' }

  test.each(names)('may not read the answer of %s %s, nor ask whether it may send it', async (method, path) => {
    const asked = await fetch(api.url + named(path), { method: 'OPTIONS', headers: { ...foreign, 'access-control-request-method': method, 'access-control-request-headers': 'authorization, content-type' } })
    expect([asked.status, [...asked.headers.keys()].filter((name) => name.startsWith('access-control'))]).toEqual([405, []])
    holdAgainstHeaders('OPTIONS', path, asked.headers)
    const body = method === 'POST' || method === 'PUT' ? { body: {} } : {}
    const sent = await api.call(method, named(path), { key, ...body, headers: foreign })
    expect([...sent.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  const simple = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=a', '']
  test.each(routes.filter(({ body }) => body !== null).map(({ method, path }) => [method.toUpperCase(), path] as const))('cannot send what %s %s takes without asking first', async (method, path) => {
    for (const type of simple) {
      const got = await api.call(method, named(path), { key, raw: '{}', headers: { ...foreign, 'content-type': type } })
      expect([type, got.status, got.problem.code]).toEqual([type, 415, 'unsupported_body'])
    }
  })

  test('gets nowhere with the safe methods: no GET changes anything but the way in of OpenID Connect, which its own cookie guards', () => {
    const changing = routes.filter(({ method, idempotent, body, stepUp }) => method === 'get' && (idempotent || stepUp || body !== null))
    expect(changing).toEqual([])
  })
})
