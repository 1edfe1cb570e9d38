import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomBytes, randomUUID } from 'node:crypto'
import { closeRemediation } from '../../adapters/postgres/close.ts'
import type { Principal } from '../../domain/remediation.ts'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { stack } from '../helpers/stack.ts'
import { decided, digest, freshId, openDatabase, times, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
/** Its Temporal is not there. */
let alone: TestApi
let admin: { key: string; id: string; owner: string }
let user: { key: string; id: string; owner: string }
let approver: { key: string; id: string; owner: string }
let service: { key: string; id: string; owner: string }
const logged: string[] = []

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address, log: (line) => void logged.push(line) })
  alone = await startApi({ db: db.api, temporal: '127.0.0.1:1' })
  admin = await keyFor(db.api, ['admin'], 'root')
  user = await keyFor(db.api, ['user'], 'ann')
  approver = await keyFor(db.api, ['approver'], 'ben')
  service = await keyFor(db.api, ['service'], 'alertmanager')
})
afterAll(async () => {
  await api.close()
  await alone.close()
  await db.close()
})

const remediations = '/api/v1/remediations'
const principal = (of: { id: string; owner: string }): Principal => ({ id: of.id, kind: 'key', owner: of.owner, roles: ['user'] })
const requests = async () => Number((await db.owner.raw('select count(*) from ledger.request')).rows[0].count)

/** A remediation of ann's that waits for an approval. */
const waiting = async (by = user) => (await decided(db, { proceed: 'ask', principal: principal(by), answerBy: new Date(Date.now() + 60_000), target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: `a-${randomUUID().slice(0, 8)}` } })).id
const answer = (id: string, verb: string, key: string, body: object = {}, on = alone) => on.call('POST', `${remediations}/${id}/${verb}`, { key, body })

describe('answers', () => {
  test('an approval names the plan, is committed and shown; with Temporal away it is recorded for the relay', async () => {
    const id = await waiting()
    const begun = performance.now()
    const got = await answer(id, 'approve', approver.key, { planDigest: digest, comment: 'looked at it' })
    expect([got.status, got.body['state']]).toEqual([202, 'recorded'])
    expect(performance.now() - begun).toBeLessThan(4_000)
    const { body } = await api.call('GET', `${remediations}/${id}`, { key: user.key })
    expect(body['answers']).toEqual([expect.objectContaining({ kind: 'approve', owner: 'ben', planDigest: digest, comment: 'looked at it', deliveredAt: null })])
    expect(body['plan']).toMatchObject({ digest, plan: { action: 'scale_deployment', replicas: { from: 2, to: 4 } } })
  })

  test('whoever asked cannot approve, nor can another key of the same owner', async () => {
    const own = await keyFor(db.api, ['approver'], 'ann')
    const got = await answer(await waiting(), 'approve', own.key, { planDigest: digest })
    expect([got.status, got.problem.code]).toEqual([403, 'own_request'])
  })

  test('a plan that changed meanwhile is not the one approved', async () => {
    const got = await answer(await waiting(), 'approve', approver.key, { planDigest: `sha256:${'0'.repeat(64)}` })
    expect([got.status, got.problem.code]).toEqual([409, 'other_digest'])
  })

  test('what is not waiting, has ended or is not there says so', async () => {
    const { id } = await decided(db, { target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'not-waiting' } })
    expect((await answer(id, 'approve', approver.key, { planDigest: digest })).problem.code).toBe('not_waiting')
    await closeRemediation(db.decision, { id, ending: { outcome: 'blocked', reason: 'test', message: 'ended', verdict: null }, source: 'workflow', runId: `run-${id}`, firstRunId: null, newId: freshId })
    const closed = await answer(id, 'cancel', approver.key)
    expect([closed.status, closed.problem.code]).toEqual([409, 'closed'])
    const missing = await answer(randomUUID(), 'reject', approver.key)
    expect([missing.status, missing.problem.code]).toEqual([404, 'no_such_remediation'])
    const shown = await api.call('GET', `${remediations}/${id}`, { key: user.key })
    expect(shown.body).toMatchObject({ phase: 'closed', outcome: 'blocked', reason: 'test', message: 'ended' })
  })

  test('a rejection and a cancel need no body', async () => {
    const rejected = await alone.call('POST', `${remediations}/${await waiting()}/reject`, { key: approver.key })
    const cancelled = await alone.call('POST', `${remediations}/${await waiting()}/cancel`, { key: approver.key })
    expect([rejected.status, cancelled.status]).toEqual([202, 202])
  })

  test('a refused answer is an entry of the remediation it was meant for', async () => {
    const own = await keyFor(db.api, ['approver'], 'ann')
    const id = await waiting()
    await answer(id, 'approve', own.key, { planDigest: digest })
    const { body } = await api.call('GET', `/audit/logs?stream=${id}`, { key: admin.key })
    expect(JSON.stringify(body['items'])).toContain('own_request')
    expect((await api.call('GET', `/audit/logs?kind=request_refused&limit=200`, { key: admin.key })).body['items']).not.toContainEqual(expect.objectContaining({ actor: own.id }))
  })

  test("the engine's whole explanation is for those who may read the audit", async () => {
    const id = await waiting()
    const seenBy = async (key: string) => ((await api.call('GET', `${remediations}/${id}`, { key })).body['decision'] as { code: string; explanation: object | null })
    expect(await seenBy(user.key)).toMatchObject({ code: 'allowed', explanation: null })
    expect((await seenBy(admin.key)).explanation).toMatchObject({ snapshot: 'sha256:s' })
  })
})

const fingerprint = () => randomBytes(8).toString('hex')
const alert = (changes: object = {}, labels: object = {}) => ({
  status: 'firing', labels: { alertname: 'HighRequestLatency', namespace: 'shop', deployment: 'cart', severity: 'critical', ...labels }, annotations: { summary: 'slow' },
  startsAt: new Date(Date.now() - 600_000).toISOString(), endsAt: '0001-01-01T00:00:00Z', generatorURL: 'http://prometheus', fingerprint: fingerprint(), ...changes,
})
const webhook = (...alerts: unknown[]) => ({ version: '4', groupKey: 'g', truncatedAlerts: 0, status: 'firing', receiver: 'aegis', groupLabels: {}, commonLabels: {}, commonAnnotations: {}, externalURL: '', alerts })
const send = async (...alerts: unknown[]) => {
  const got = await api.call('POST', '/api/v1/alerts', { key: service.key, body: webhook(...alerts) })
  expect(got.status).toBe(202)
  return got.body['results'] as { fingerprint?: string; result: string; id?: string; reason: string }[]
}

describe('alerts', () => {
  test('a firing alert becomes a remediation by its rule; sent again, it is known', async () => {
    const one = alert({}, { deployment: 'first' })
    const [first] = await send(one)
    expect(first).toMatchObject({ result: 'accepted', id: expect.any(String) })
    expect(await send(one)).toEqual([expect.objectContaining({ result: 'known', id: first?.id })])
    const { body } = await api.call('GET', `${remediations}/${first?.id}`, { key: user.key })
    expect(body).toMatchObject({ door: 'alert', action: 'scale_deployment', severity: 'critical', target: { namespace: 'shop', name: 'first' }, requestReason: 'alert HighRequestLatency: slow', incident: { fingerprint: one.fingerprint } })
  })

  test('a group is answered alert by alert, in its order', async () => {
    const results = await send(
      alert({}, { deployment: 'second' }),
      alert({}, { alertname: 'NobodyWroteARuleForThis' }),
      alert({}, { namespace: 'bank' }),
      alert({}, { namespace: 'kube-system' }),
      alert({}, { deployment: '../../etc' }),
      alert({ status: 'resolved' }, { deployment: 'never-seen' }),
      alert({}, { deployment: 'second', pod: 'another-series' }),
    )
    expect(results.map(({ result }) => result)).toEqual(['accepted', 'unmatched', 'refused', 'refused', 'unmatched', 'resolved', 'known'])
    expect(results[6]?.id).toBe(results[0]?.id)
  })

  test('an alert that cannot be read is refused by itself, and stops no other', async () => {
    const long = 'x'.repeat(10_000)
    const good = alert({ generatorURL: long, annotations: { summary: 'slow', runbook: long } }, { deployment: 'beside-odd-ones' })
    const nameless = alert({ labels: { namespace: 'shop' } })
    const results = await send(nameless, alert({}, { note: long }), alert({ startsAt: '0001-01-01T00:00:00+01:00' }), alert({ fingerprint: '?' }), 'text', good)
    expect(results.map(({ result }) => result)).toEqual(['refused', 'refused', 'refused', 'refused', 'refused', 'accepted'])
    const fields = ['`labels.alertname`', '`labels.note`', '`startsAt`', '`fingerprint`', 'the alert']
    for (const [index, field] of fields.entries()) expect(results[index]?.reason).toContain(`unreadable: ${field}: `)
    expect([results[0]?.fingerprint, results[3]?.fingerprint]).toEqual([nameless.fingerprint, undefined])
  })

  test('a body of nothing but unreadable alerts is answered alert by alert, a broken envelope as a whole', async () => {
    expect(await send({}, {})).toEqual([expect.objectContaining({ result: 'refused' }), expect.objectContaining({ result: 'refused' })])
    const broken = await api.call('POST', '/api/v1/alerts', { key: service.key, body: { ...webhook(alert()), version: '5' } })
    expect([broken.status, broken.problem.errors[0]?.field]).toEqual([400, 'version'])
  })

  test('a thousand ordinary alerts fit into one body, and a larger body than 2 MiB does not', async () => {
    const ordinary = times(1000, (index) => alert({ annotations: { summary: 'slow', description: 'x'.repeat(300) } }, { namespace: 'bank', pod: `stormy-${index}` }))
    expect(JSON.stringify(ordinary).length).toBeGreaterThan(600_000)
    expect((await send(...ordinary)).filter(({ result }) => result === 'refused')).toHaveLength(1000)
    const huge = await api.call('POST', '/api/v1/alerts', { key: service.key, body: webhook(alert({ annotations: { summary: 'x'.repeat(2 * 1024 * 1024) } })) })
    expect([huge.status, huge.problem.code]).toEqual([413, 'body_too_large'])
  })

  test('five hundred alerts about one deployment are one remediation, and cheap', async () => {
    const storm = times(500, (index) => alert({ annotations: {}, generatorURL: '' }, { deployment: 'stormy', pod: `stormy-${index}` }))
    const before = await requests()
    const begun = performance.now()
    const results = await send(...storm)
    const tookMs = performance.now() - begun
    expect(new Set(results.map(({ id }) => id)).size).toBe(1)
    expect(results.filter(({ result }) => result === 'accepted')).toHaveLength(1)
    expect(await requests()).toBe(before + 1)
    console.info(`500 alerts for one target: ${Math.round(tookMs)} ms`)
    expect(tookMs).toBeLessThan(15_000)
  })

  test('an alert that resolves ends the wait of its remediation', async () => {
    const one = alert({}, { deployment: 'third' })
    const [first] = await send(one)
    const [resolved] = await send({ ...one, status: 'resolved', endsAt: new Date().toISOString() })
    expect(resolved).toMatchObject({ result: 'resolved', id: first?.id })
  })
})

describe('stopping', () => {
  test('a freeze holds from its answer on, is one per scope, and is lifted by an admin', async () => {
    const body = { scope: { namespace: 'shop' }, reason: 'big sale' }
    const made = await api.call('POST', '/api/v1/freeze', { key: approver.key, body })
    const again = await api.call('POST', '/api/v1/freeze', { key: approver.key, body })
    expect([made.status, again.status, again.body['freezeId']]).toEqual([201, 200, made.body['freezeId']])
    const listed = await api.call('GET', '/api/v1/freeze', { key: user.key })
    expect(listed.body['items']).toEqual([expect.objectContaining({ scope: { namespace: 'shop' }, reason: 'big sale' })])
    expect((await api.call('DELETE', `/api/v1/freeze/${made.body['freezeId']}`, { key: admin.key })).body).toMatchObject({ lifted: true, freeze: { clusters: [{ name: 'main', state: 'applied' }, { name: 'edge', state: 'applied' }] } })
    expect((await api.call('DELETE', `/api/v1/freeze/${made.body['freezeId']}`, { key: admin.key })).problem.code).toBe('no_such_freeze')
  })

  test('a freeze of a policy that is not in force would freeze nothing, so it is refused', async () => {
    const got = await api.call('POST', '/api/v1/freeze', { key: admin.key, body: { scope: { policy: 'typo' }, reason: 'typo' } })
    expect([got.status, got.problem.code]).toEqual([400, 'unknown_policy'])
  })

  test('a freeze of a cluster nobody configured would freeze nothing, so it is refused', async () => {
    const got = await api.call('POST', '/api/v1/freeze', { key: admin.key, body: { scope: { cluster: 'maim' }, reason: 'typo' } })
    expect([got.status, got.problem.errors[0]?.field]).toEqual([400, 'scope.cluster'])
  })

  test('releasing what is not kept says so', async () => {
    const got = await api.call('POST', '/api/v1/claims/release', { key: admin.key, body: { workload: { namespace: 'shop', kind: 'Deployment', name: 'free' } } })
    expect([got.status, got.problem.code]).toEqual([404, 'no_such_claim'])
  })
})

describe('keys', () => {
  test('a key works at once, is shown once, and ends at once when revoked', async () => {
    const made = await api.call('POST', '/api/v1/keys', { key: admin.key, body: { name: 'ci', owner: 'ann@example.org', roles: ['user', 'user'] } })
    const key = String(made.body['key'])
    expect(made.status).toBe(201)
    expect(made.body['roles']).toEqual(['user'])
    expect((await api.call('GET', '/api/v1/freeze', { key })).status).toBe(200)
    const secret = key.split('_').slice(2).join('_')
    const listed = await api.call('GET', '/api/v1/keys', { key: admin.key })
    expect(JSON.stringify(listed.body)).toContain(String(made.body['prefix']))
    const stored = (await db.owner.raw('select coalesce(string_agg(entry, $$ $$), $$$$) as text from ledger.audit_event')).rows[0].text as string
    const rows = JSON.stringify((await db.owner.raw('select * from control.api_key')).rows)
    for (const place of [JSON.stringify(listed.body), stored, rows, logged.join('')]) expect(place).not.toContain(secret)
    expect((await api.call('DELETE', `/api/v1/keys/${made.body['keyId']}`, { key: admin.key })).status).toBe(200)
    expect((await api.call('GET', '/api/v1/freeze', { key })).problem.code).toBe('bad_credential')
  })

  test('an expired key is no key', async () => {
    const { key, id } = await keyFor(db.api, ['admin'], 'late')
    await db.owner.raw(`update control.api_key set expires_at = now() - interval '1 second' where key_id = ?`, [id.replace('key:', '')])
    expect((await api.call('GET', '/api/v1/freeze', { key })).status).toBe(401)
  })
})

describe('policy', () => {
  const asked = { action: 'deployment:scale', resource: 'k8s:main/shop/deployment/cart', context: { severity: 'high' }, request: { replicas: 4, deltaReplicas: 2, percentOfReady: 0 } }

  test('it answers for the caller, whoever the body says', async () => {
    const got = await api.call('POST', '/api/v1/policy/evaluate', { key: user.key, body: { ...asked, context: { severity: 'high', principal: { roles: ['admin'] } } } })
    expect(got.body).toMatchObject({ allowed: expect.any(Boolean), effect: expect.any(String), snapshot: expect.stringMatching(/^sha256:/), decision: null })
    const whole = await api.call('POST', '/api/v1/policy/evaluate', { key: admin.key, body: asked })
    expect(whole.body['decision']).toMatchObject({ snapshot: whole.body['snapshot'], tzdata: expect.any(String), policies: expect.any(Number) })
  })

  test('what no policy mentions is denied', async () => {
    const got = await api.call('POST', '/api/v1/policy/evaluate', { key: user.key, body: { ...asked, action: 'node:drain' } })
    expect(got.body).toMatchObject({ allowed: false, effect: 'deny', code: 'no_policy_matched' })
  })

  test('what is in force is listed by content hash', async () => {
    const { body } = await api.call('GET', '/api/v1/policy', { key: user.key })
    expect((body['items'] as { hash: string; cel: string }[]).every(({ hash, cel }) => /^sha256:[0-9a-f]{64}$/.test(hash) && cel !== '')).toBe(true)
    expect(body).toMatchObject({ stale: false, error: null })
  })
})

describe('looking', () => {
  test('health says which part is away, and that requests are still taken', async () => {
    expect((await api.call('GET', '/api/v1/health')).body).toMatchObject({ database: { ok: true }, temporal: { ok: true } })
    const degraded = await alone.call('GET', '/health')
    expect(degraded).toMatchObject({ status: 200, body: { status: 'degraded', temporal: { ok: false }, decision: { ok: false }, execution: { ok: false } } })
  })

  test('settings hold nothing secret', async () => {
    const { body } = await api.call('GET', '/health/config', { key: admin.key })
    expect(JSON.stringify(body)).not.toMatch(/postgres|password|aegis_api_login/)
  })

  test('statistics and the audit of a day', async () => {
    const { body } = await api.call('GET', '/audit/statistics', { key: admin.key })
    expect(body['total']).toBeGreaterThan(0)
    const logs = await api.call('GET', `/audit/logs?actionType=scale_deployment&namespace=shop&from=${new Date(Date.now() - 60_000).toISOString()}&limit=5`, { key: admin.key })
    expect(logs.body['items']).toHaveLength(5)
    const backwards = await api.call('GET', '/audit/statistics?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z', { key: admin.key })
    expect(backwards.problem.errors[0]?.field).toBe('to')
  })

  test('no endpoint signs, and it says how signing works', async () => {
    const got = await api.call('POST', '/executor/generate-signature', { key: user.key, body: { anything: 1 } })
    expect([got.status, got.problem.code, got.problem.nextStep]).toEqual([410, 'no_signing_over_http', expect.stringContaining('/executor/execute')])
  })

  test('every answer carries its request id, the caller\'s own where it is harmless', async () => {
    const own = await api.call('GET', '/nowhere', { headers: { 'x-request-id': 'trace-42' } })
    expect([own.status, own.problem.code, own.problem.requestId, own.headers.get('x-request-id')]).toEqual([404, 'no_route', 'trace-42', 'trace-42'])
    const hostile = await api.call('GET', '/nowhere', { headers: { 'x-request-id': '{"a":"b"}' } })
    expect(hostile.problem.requestId).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('another method is told which one to use; a broken path is no failure of ours', async () => {
    const other = await api.call('PUT', '/api/v1/freeze', { key: admin.key })
    expect([other.status, other.headers.get('allow')]).toEqual([405, 'GET, POST'])
    expect((await api.call('GET', `${remediations}/%E0%A4%A`, { key: user.key })).status).toBe(400)
  })

  test('answers cannot be framed, sniffed or cached, and say nothing of what serves them', async () => {
    const { headers } = await api.call('GET', '/api/v1/health/ping')
    expect(Object.fromEntries(['x-content-type-options', 'cache-control', 'x-powered-by'].map((name) => [name, headers.get(name)]))).toEqual({
      'x-content-type-options': 'nosniff', 'cache-control': 'no-store', 'x-powered-by': null,
    })
    expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
  })

  test('figures count by route, not by id', async () => {
    await api.call('GET', `${remediations}/${randomUUID()}`, { key: user.key })
    const { body } = await api.call('GET', '/metrics')
    const lines = String(body['text']).split('\n')
    const counted = (...parts: string[]) => lines.filter((line) => parts.every((part) => line.includes(part)))
    expect(counted('aegis_http_request_duration_seconds_count', 'route="/api/v1/remediations/:id"', 'status="404"')).toHaveLength(1)
    expect(counted('aegis_alerts_total', 'result="accepted"')).toHaveLength(1)
    expect(String(body['text'])).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-7/)
  })
})
