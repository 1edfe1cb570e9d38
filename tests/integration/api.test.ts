import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import { connectDatabase } from '../../adapters/postgres/connect.ts'
import type { Role } from '../../domain/remediation.ts'
import { routes } from '../../api/routes.ts'
import { startPostgresProxy, type PostgresProxy } from '../../sandbox/faults/postgres-proxy.ts'
import { keyFor, startApi, wireTo, type Sent, type TestApi } from '../helpers/api.ts'
import { stack } from '../helpers/stack.ts'
import { openDatabase, times, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let second: TestApi
let keys: Record<Role, string>

const allRoles: Role[] = ['admin', 'user', 'approver', 'auditor', 'service']

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address })
  second = await startApi({ db: db.connect('api'), temporal: stack.temporal.address })
  const made = await Promise.all(allRoles.map(async (role) => [role, (await keyFor(db.api, [role])).key] as const))
  keys = Object.fromEntries(made) as Record<Role, string>
})
afterAll(async () => {
  await api.close()
  await second.close()
  await db.close()
})

const count = async (sql: string, values: unknown[] = []): Promise<number> => Number((await db.owner.raw(sql, values as string[])).rows[0].count)
const requests = () => count('select count(*) from ledger.request')
const refusals = () => count(`select count(*) from ledger.audit_event where kind = 'request_refused'`)

const remediations = '/api/v1/remediations'
const scale = (changes: object = {}) => ({
  action: 'scale_deployment',
  target: { namespace: 'shop', kind: 'Deployment', name: `cart-${randomUUID().slice(0, 8)}` },
  parameters: { replicas: 4 },
  reason: 'too slow',
  ...changes,
})
const target = (changes: object) => scale({ target: { namespace: 'shop', kind: 'Deployment', name: 'cart', ...changes } })
const deep = (levels: number) => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`

describe('bad input is refused with a problem document that names the field, and nothing is started', () => {
  const cases: [string, string, Sent, number, string, string][] = [
    ['an unknown action', remediations, { body: scale({ action: 'drain_node' }) }, 400, 'bad_request', 'action'],
    ['a wrong type', remediations, { body: scale({ parameters: { replicas: '4' } }) }, 400, 'bad_request', 'parameters.replicas'],
    ['an unknown field', remediations, { body: scale({ requestedBy: 'root' }) }, 400, 'bad_request', 'requestedBy'],
    ['a duplicate key', remediations, { raw: '{"action":"restart_pod","action":"scale_deployment"}' }, 400, 'duplicate_key', 'action'],
    ['a prototype key', remediations, { raw: '{"target":{"__proto__":{"namespace":"shop"}}}' }, 400, 'prototype_key', 'target.__proto__'],
    ['a missing target', remediations, { body: scale({ target: undefined }) }, 400, 'bad_request', 'target'],
    ['a foreign namespace', remediations, { body: target({ namespace: 'bank' }) }, 403, 'namespace_not_allowed', 'target.namespace'],
    ['a protected namespace', remediations, { body: target({ namespace: 'kube-system' }) }, 403, 'namespace_not_allowed', 'target.namespace'],
    ['an unknown cluster', remediations, { body: target({ cluster: 'prod' }) }, 400, 'unknown_cluster', 'target.cluster'],
    ['a name with a path in it', remediations, { body: target({ name: '../../secrets' }) }, 400, 'bad_request', 'target.name'],
    ['an unsafe integer', remediations, { raw: '{"parameters":{"replicas":9007199254740993}}' }, 400, 'unsafe_number', 'parameters.replicas'],
    ['an oversize body', remediations, { body: scale({ reason: 'x'.repeat(256 * 1024) }) }, 413, 'body_too_large', ''],
    ['a body past every bound', remediations, { raw: new Uint8Array(6 * 1024 * 1024).fill(32) }, 413, 'body_too_large', ''],
    ['a deep body', remediations, { raw: deep(32) }, 400, 'too_deep', `a${'[0]'.repeat(31)}`],
    ['a body deeper than any stack', remediations, { raw: deep(60_000) }, 400, 'too_deep', `a${'[0]'.repeat(31)}`],
    ['text that is no JSON', remediations, { raw: 'replicas: 4' }, 400, 'malformed_json', ''],
    ['bytes that are no UTF-8', remediations, { raw: new Uint8Array([0x7b, 0xff, 0x7d]) }, 400, 'bad_text', ''],
    ['a NUL in a text', remediations, { raw: '{"reason":"a\\u0000b"}' }, 400, 'bad_text', 'reason'],
    ['a form', remediations, { raw: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415, 'unsupported_body', 'Content-Type'],
    ['a compressed body', remediations, { raw: '{}', headers: { 'content-encoding': 'gzip' } }, 415, 'unsupported_body', 'Content-Encoding'],
    ['an Idempotency-Key that is none', remediations, { body: scale(), headers: { 'idempotency-key': 'a b' } }, 400, 'bad_request', 'Idempotency-Key'],
    ['a query where none is known', `${remediations}?dryRun=true`, { body: scale() }, 400, 'bad_request', 'dryRun'],
    ['an executor call without a pod', '/executor/execute', { body: { actionType: 'restart_pod', actionParams: { namespace: 'shop', deploymentName: 'cart' } } }, 400, 'bad_request', 'actionParams.podName'],
    ['an executor call elsewhere', '/executor/execute', { body: { actionType: 'restart_pod', actionParams: { namespace: 'bank', podName: 'a' } } }, 403, 'namespace_not_allowed', 'actionParams.namespace'],
    ['a webhook of another version', '/api/v1/alerts', { body: { version: '3', alerts: [] } }, 400, 'bad_request', 'version'],
    ['a webhook without alerts', '/api/v1/alerts', { body: { version: '4', status: 'firing', receiver: 'a', groupKey: 'k', alerts: 'none' } }, 400, 'bad_request', 'alerts'],
    ['an approval without a digest', `${remediations}/${randomUUID()}/approve`, { body: {} }, 400, 'bad_request', 'planDigest'],
    ['an id that is none', `${remediations}/1;drop table/cancel`, { body: {} }, 400, 'bad_request', 'id'],
    ['a freeze without a reason', '/api/v1/freeze', { body: { scope: {} } }, 400, 'bad_request', 'reason'],
    ['a release of two things', '/api/v1/claims/release', { body: { id: randomUUID(), workload: { namespace: 'shop', kind: 'Deployment', name: 'a' } } }, 400, 'bad_request', ''],
    ['a step to no mode', '/api/v1/autonomy/demote', { body: { policy: 'a', namespace: 'shop', mode: 'off', reason: 'r' } }, 400, 'bad_request', 'mode'],
    ['a demotion of no policy', '/api/v1/autonomy/demote', { body: { policy: 'none-such', namespace: 'shop', mode: 'suggest', reason: 'r' } }, 400, 'unknown_policy', 'policy'],
    ['a promotion in an unknown cluster', '/api/v1/autonomy/promote', { body: { policy: 'a', cluster: 'prod', namespace: 'shop', mode: 'auto', reason: 'r' } }, 400, 'unknown_cluster', 'cluster'],
    ['a requester told in the body', '/api/v1/policy/evaluate', { body: { action: 'pod:restart', resource: 'k8s:main/shop/pod/a', principal: { id: 'root' } } }, 400, 'bad_request', 'principal'],
    ['a key with an unknown role', '/api/v1/keys', { body: { name: 'k', owner: 'ann', roles: ['root'] } }, 400, 'bad_request', 'roles[0]'],
  ]

  test.each(cases)('%s', async (_name, path, sent, status, code, field) => {
    const before = { requests: await requests(), refusals: await refusals() }
    const got = await api.call('POST', path, { key: keys.admin, ...sent })
    expect({ status: got.status, code: got.problem.code }).toEqual({ status, code })
    expect(got.problem.errors.map((error) => error.field)).toContain(field)
    expect(got.problem.nextStep).not.toBe('')
    expect(got.headers.get('content-type')).toMatch(/^application\/problem\+json/)
    expect({ requests: await requests(), refusals: await refusals() }).toEqual({ requests: before.requests, refusals: before.refusals + 1 })
  })

  test('without a known principal there is no audit line either', async () => {
    const before = await refusals()
    const got = await api.call('POST', remediations, { body: scale({ action: 'drain_node' }) })
    const forged = await api.call('POST', remediations, { key: `aegis_00000000_${'A'.repeat(43)}`, body: scale() })
    expect([got.status, got.problem.code, forged.status, forged.problem.code]).toEqual([401, 'no_credential', 401, 'bad_credential'])
    expect(await refusals()).toBe(before)
  })

  test('the audit line names fields and never holds their values', async () => {
    await api.call('POST', remediations, { key: keys.user, body: { ...scale(), password: 'hunter2' } })
    const { rows } = await db.owner.raw(`select entry from ledger.audit_event where kind = 'request_refused' and entry like '%"password"%'`)
    expect(rows).toHaveLength(1)
    expect(rows[0].entry).not.toContain('hunter2')
  })

  test.each([
    ['a word for a number', '?limit=many', 'limit'],
    ['too large a page', '?limit=201', 'limit'],
    ['a parameter twice', '?limit=1&limit=2', 'limit'],
    ['an unknown parameter', '?sort=name;drop', 'sort'],
    ['an unknown outcome', '?outcome=fine', 'outcome'],
    ['a cursor we did not give', '?cursor=%27%20or%201=1', undefined],
  ])('a query with %s', async (_name, query, field) => {
    const got = await api.call('GET', remediations + query, { key: keys.user })
    expect(got.status).toBe(400)
    if (field !== undefined) expect(got.problem.errors.map((error) => error.field)).toContain(field)
  })
})

describe('who may do what', () => {
  // Written out here, so that a slip in the permissions shows as one cell.
  const everyone = ['admin', 'approver', 'auditor', 'service', 'user']
  const may: Record<string, string[]> = {
    'POST /api/v1/remediations': ['admin', 'approver', 'service', 'user'],
    'GET /api/v1/remediations': everyone,
    'GET /api/v1/remediations/:id': everyone,
    'POST /api/v1/remediations/:id/approve': ['admin', 'approver'],
    'POST /api/v1/remediations/:id/reject': ['admin', 'approver'],
    'POST /api/v1/remediations/:id/cancel': ['admin', 'approver'],
    'POST /api/v1/remediations/:id/break-glass': ['admin', 'approver'],
    'GET /api/v1/break-glass': ['admin', 'approver', 'auditor'],
    'POST /api/v1/break-glass/:answerId/review': ['admin', 'approver', 'auditor'],
    'GET /api/v1/delegations': ['admin', 'approver', 'auditor'],
    'POST /api/v1/delegations': ['admin', 'approver'],
    'DELETE /api/v1/delegations/:id': ['admin', 'approver'],
    'GET /api/v1/escalations': everyone,
    'PUT /api/v1/escalations/:group': ['admin'],
    'DELETE /api/v1/escalations/:group': ['admin'],
    'POST /executor/execute': ['admin', 'approver', 'service', 'user'],
    'POST /executor/generate-signature': ['admin', 'approver', 'service', 'user'],
    'POST /api/v1/alerts': ['admin', 'service'],
    'GET /api/v1/freeze': everyone,
    'POST /api/v1/freeze': ['admin', 'approver'],
    'DELETE /api/v1/freeze/:id': ['admin'],
    'GET /api/v1/freeze/windows': everyone,
    'POST /api/v1/freeze/windows': ['admin', 'approver'],
    'DELETE /api/v1/freeze/windows/:id': ['admin'],
    'GET /api/v1/breakers': everyone,
    'POST /api/v1/breakers/close': ['admin'],
    'POST /api/v1/claims/release': ['admin'],
    'GET /api/v1/autonomy': everyone,
    'POST /api/v1/autonomy/promote': ['admin'],
    'POST /api/v1/autonomy/demote': ['admin', 'approver'],
    'GET /audit/logs': ['admin', 'auditor'],
    'GET /audit/statistics': ['admin', 'auditor'],
    'POST /api/v1/policy/evaluate': everyone,
    'POST /api/v1/policy/simulate': ['admin', 'auditor'],
    'POST /api/v1/policy/test': ['admin', 'auditor'],
    'POST /api/v1/policy/lint': ['admin', 'auditor'],
    'GET /api/v1/policy': everyone,
    'GET /api/v1/policy/:id': everyone,
    'POST /api/v1/policy': ['admin'],
    'PUT /api/v1/policy/:id': ['admin'],
    'DELETE /api/v1/policy/:id': ['admin'],
    'POST /api/v1/policy/:id/rollback': ['admin'],
    'POST /api/v1/policy/apply': ['admin'],
    'GET /api/v1/policy/:id/exceptions': everyone,
    'GET /api/v1/policy/:id/trial': everyone,
    'GET /api/v1/policy-exceptions/:exceptionId': everyone,
    'POST /api/v1/policy/:id/exceptions': ['admin', 'approver'],
    'POST /api/v1/policy/exceptions/:exceptionId/approve': ['admin', 'approver'],
    'POST /api/v1/policy/exceptions/:exceptionId/revoke': ['admin', 'approver'],
    'GET /api/v1/policy-changes': everyone,
    'GET /api/v1/policy-changes/:changeId': everyone,
    'POST /api/v1/policy-changes/:changeId/agree': ['admin', 'approver'],
    'POST /api/v1/policy-changes/:changeId/withdraw': ['admin'],
    'GET /api/v1/policy/audit/logs': ['admin', 'auditor'],
    'GET /api/v1/policy/audit/snapshots': everyone,
    'GET /api/v1/policy/audit/sync': everyone,
    'POST /access/v1/evaluation': everyone,
    'POST /access/v1/evaluations': everyone,
    'POST /api/v1/keys': ['admin'],
    'GET /api/v1/keys': ['admin'],
    'DELETE /api/v1/keys/:id': ['admin'],
    'POST /api/v1/caller-keys': ['admin'],
    'GET /api/v1/caller-keys': ['admin'],
    'POST /api/v1/caller-keys/:id/activate': ['admin'],
    'POST /api/v1/caller-keys/:id/retire': ['admin'],
    'POST /api/v1/caller-keys/:id/revoke': ['admin'],
    'POST /api/v1/auth/signup': [...everyone, 'nobody'],
    'POST /api/v1/auth/login': [...everyone, 'nobody'],
    'POST /api/v1/auth/refresh': [...everyone, 'nobody'],
    'POST /api/v1/auth/logout': [...everyone, 'nobody'],
    'POST /api/v1/auth/reset': [...everyone, 'nobody'],
    'GET /api/v1/auth/oidc/start': [...everyone, 'nobody'],
    'GET /api/v1/auth/oidc/callback': [...everyone, 'nobody'],
    'GET /.well-known/jwks.json': [...everyone, 'nobody'],
    'GET /api/v1/auth/me': everyone,
    'GET /api/v1/auth/sessions': [],
    'DELETE /api/v1/auth/sessions': [],
    'DELETE /api/v1/auth/sessions/:id': [],
    'POST /api/v1/auth/password': everyone,
    'POST /api/v1/users': ['admin'],
    'GET /api/v1/users': ['admin', 'auditor'],
    'GET /api/v1/users/:id': ['admin', 'auditor'],
    'PUT /api/v1/users/:id': ['admin'],
    'POST /api/v1/users/:id/disable': ['admin'],
    'POST /api/v1/users/:id/enable': ['admin'],
    'POST /api/v1/users/:id/reset': ['admin'],
    'GET /health/config': ['admin'],
    'GET /api/v1/health': [...everyone, 'nobody'],
    'GET /api/v1/health/ping': [...everyone, 'nobody'],
    'GET /health': [...everyone, 'nobody'],
    'GET /metrics': [...everyone, 'nobody'],
    'GET /openapi.json': [...everyone, 'nobody'],
  }
  const cells = routes.flatMap(({ method, path }) => [...allRoles, 'nobody' as const].map((role) => [`${method.toUpperCase()} ${path}`, role] as const))

  test.each(cells)('%s as %s', async (name, role) => {
    const [method = '', path = ''] = name.split(' ')
    const allowed = may[name]?.includes(role)
    const before = await requests()
    // An empty body passes no schema but those of answers, whose remediation is not there.
    const sent = { ...(role === 'nobody' ? {} : { key: keys[role] }), ...(method === 'POST' || method === 'PUT' ? { body: {} } : {}) }
    const { status } = await api.call(method, path.replace(/:\w+/, randomUUID()), sent)
    if (allowed) expect([200, 400, 404, 410]).toContain(status)
    else expect(status).toBe(role === 'nobody' ? 401 : 403)
    expect(await requests()).toBe(before)
  })

  test('a refusal for lack of a permission is an audit line that says who', async () => {
    const { key, id } = await keyFor(db.api, ['user'], 'mallory')
    await api.call('GET', '/audit/logs', { key })
    expect(await count(`select count(*) from ledger.audit_event where kind = 'request_refused' and actor = ?`, [id])).toBe(1)
  })
})

describe('accepting', () => {
  test('a request is committed, answered with its id, and shown', async () => {
    const body = scale()
    const got = await api.call('POST', remediations, { key: keys.user, body })
    expect({ status: got.status, accepted: got.body['accepted'] }).toEqual({ status: 202, accepted: 'new' })
    const shown = await second.call('GET', String(got.body['url']), { key: keys.user })
    expect(shown.body).toMatchObject({
      id: got.body['id'], action: 'scale_deployment', target: { cluster: 'main', ...body.target }, parameters: { replicas: 4 },
      phase: 'accepted', outcome: null, requestReason: 'too slow', door: 'api', workflowId: got.body['id'],
    })
  })

  test('the executor enters by its own door into the same list', async () => {
    const params = { namespace: 'demo-a', podName: 'cart-1', cluster: 'edge' }
    const got = await api.call('POST', '/executor/execute', { key: keys.service, body: { actionType: 'restart_pod', actionParams: params } })
    expect(got.status).toBe(202)
    const listed = await api.call('GET', `${remediations}?namespace=demo-a&status=open`, { key: keys.auditor })
    expect(listed.body['items']).toEqual([expect.objectContaining({ id: got.body['id'], door: 'executor', action: 'restart_pod', target: { cluster: 'edge', namespace: 'demo-a', kind: 'Pod', name: 'cart-1' } })])
  })

  test('fifty double submits through two processes are one remediation', async () => {
    const body = scale()
    const before = await requests()
    const headers = { 'idempotency-key': randomUUID() }
    const all = await Promise.all(times(50, (index) => (index % 2 ? api : second).call('POST', remediations, { key: keys.user, body, headers })))
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([202]))
    expect(new Set(all.map((got) => got.body['id'])).size).toBe(1)
    expect(all.filter((got) => got.body['accepted'] === 'new')).toHaveLength(1)
    expect(await requests()).toBe(before + 1)
  })

  test('the same key with another body is a conflict, and another principal has keys of its own', async () => {
    const headers = { 'idempotency-key': randomUUID() }
    const body = scale()
    expect((await api.call('POST', remediations, { key: keys.user, body, headers })).status).toBe(202)
    const other = await api.call('POST', remediations, { key: keys.user, body: { ...body, parameters: { replicas: 5 } }, headers })
    expect([other.status, other.problem.code]).toEqual([409, 'idempotency_conflict'])
    expect((await api.call('POST', remediations, { key: keys.approver, body: scale(), headers })).body['accepted']).toBe('new')
  })

  test('pages follow each other without a gap', async () => {
    const namespace = 'demo-pages'
    const made = await Promise.all(times(7, () => api.call('POST', remediations, { key: keys.user, body: scale({ target: { namespace, kind: 'Deployment', name: `a-${randomUUID().slice(0, 8)}` } }) })))
    const seen: string[] = []
    let cursor = ''
    for (let page = 0; page < 4; page++) {
      const { body } = await api.call('GET', `${remediations}?namespace=${namespace}&limit=3${cursor}`, { key: keys.user })
      seen.push(...(body['items'] as { id: string }[]).map(({ id }) => id))
      const next = body['next'] as string | null
      if (next === null) break
      cursor = `&cursor=${encodeURIComponent(next)}`
    }
    expect([...seen].sort()).toEqual(made.map((got) => String(got.body['id'])).sort())
  })
})

describe('when PostgreSQL is away', () => {
  test('every call is answered 503 with Retry-After, nothing is started, and it works again afterwards', async () => {
    const { hostname, port } = new URL(db.urlOf('api'))
    const wire = await wireTo(hostname, Number(port))
    const throughWire = new URL(db.urlOf('api'))
    throughWire.port = String(wire.port)
    const pool = connectDatabase({ url: throughWire.href, applicationName: 'aegis-test', poolMax: 5 })
    const wired = await startApi({ db: pool, temporal: stack.temporal.address })
    expect((await wired.call('POST', remediations, { key: keys.user, body: scale() })).status).toBe(202)
    const before = await requests()

    wire.cut()
    for (const [method, path, body] of [['POST', remediations, scale()], ['POST', '/api/v1/freeze', { reason: 'x' }], ['GET', remediations, undefined]] as const) {
      const got = await wired.call(method, path, { key: keys.admin, ...(body ? { body } : {}) })
      expect({ status: got.status, retryAfter: got.headers.get('retry-after') }).toEqual({ status: 503, retryAfter: '5' })
      expect(JSON.stringify(got.body)).not.toMatch(/127\.0\.0\.1|aegis_api_login/)
    }
    const health = await wired.call('GET', '/api/v1/health')
    expect([health.status, health.body['status']]).toEqual([503, 'unavailable'])
    expect((await wired.call('GET', '/api/v1/health/ping')).status).toBe(200)
    expect(await requests()).toBe(before)

    wire.mend()
    expect((await wired.call('POST', remediations, { key: keys.user, body: scale() })).status).toBe(202)
    await wired.close()
    await pool.destroy()
    await wire.close()
  })
})

describe('when the reply to a commit is lost', () => {
  let proxy: PostgresProxy
  let shaky: Knex
  let door: TestApi
  beforeAll(async () => {
    const url = new URL(db.urlOf('api'))
    proxy = await startPostgresProxy({ to: url.host })
    url.host = proxy.address
    shaky = connectDatabase({ url: url.href, applicationName: 'aegis-test', poolMax: 2 })
    door = await startApi({ db: shaky, temporal: stack.temporal.address })
  })
  afterAll(async () => {
    await door.close()
    await shaky.destroy()
    await proxy.close()
  })

  /** The reply to the `nth` commit of a request from now on. */
  const loseReply = (nth = 1) => proxy.once({ sql: /insert into ledger\.request/, nth, phase: 'after_send' }, () => 'cut')

  test.each([
    ['a request without an Idempotency-Key', remediations, scale, {}],
    ['a request with one', remediations, scale, { 'idempotency-key': randomUUID() }],
    ['an executor call', '/executor/execute', () => ({ actionType: 'restart_pod', actionParams: { namespace: 'shop', podName: 'cart-1' } }), {}],
  ])('%s is one remediation, and its caller hears that it is new', async (_name, path, body, headers) => {
    const before = await requests()
    const lost = loseReply()
    const got = await door.call('POST', path, { key: keys.user, body: body(), headers })
    await lost
    expect({ status: got.status, accepted: got.body['accepted'] }).toEqual({ status: 202, accepted: 'new' })
    expect((await door.call('GET', String(got.body['url']), { key: keys.user })).body).toMatchObject({ id: got.body['id'], phase: 'accepted' })
    expect(await requests()).toBe(before + 1)
  })

  test('twice, the 503 promises nothing, and the same key finds what was stored', async () => {
    const before = await requests()
    const sent = { key: keys.user, body: scale(), headers: { 'idempotency-key': randomUUID() } }
    const lost = [loseReply(), loseReply(2)]
    const got = await door.call('POST', remediations, sent)
    expect(got.status).toBe(503)
    expect(got.problem.nextStep).toMatch(/may have.*look first.*same `Idempotency-Key`/)
    expect(await requests()).toBe(before + 1)
    const again = await door.call('POST', remediations, sent)
    expect({ status: again.status, accepted: again.body['accepted'] }).toEqual({ status: 202, accepted: 'known' })
    expect(await requests()).toBe(before + 1)
    await Promise.all(lost)
  })
})
