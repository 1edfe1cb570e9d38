/** S1: the 36 attacks on signed requests, over HTTP. Each has its code, leaves no request and no nonce, and is on record once. */
import { createHash, createSecretKey } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { retireCallerKey, revokeCallerKey } from '../../adapters/postgres/caller-keys.ts'
import { freshId } from '../../adapters/signing.ts'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { callerFor, plus, scaleTo, sendWire, signedWire, spoil, withBody, withDigest, type Caller, type Wire } from '../helpers/callers.ts'
import { stack } from '../helpers/stack.ts'
import { alice, decided, digest, openDatabase, times, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let replica: TestApi
/** An honest caller, another one, and one with a public key. */
let caller: Caller
let other: Caller
let paired: Caller

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address })
  replica = await startApi({ db: db.connect('api'), temporal: stack.temporal.address })
  caller = await callerFor(db.api)
  other = await callerFor(db.api)
  paired = await callerFor(db.api, { algorithm: 'ed25519' })
})
afterAll(async () => {
  await api.close()
  await replica.close()
  await db.close()
})

const count = async (sql: string): Promise<number> => Number((await db.owner.raw(`select count(*) from ${sql}`)).rows[0].count)
const look = async () => ({ requests: await count('ledger.request'), nonces: await count('ledger.caller_nonce'), entries: await count('ledger.audit_event') })
const nowS = async (): Promise<number> => Number((await db.owner.raw('select floor(extract(epoch from clock_timestamp())) as now')).rows[0].now)
const newestEntry = async () => JSON.parse((await db.owner.raw(`select entry from ledger.audit_event where stream like 'refused/%' order by seq desc limit 1`)).rows[0].entry) as { kind: string; actor: { id: string }; body: Record<string, unknown> }

const signed = () => signedWire(caller)
const replaced = (from: string, to: string): string => scaleTo(5).replace(from, () => to)
const signedBody = (body: string | Buffer) => signedWire(caller, { body })
const input = (change: (value: string) => string): Wire => spoil(signed(), 'Signature-Input', change)
const value = (change: (value: string) => string): Wire => spoil(signed(), 'Signature', change)
const byPublicKey = (): Wire => {
  // The oldest trick: the public key, which anybody may know, taken for a shared secret.
  const { keyId, secret } = paired
  return signedWire({ keyId, key: createSecretKey(createHash('sha256').update(secret).digest()) })
}

/** `entry`: what the ledger holds of it. `counted`: a number in the next summary, because it names no key of ours. */
type Attack = [name: string, wire: () => Wire | Promise<Wire>, status: number, code: string, record?: 'signature_refused' | 'request_refused' | 'counted']

const attacks: Attack[] = [
  ['1 no signature', () => ({ ...signed(), headers: [['Content-Type', 'application/json']] }), 401, 'no_credential', 'counted'],
  ['2 an empty signature', () => value(() => ''), 401, 'signature_empty'],
  ['2 a signature of no bytes', () => value(() => 'sig1=::'), 401, 'signature_empty'],
  ['3 hex instead of base64', () => value(() => `sig1=:${'ab'.repeat(32)}:`), 401, 'signature_length'],
  ['3 base64url instead of base64', () => value(() => `sig1=:${'-_'.repeat(21)}A=:`), 401, 'signature_encoding'],
  ['3 base64 with bits left over', () => value(() => `sig1=:${'A'.repeat(42)}B=:`), 401, 'signature_encoding'],
  ['4 a truncated MAC', () => value((text) => `${text.slice(0, 27)}=:`), 401, 'signature_length'],
  ['5 one bit of the body', () => withBody(signed(), replaced('cart', 'care')), 401, 'digest_mismatch'],
  ['5 one bit of the body, digest made to fit', () => withDigest(signed(), replaced('cart', 'care')), 401, 'signature_invalid'],
  ['6 another action', () => withDigest(signed(), replaced('scale_deployment', 'rollback_deployment').replace(',"replicas":5', '')), 401, 'signature_invalid'],
  ['7 another namespace', () => withDigest(signed(), replaced('shop', 'demo-a')), 401, 'signature_invalid'],
  ['8 another target', () => withDigest(signed(), replaced('cart', 'till')), 401, 'signature_invalid'],
  ['9 replicas 5 to 50', () => withBody(signed(), scaleTo(50)), 401, 'digest_mismatch'],
  ['9 replicas 5 to 50, digest made to fit', () => withDigest(signed(), scaleTo(50)), 401, 'signature_invalid'],
  ['10 replicas as a text', () => withBody(signed(), replaced(':5', ':"5"')), 401, 'digest_mismatch'],
  ['10 replicas as a text, signed', () => signedBody(replaced(':5', ':"5"')), 400, 'bad_request', 'request_refused'],
  ['11 a key twice', () => withBody(signed(), replaced(':5', ':5,"replicas":50')), 401, 'digest_mismatch'],
  ['11 a key twice, signed', () => signedBody(replaced(':5', ':5,"replicas":50')), 400, 'duplicate_key', 'request_refused'],
  ['12 keys in another order, stale digest', () => withBody(signed(), '{"actionParams":{"namespace":"shop","deploymentName":"cart","replicas":5},"actionType":"scale_deployment"}'), 401, 'digest_mismatch'],
  ['12 whitespace, stale digest', () => withBody(signed(), ` ${scaleTo(5)}`), 401, 'digest_mismatch'],
  ['13 the number as 5.0', () => withBody(signed(), replaced(':5', ':5.0')), 401, 'digest_mismatch'],
  ['13 the number as 5e0', () => withBody(signed(), replaced(':5', ':5e0')), 401, 'digest_mismatch'],
  ['13 an integer beyond what is exact, signed', () => signedBody(replaced(':5', ':9007199254740993')), 400, 'unsafe_number', 'request_refused'],
  ['14 a name as NFD', () => withBody(signed(), replaced('cart', 'ca\u0301rt')), 401, 'digest_mismatch'],
  ['14 a homoglyph, signed', () => signedBody(replaced('cart', 'c\u0430rt')), 400, 'bad_request', 'request_refused'],
  ['15 a field more', () => withBody(signed(), replaced(':5', ':5,"force":true')), 401, 'digest_mismatch'],
  ['15 a field more, signed', () => signedBody(replaced('{"actionType"', '{"requestedBy":"root","actionType"')), 400, 'bad_request', 'request_refused'],
  ['16 `__proto__`, signed', () => signedBody(replaced('{"actionType"', '{"__proto__":{},"actionType"')), 400, 'prototype_key', 'request_refused'],
  ['16 `constructor`, signed', () => signedBody(replaced('{"namespace"', '{"constructor":{},"namespace"')), 400, 'prototype_key', 'request_refused'],
  ['17 another method', () => ({ ...signed(), method: 'PUT' }), 405, 'method_not_allowed'],
  ['17 signed for another method', () => ({ ...signedWire(caller, { method: 'PUT' }), method: 'POST' }), 401, 'signature_invalid'],
  ['18 another path', () => ({ ...signed(), path: '/api/v1/remediations' }), 401, 'signature_invalid'],
  ['18 the path encoded', () => ({ ...signed(), path: '/executor/%65xecute' }), 404, 'no_route'],
  ['18 the path with dots', () => ({ ...signed(), path: '/executor/./execute' }), 404, 'no_route'],
  ['18 a path that takes no signatures', () => ({ ...signedWire(caller, { path: '/api/v1/freeze' }) }), 401, 'signature_not_taken'],
  ['19 a query', () => ({ ...signed(), path: '/executor/execute?dryRun=false' }), 401, 'signature_invalid'],
  ['20 signed for another installation', () => signedWire(caller, { audience: 'aegis-staging' }), 401, 'signature_audience'],
  ['20 and its audience made to fit', () => spoil(signedWire(caller, { audience: 'aegis-staging' }), 'Aegis-Audience', () => 'aegis-test'), 401, 'signature_invalid'],
  ['21 another tag', () => input((text) => text.replace('aegis-action-v1', 'aegis-alert-v1')), 401, 'signature_tag'],
  ['25 expired', async () => signedWire(caller, { createdS: (await nowS()) - 301 }), 401, 'signature_expired'],
  ['26 made in the future', async () => signedWire(caller, { createdS: (await nowS()) + 302 }), 401, 'signature_not_yet_valid'],
  ['27 good for too long', () => input((text) => text.replace(/expires=(\d+)/, (_all, at: string) => `expires=${Number(at) + 1}`)), 401, 'signature_lifetime'],
  ['28 an unknown key', () => signedWire({ ...caller, keyId: freshId() }), 401, 'signature_key_unknown', 'counted'],
  ['28 a key id that is none', () => signedWire({ ...caller, keyId: "1'or'1'='1" }), 401, 'signature_key_unknown', 'counted'],
  ['31 the key id of one caller with the secret of another', () => signedWire({ keyId: other.keyId, key: caller.key }), 401, 'signature_invalid'],
  ['32 the algorithm `none`', () => input((text) => text.replace('hmac-sha256', 'none')), 401, 'signature_algorithm'],
  ['32 a public key taken for a secret', byPublicKey, 401, 'signature_algorithm'],
  ['32 a private key in the name of a secret', () => signedWire({ keyId: caller.keyId, key: paired.key }), 401, 'signature_algorithm'],
  ['33 two `Signature` headers', () => plus(signed(), 'Signature', `sig1=:${'A'.repeat(43)}=:`), 401, 'signature_ambiguous'],
  ['33 two `Signature-Input` headers', () => plus(signed(), 'Signature-Input', 'sig1=();keyid="x"'), 401, 'signature_ambiguous'],
  ['33 two labels', () => spoil(input((text) => `${text}, ${text.replace('sig1', 'sig2')}`), 'Signature', (text) => `${text}, ${text.replace('sig1', 'sig2')}`), 401, 'signature_ambiguous'],
  ['33 a signature of another label', () => value((text) => text.replace('sig1', 'sig2')), 401, 'signature_ambiguous'],
  ['33 a header that is not covered', () => plus(signed(), 'Idempotency-Key', 'of-the-attacker'), 401, 'signature_coverage'],
  ['33 a component left out', () => input((text) => text.replace(' "@query"', '')), 401, 'signature_coverage'],
  ['33 a second digest', () => plus(signed(), 'Content-Digest', 'sha-256=:AAAA:'), 401, 'signature_ambiguous'],
  ['33 an API key beside it', () => plus(signed(), 'Authorization', `Bearer aegis_00000000_${'A'.repeat(43)}`), 401, 'two_credentials'],
  ['34 a compressed body', () => plus(signed(), 'Content-Encoding', 'gzip'), 415, 'unsupported_body', 'request_refused'],
  ['34 another charset', () => spoil(signed(), 'Content-Type', (type) => `${type}; charset=utf-16`), 415, 'unsupported_body', 'request_refused'],
  ['34 bytes that are no UTF-8, signed', () => signedBody(Buffer.from([0x7b, 0xff, 0x7d])), 400, 'bad_text', 'request_refused'],
]

describe('S1', () => {
  test.each(attacks)('%s', async (_name, wire, status, code, record = 'signature_refused') => {
    const sent = await wire()
    await api.deps.callers.refusals.flush()
    const before = await look()
    const got = await sendWire(api.url, sent)
    expect({ status: got.status, code: got.code }).toEqual({ status, code })
    expect(Object.keys(got.body).sort()).toEqual(['code', 'detail', 'errors', 'instance', 'nextStep', 'requestId', 'status', 'title', 'type'])
    expect(got.headers['www-authenticate']).toBe(status === 401 ? 'Bearer realm="aegis"' : undefined)
    if (record === 'counted') {
      expect(await look()).toEqual(before)
      await api.deps.callers.refusals.flush()
    }
    expect(await look()).toEqual({ ...before, entries: before.entries + 1 })
    const { kind, actor, body } = await newestEntry()
    expect(kind).toBe(record === 'counted' ? 'signatures_refused' : record)
    if (record === 'counted') return expect(body).toMatchObject({ counts: [{ code, count: 1 }] })
    expect(actor.id).toBe(record === 'request_refused' ? `caller:${caller.caller}` : 'aegis')
    expect(body).toMatchObject({ code, method: sent.method })
  })

  test('nothing of an attack stands in the way of the honest message', async () => {
    const honest = signed()
    for (const spoilt of [withBody(honest, scaleTo(50)), plus(honest, 'Content-Encoding', 'gzip'), { ...honest, method: 'PUT' }, spoil(honest, 'Signature', () => '')]) {
      expect((await sendWire(api.url, spoilt)).status).toBeGreaterThanOrEqual(400)
    }
    expect((await sendWire(api.url, honest)).status).toBe(202)
  })

  test('22 an exact replay is refused, and is on record', async () => {
    const wire = signed()
    expect((await sendWire(api.url, wire)).code).toBe('new')
    const before = await look()
    const got = await sendWire(api.url, wire)
    expect([got.status, got.code]).toEqual([409, 'nonce_used'])
    expect(await look()).toEqual({ ...before, entries: before.entries + 1 })
    expect(await newestEntry()).toMatchObject({ kind: 'request_refused', actor: { id: `caller:${caller.caller}` }, body: { code: 'nonce_used', signature: { keyId: caller.keyId } } })
  })

  test('22 a replay to the other route, or with an Idempotency-Key of its own, is refused too', async () => {
    const wire = signedWire(caller, { idempotencyKey: 'the-honest-one' })
    expect((await sendWire(api.url, wire)).code).toBe('new')
    expect((await sendWire(api.url, wire)).code).toBe('nonce_used')
    expect((await sendWire(api.url, spoil(wire, 'Idempotency-Key', () => 'another'))).code).toBe('signature_invalid')
  })

  test('23 of fifty at once, through two processes, one is accepted', async () => {
    const wire = signed()
    const before = await look()
    const got = await Promise.all(times(50, (index) => sendWire((index % 2 ? api : replica).url, wire)))
    expect(got.filter(({ status }) => status === 202)).toHaveLength(1)
    expect(got.filter(({ status, code }) => status === 409 && code === 'nonce_used')).toHaveLength(49)
    // The `requested` entry of the one, and one for each of the others.
    expect(await look()).toEqual({ requests: before.requests + 1, nonces: before.nonces + 1, entries: before.entries + 50 })
  }, 30_000)

  test('24 a replay on another replica, or after a restart, is refused', async () => {
    const wire = signed()
    expect((await sendWire(api.url, wire)).status).toBe(202)
    expect((await sendWire(replica.url, wire)).code).toBe('nonce_used')
    const restarted = await startApi({ db: db.connect('api'), temporal: stack.temporal.address })
    expect((await sendWire(restarted.url, wire)).code).toBe('nonce_used')
    await restarted.close()
  })

  test('29 a retiring key is taken inside its overlap and refused after it', async () => {
    const retiring = await callerFor(db.api)
    await retireCallerKey(db.api, retiring.keyId, 3_600, alice)
    expect((await sendWire(api.url, signedWire(retiring))).status).toBe(202)
    await retireCallerKey(db.api, retiring.keyId, 0, alice)
    const before = await look()
    const got = await sendWire(api.url, signedWire(retiring))
    expect([got.status, got.code]).toEqual([401, 'signature_key_retired'])
    expect(await look()).toEqual({ ...before, entries: before.entries + 1 })
    expect(await retireCallerKey(db.api, retiring.keyId, 3_600, alice)).toMatchObject({ state: 'retired' })
    expect((await sendWire(api.url, signedWire(retiring))).code).toBe('signature_key_retired')
  })

  test('30 a revoked key is refused from its next call on, and so is one that is not in use yet', async () => {
    const revoked = await callerFor(db.api)
    expect((await sendWire(api.url, signedWire(revoked))).status).toBe(202)
    await revokeCallerKey(db.api, revoked.keyId, alice)
    const before = await look()
    const got = await sendWire(replica.url, signedWire(revoked))
    expect([got.status, got.code]).toEqual([401, 'signature_key_revoked'])
    expect(await look()).toEqual({ ...before, entries: before.entries + 1 })
    expect(await newestEntry()).toMatchObject({ kind: 'signature_refused', body: { code: 'signature_key_revoked', keyId: revoked.keyId, caller: revoked.caller } })
    expect((await sendWire(api.url, signedWire(await callerFor(db.api, { pending: true })))).code).toBe('signature_key_pending')
  })

  test('35 a valid signature of a caller that lacks the role', async () => {
    const reader = await callerFor(db.api, { roles: ['auditor'] })
    const before = await look()
    const got = await sendWire(api.url, signedWire(reader))
    expect([got.status, got.code]).toEqual([403, 'not_permitted'])
    expect(await look()).toEqual({ ...before, entries: before.entries + 1 })
  })

  test.each([
    ['an action', { actions: ['restart_pod' as const] }, 'key_not_for_action'],
    ['a namespace', { namespaces: ['edge/shop', 'bank'] }, 'key_not_for_namespace'],
    ['so many replicas', { maxReplicas: 4 }, 'key_not_for_replicas'],
  ])('35 a valid signature of a key that is not good for %s', async (_name, over, code) => {
    const bounded = await callerFor(db.api, over)
    const before = await look()
    const got = await sendWire(api.url, signedWire(bounded))
    expect([got.status, got.code]).toEqual([403, code])
    expect(await look()).toEqual({ ...before, entries: before.entries + 1 })
  })

  test('35 whoever stands behind the caller cannot approve what it asked for', async () => {
    const mine = await callerFor(db.api, { owner: 'ann' })
    const asked = await sendWire(api.url, signedWire(mine))
    const { id } = await decided(db, { proceed: 'ask', principal: { id: `caller:${mine.caller}`, kind: 'service', owner: 'ann', roles: ['service'] } })
    expect((await api.call('GET', String(asked.body['url']), { key: (await keyFor(db.api, ['auditor'])).key })).status).toBe(200)
    const got = await api.call('POST', `/api/v1/remediations/${id}/approve`, { key: (await keyFor(db.api, ['approver'], 'ann')).key, body: { planDigest: digest } })
    expect([got.status, got.problem.code]).toEqual([403, 'own_request'])
    expect(await count(`ledger.audit_event where stream = '${id}' and kind = 'answer_refused'`)).toBe(1)
    expect(await count(`ledger.answer where id = '${id}'`)).toBe(0)
  })

  test('36 an approval of plan v1 is none of plan v2', async () => {
    const { id } = await decided(db, { proceed: 'ask' })
    const first = `sha256:${'1'.repeat(64)}`
    const got = await api.call('POST', `/api/v1/remediations/${id}/approve`, { key: (await keyFor(db.api, ['approver'], 'eve')).key, body: { planDigest: first } })
    expect([got.status, got.problem.code]).toEqual([409, 'other_digest'])
    expect(await count(`ledger.audit_event where stream = '${id}' and kind = 'answer_refused'`)).toBe(1)
    expect(await count(`ledger.answer where id = '${id}'`)).toBe(0)
  })

  test('each of the 36 is here', () => {
    const apart = [22, 23, 24, 29, 30, 35, 36]
    const there = new Set([...attacks.map(([name]) => Number.parseInt(name, 10)), ...apart])
    expect([...there].sort((a, b) => a - b)).toEqual(times(36, (index) => index + 1))
  })
})
