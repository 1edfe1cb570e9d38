/** Keys of callers over HTTP: their lives (S3), what is shown of them (S4), and whose clock counts (S5). S1 is in signatures.test.ts. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { revokeCallerKey } from '../../adapters/postgres/caller-keys.ts'
import { connectDatabase } from '../../adapters/postgres/connect.ts'
import { forgetNonces } from '../../adapters/postgres/nonces.ts'
import { acceptRequest } from '../../adapters/postgres/requests.ts'
import { systemActor } from '../../adapters/postgres/ledger.ts'
import { changeUser } from '../../adapters/postgres/users.ts'
import { signatureRefusals } from '../../api/signature-refusals.ts'
import { callerKey, type CallerKey } from '../../cli/signing.ts'
import { startPostgresProxy } from '../../sandbox/faults/postgres-proxy.ts'
import { routes } from '../../api/routes.ts'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { callerFor, scaleTo, sendWire, signedWire, spoil, withBody, type Caller, type Wire } from '../helpers/callers.ts'
import { playsAll, seed } from '../helpers/draw.ts'
import { personWith } from '../helpers/people.ts'
import { eventually, stack } from '../helpers/stack.ts'
import { alice, draftOf, freshId, openDatabase, times, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let replica: TestApi
let admin: string

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address })
  replica = await startApi({ db: db.connect('api'), temporal: stack.temporal.address })
  admin = (await keyFor(db.api, ['admin'])).key
})
afterAll(async () => {
  await api.close()
  await replica.close()
  await db.close()
})

const keys = '/api/v1/caller-keys'
const count = async (sql: string, values: string[] = []): Promise<number> => Number((await db.owner.raw(`select count(*) from ${sql}`, values)).rows[0].count)
const usesOf = (keyId: string) => count(`ledger.audit_event where kind in ('requested', 'caller_key_used') and entry::jsonb #>> '{body,signature,keyId}' = ?`, [keyId])
const wanted = (over: object = {}) => ({ caller: 'shop-autoscaler', owner: 'ann', actions: ['scale_deployment'], namespaces: ['shop'], maxReplicas: 10, ...over })
const send = (wire: Wire) => sendWire(api.url, wire)

type Made = { keyId: string; secret: string; state: string }
async function made(over: object = {}): Promise<Made> {
  const { status, body } = await api.call('POST', keys, { key: admin, body: wanted(over) })
  expect(status).toBe(201)
  return body as Made
}
const step = (keyId: string, what: string, body: object = {}) => api.call('POST', `${keys}/${keyId}/${what}`, { key: admin, body })

describe('the life of a key', () => {
  test('pending, active, retiring, revoked; each step is on record, and its requests are its owner’s', async () => {
    const { keyId, secret, state } = await made()
    const key = callerKey(keyId, secret)
    expect(state).toBe('pending')
    expect((await send(signedWire(key))).code).toBe('signature_key_pending')
    expect((await step(keyId, 'activate')).body['state']).toBe('active')
    const got = await send(signedWire(key))
    expect([got.status, got.code]).toEqual([202, 'new'])
    const stored = (await db.owner.raw('select principal, owner from ledger.request where id = ?', [String(got.body['id'])])).rows[0]
    expect(stored).toEqual({ principal: { id: 'caller:shop-autoscaler', kind: 'service', owner: 'ann', roles: ['service'], bindings: [{ role: 'service', cluster: null, namespace: null }], groups: [] }, owner: 'ann' })
    expect((await step(keyId, 'retire')).body['state']).toBe('retiring')
    expect((await send(signedWire(key))).status).toBe(202)
    expect((await step(keyId, 'revoke')).body['state']).toBe('revoked')
    expect((await send(signedWire(key))).code).toBe('signature_key_revoked')
    for (const what of ['activate', 'retire', 'revoke']) expect((await step(keyId, what)).problem.code).toBe('no_such_key')
    const { rows } = await db.owner.raw(`select kind from ledger.audit_event where stream = 'caller-keys' and entry::jsonb #>> '{body,keyId}' = ? order by seq`, [keyId])
    expect(rows.map(({ kind }: { kind: string }) => kind)).toEqual(['caller_key_created', 'caller_key_activated', 'caller_key_retiring', 'caller_key_revoked'])
    expect(await usesOf(keyId)).toBe(2)
  })

  test('an overlap is 24 h unless said otherwise, and can only be cut short', async () => {
    const { keyId } = await made()
    await step(keyId, 'activate')
    const endsAt = async (body: object) => Date.parse(String((await step(keyId, 'retire', body)).body['retiresAt'])) - Date.now()
    expect(Math.abs((await endsAt({})) - 86_400_000)).toBeLessThan(60_000)
    expect(Math.abs((await endsAt({ overlapSeconds: 604_800 })) - 86_400_000)).toBeLessThan(60_000)
    expect(Math.abs((await endsAt({ overlapSeconds: 60 })) - 60_000)).toBeLessThan(30_000)
  })

  test.each([
    ['active again after it was revoked', `update control.caller_key set state = 'active' where key_id = ?`],
    ['pending again', `update control.caller_key set state = 'pending' where key_id = ?`],
  ])('not even the owner of the tables makes a key %s', async (_name, sql) => {
    const { keyId } = await callerFor(db.api)
    await revokeCallerKey(db.api, keyId, alice)
    await expect(db.owner.raw(sql, [keyId])).rejects.toMatchObject({ code: 'AE006' })
  })

  test('a caller with a public key shares no secret', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const { keyId, secret } = await made({ publicKey: publicKey.export({ type: 'spki', format: 'pem' }) })
    expect(secret).toBeNull()
    await step(keyId, 'activate')
    expect((await send(signedWire({ keyId, key: privateKey }))).status).toBe(202)
    const refused = await api.call('POST', keys, { key: admin, body: wanted({ publicKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }) })
    expect([refused.status, refused.problem.code]).toEqual([400, 'bad_request'])
  })

  test.each([
    ['no actions', { actions: [] }, 'actions'],
    ['no namespaces', { namespaces: [] }, 'namespaces[0]'],
    ['a namespace with a star inside', { namespaces: ['a*b'] }, 'namespaces[0]'],
    ['a caller that is no name', { caller: 'A b' }, 'caller'],
    ['no owner', { owner: undefined }, 'owner'],
    ['a secret of its own', { secret: 'aegis_caller_x' }, 'secret'],
  ])('no key is made with %s', async (_name, over, field) => {
    const got = await api.call('POST', keys, { key: admin, body: wanted(over) })
    expect(got.status).toBe(400)
    expect(got.problem.errors.map((error) => error.field.replace(/\[0\]$/, ''))).toContain(field.replace(/\[0\]$/, ''))
  })
})

test('a caller has one owner, however that is spelt', async () => {
  await made({ caller: 'of-ann', owner: 'ann' })
  expect(await made({ caller: 'of-ann', owner: 'Ann' })).toMatchObject({ owner: 'ann' })
  const got = await api.call('POST', keys, { key: admin, body: wanted({ caller: 'of-ann', owner: 'bob' }) })
  expect([got.status, got.problem.code]).toEqual([409, 'caller_of_another'])
})

test('a caller whose owner is disabled is refused, from its next call on', async () => {
  const person = await personWith(db.api, [])
  const by = await callerFor(db.api, { owner: person.username })
  expect((await send(signedWire(by))).status).toBe(202)
  await changeUser(db.api, person.userId, { state: 'disabled' }, systemActor)
  expect(await send(signedWire(by))).toMatchObject({ status: 401, code: 'signature_key_revoked' })
})

test('`POST /api/v1/remediations` takes signatures as `/executor/execute` does', async () => {
  const caller = await callerFor(db.api)
  const body = JSON.stringify({ action: 'restart_pod', target: { cluster: 'edge', namespace: 'demo-a', kind: 'Pod', name: 'cart-1' } })
  const wire = signedWire(caller, { path: '/api/v1/remediations', body })
  expect((await send(wire)).code).toBe('new')
  expect((await send(wire)).code).toBe('nonce_used')
})

test('a key that is revoked, or a signature that expires, while its body comes slowly is refused', async () => {
  const caller = await callerFor(db.api)
  const wire = signedWire(caller)
  const slow = sendWire(api.url, wire, { pauseMs: 1_500 })
  await sleep(300)
  await revokeCallerKey(db.api, caller.keyId, alice)
  expect((await slow).code).toBe('signature_key_revoked')
  const other = await callerFor(db.api)
  expect((await sendWire(api.url, signedWire(other, { lifeS: 1 }), { pauseMs: 2_100 })).code).toBe('signature_expired')
  expect((await sendWire(api.url, signedWire(other), { pauseMs: 1_200 })).code).toBe('new')
}, 30_000)

describe('the same request', () => {
  test('under its Idempotency-Key with a fresh signature is known, and that use is on record too', async () => {
    const caller = await callerFor(db.api)
    const once = await send(signedWire(caller, { idempotencyKey: 'night-1' }))
    const again = await send(signedWire(caller, { idempotencyKey: 'night-1' }))
    expect([once.code, again.code]).toEqual(['new', 'known'])
    expect(again.body['id']).toBe(once.body['id'])
    expect(await usesOf(caller.keyId)).toBe(2)
    const other = await send(signedWire(caller, { idempotencyKey: 'night-1', body: scaleTo(6) }))
    expect([other.status, other.code]).toEqual([409, 'idempotency_conflict'])
    expect(await count('ledger.caller_nonce where key_id = ?', [caller.keyId])).toBe(2)
  })

  test('is one remediation where the reply to its commit is lost', async () => {
    const caller = await callerFor(db.api)
    const url = new URL(db.urlOf('api'))
    const proxy = await startPostgresProxy({ to: url.host })
    url.host = proxy.address
    const shaky = connectDatabase({ url: url.href, applicationName: 'aegis-test', poolMax: 2 })
    const door = await startApi({ db: shaky, temporal: stack.temporal.address })
    const lost = proxy.once({ commitOf: { sql: /insert into ledger\.caller_nonce/ }, phase: 'after_send' }, () => 'cut')
    const got = await sendWire(door.url, signedWire(caller))
    await lost
    expect([got.status, got.code]).toEqual([202, 'new'])
    expect(await usesOf(caller.keyId)).toBe(1)
    expect(await count('ledger.caller_nonce where key_id = ?', [caller.keyId])).toBe(1)
    await door.close()
    await shaky.destroy()
    await proxy.close()
  })
})

describe('nonces', () => {
  const signature = (over: object = {}) => ({ keyId: freshId(), nonce: 'A'.repeat(22), expiresS: Math.floor(Date.now() / 1_000) + 60, ...over })

  test('a signature that expired on its way to the database brings no request', async () => {
    const spent = signature({ expiresS: Math.floor(Date.now() / 1_000) - 1 })
    const draft = draftOf({ signature: spent })
    await expect(acceptRequest(db.api, draft)).rejects.toMatchObject({ code: 'signature_expired' })
    expect(await count('ledger.request where id = ?', [draft.id])).toBe(0)
  })

  test('a request that is not stored leaves none', async () => {
    const key = { key: 'k', bodyDigest: 'a' }
    await acceptRequest(db.api, draftOf({ idempotency: key }))
    const spent = signature()
    await expect(acceptRequest(db.api, draftOf({ idempotency: { ...key, bodyDigest: 'b' }, signature: spent }))).rejects.toMatchObject({ code: 'idempotency_conflict' })
    expect(await count('ledger.caller_nonce where key_id = ?', [spent.keyId])).toBe(0)
  })

  test('are forgotten after their signature has expired, a bounded number at a time, and never before', async () => {
    const standing = signature()
    await acceptRequest(db.api, draftOf({ signature: standing }))
    const expired = freshId()
    await db.owner.raw('alter table ledger.caller_nonce disable trigger guard_nonce')
    await db.owner.raw(`insert into ledger.caller_nonce (key_id, nonce, call_id, expires_at) select ?::uuid, n::text, gen_random_uuid(), now() - interval '2 minutes' from generate_series(1, 25) n`, [expired])
    await db.owner.raw('alter table ledger.caller_nonce enable always trigger guard_nonce')
    expect([await forgetNonces(db.api, 10), await forgetNonces(db.api, 10), await forgetNonces(db.api, 10), await forgetNonces(db.api, 10)]).toEqual([10, 10, 5, 0])
    expect(await count('ledger.caller_nonce where key_id = ?', [standing.keyId])).toBe(1)
  })
})

describe('signatures that name no key of ours', () => {
  test('are counted, and one entry at a time says how many there were', async () => {
    const { db: pool, callers, log, metrics } = api.deps
    const refusals = signatureRefusals({ db: pool, find: callers.find, log, metrics, everyMs: 200 })
    const before = await count(`ledger.audit_event where kind = 'signatures_refused'`)
    const refused = (claimedKeyId: string | null, code = 'signature_key_unknown') => refusals.record({ code, method: 'POST', route: '/executor/execute', requestId: 'r', claimedKeyId })
    await Promise.all([...times(200, () => refused(freshId())), ...times(3, () => refused(null, 'signature_incomplete'))])
    await eventually('the summary is there', async () => (await count(`ledger.audit_event where kind = 'signatures_refused'`)) > before)
    const { rows } = await db.owner.raw(`select entry::jsonb -> 'body' -> 'counts' as counts from ledger.audit_event where kind = 'signatures_refused' order by seq desc limit 1`)
    expect(rows[0].counts).toEqual([{ code: 'signature_incomplete', count: 3 }, { code: 'signature_key_unknown', count: 200 }])
    await sleep(450)
    expect(await count(`ledger.audit_event where kind = 'signatures_refused'`)).toBe(before + 1)
    expect(await metrics.registry.metrics()).toMatch(/aegis_signatures_refused_total\{code="signature_key_unknown",key="unknown",service="test"\} \d+/)
  })

  test('whoever knows a key id cannot fill the ledger with it', async () => {
    const { db: pool, callers, log, metrics } = api.deps
    const { keyId } = await callerFor(db.api)
    const refusals = signatureRefusals({ db: pool, find: callers.find, log, metrics, everyMs: 60_000 })
    for (let round = 0; round < 7; round++) {
      await Promise.all(times(100, () => refusals.record({ code: 'signature_invalid', method: 'POST', route: '/executor/execute', requestId: 'flood', claimedKeyId: keyId })))
    }
    expect(await count(`ledger.audit_event where kind = 'signature_refused' and entry like '%"flood"%'`)).toBeLessThanOrEqual(600)
    await refusals.flush()
  }, 30_000)
})

test(`S2 no request with a byte changed on the wire is accepted over HTTP (seed ${seed})`, async () => {
  const caller = await callerFor(db.api)
  const places = ['body', 'path', 'Signature', 'Signature-Input', 'Content-Digest', 'Aegis-Audience', 'Idempotency-Key']
  let played = 0
  const change = fc.record({ where: fc.constantFrom(...places), at: fc.nat(2_000), with_: fc.constantFrom(...'aZ09-_:"=;,/?&+') })
  await fc.assert(
    fc.asyncProperty(change, async ({ where, at, with_ }) => {
      const whole = signedWire(caller, { idempotencyKey: `k-${played}` })
      const spoilt = (text: string) => text.slice(0, at % text.length) + with_ + text.slice((at % text.length) + 1)
      const wire = where === 'body' ? withBody(whole, spoilt(String(whole.body))) : where === 'path' ? { ...whole, path: `/${spoilt(whole.path.slice(1))}` } : spoil(whole, where, spoilt)
      if (JSON.stringify(wire) === JSON.stringify(whole)) return
      played += 1
      expect((await send(wire)).status).toBeGreaterThanOrEqual(400)
    }),
    { numRuns: playsAll ? 1_000 : 100, seed },
  )
  expect(played).toBeGreaterThan(80)
  expect(await usesOf(caller.keyId)).toBe(0)
}, playsAll ? 120_000 : 30_000)

describe('S3', () => {
  const seconds = playsAll ? 60 : 6
  const perSecond = 50

  test(`a key is changed for another under ${perSecond} requests/s for ${seconds} s: none of use is refused, none is accepted after it is revoked`, async () => {
    const old = await made()
    await step(old.keyId, 'activate')
    const oldKey = callerKey(old.keyId, old.secret)
    let next: CallerKey | undefined
    const sent: { by: string; sentMs: number; doneMs: number; status: number; code: string }[] = []
    const fire = async (by: CallerKey, at: number) => {
      const sentMs = performance.now()
      const { status, code } = await sendWire((at % 2 ? api : replica).url, signedWire(by, { body: scaleTo(at % 10, `cart-${at}`) }))
      sent.push({ by: by.keyId, sentMs, doneMs: performance.now(), status, code })
    }
    const begun = performance.now()
    const elapsed = () => (performance.now() - begun) / 1_000 / seconds
    let [revokingMs, revokedMs] = [0, 0]
    const rotate = async () => {
      const until = async (share: number) => sleep(Math.max(0, (share - elapsed()) * seconds * 1_000))
      await until(0.2)
      const made2 = await made()
      await step(made2.keyId, 'activate')
      next = callerKey(made2.keyId, made2.secret)
      await until(0.4)
      await step(old.keyId, 'retire')
      await until(0.6)
      revokingMs = performance.now()
      await step(old.keyId, 'revoke')
      revokedMs = performance.now()
    }
    const rotating = rotate()
    const flying: Promise<void>[] = []
    for (let at = 0; at < seconds * perSecond; at++) {
      await sleep(Math.max(0, begun + (at * 1_000) / perSecond - performance.now()))
      flying.push(fire(next && at % 2 ? next : oldKey, at))
    }
    await Promise.all([rotating, ...flying])
    const ofOld = sent.filter(({ by }) => by === old.keyId)
    const ofNext = sent.filter(({ by }) => by !== old.keyId)
    const valid = [...ofNext, ...ofOld.filter(({ doneMs }) => doneMs < revokingMs)]
    const late = ofOld.filter(({ sentMs }) => sentMs > revokedMs)
    expect(valid.length).toBeGreaterThan(seconds * perSecond * 0.5)
    expect(valid.filter(({ status }) => status !== 202)).toEqual([])
    expect(late.length).toBeGreaterThan(seconds * perSecond * 0.1)
    expect(late.filter(({ code }) => code !== 'signature_key_revoked')).toEqual([])
    // S4: every use is in the ledger.
    for (const each of [ofOld, ofNext]) expect(await usesOf(each[0]?.by ?? '')).toBe(each.filter(({ status }) => status === 202).length)
  }, (seconds + 30) * 1_000)
})

describe('S4', () => {
  test('no answer that is described holds a signature or key material, but the one that shows a secret once', () => {
    const document = JSON.parse(readFileSync(new URL('../../api/openapi.json', import.meta.url), 'utf8')) as { paths: Record<string, Record<string, { responses: object }>> }
    const found: string[] = []
    const walk = (value: unknown, place: string, members: boolean): void => {
      if (typeof value !== 'object' || value === null) return
      for (const [name, inner] of Object.entries(value)) {
        if (members && /signature|secret|private|seal|\bmac\b|^key$|nonce/i.test(name)) found.push(`${place} ${name}`)
        walk(inner, place, name === 'properties')
      }
    }
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const [method, { responses }] of Object.entries(operations)) walk(responses, `${method} ${path}`, false)
    }
    expect(found.sort()).toEqual([
      'get /api/v1/caller-keys sealedBy', // the id of a sealing key
      'get /api/v1/policy/audit/snapshots signature', // of a published set, by which anybody may check it
      'post /api/v1/caller-keys sealedBy',
      'post /api/v1/caller-keys secret', // once
      'post /api/v1/caller-keys/{id}/activate sealedBy',
      'post /api/v1/caller-keys/{id}/retire sealedBy',
      'post /api/v1/caller-keys/{id}/revoke sealedBy',
      'post /api/v1/keys key', // an API key, once
    ])
  })

  test('no answer that is given, no line of the log and no entry of the ledger holds any of it', async () => {
    const lines: string[] = []
    const told = await startApi({ db: db.api, temporal: stack.temporal.address, log: (line) => lines.push(line) })
    const { keyId, secret } = await made()
    await step(keyId, 'activate')
    const wire = signedWire(callerKey(keyId, secret))
    const accepted = await sendWire(told.url, wire)
    expect(accepted.status).toBe(202)
    const replayed = await sendWire(told.url, wire)
    const invalid = await sendWire(told.url, withBody(wire, '{}'))
    const raw = Buffer.from(secret.replace('aegis_caller_', ''), 'base64url')
    const { rows } = await db.owner.raw('select sealed_secret from control.caller_key where key_id = ?', [keyId])
    const box = rows[0].sealed_secret as Buffer
    const header = (name: string) => wire.headers.find(([given]) => given === name)?.[1] ?? ''
    const nonce = /nonce="([^"]+)"/.exec(header('Signature-Input'))?.[1] ?? ''
    const kept = [secret, ...[raw, box].flatMap((bytes) => (['hex', 'base64', 'base64url'] as const).map((as) => bytes.toString(as))), header('Signature').slice(6, -1), nonce]
    expect(kept.every((text) => text.length >= 22)).toBe(true)
    const open = routes.filter(({ method, permission }) => method === 'get' && permission !== 'public').map(({ path }) => path.replace(':id', String(accepted.body['id'])))
    const answers = await Promise.all(open.map(async (path) => [path, await (await fetch(told.url + path, { headers: { authorization: `Bearer ${admin}` } })).text()]))
    expect(answers.length).toBeGreaterThan(10)
    const entries = (await db.owner.raw('select entry from ledger.audit_event')).rows.map(({ entry }: { entry: string }) => entry)
    const everything = JSON.stringify([answers, entries, lines, accepted.body, replayed.body, invalid.body])
    for (const text of kept) expect(everything).not.toContain(text)
    expect(everything).toContain(createHash('sha256').update(nonce).digest('hex'))
    await told.close()
  })

  test('`generate-signature` answers 410, signs nothing and says how to sign', async () => {
    const got = await api.call('POST', '/executor/generate-signature', { key: admin, body: { payload: 'x' } })
    expect([got.status, got.problem.code]).toEqual([410, 'no_signing_over_http'])
    expect(got.problem.nextStep).toContain('aegis sign')
  })
})

describe('S5', () => {
  const nowS = async (): Promise<number> => Number((await db.owner.raw('select extract(epoch from clock_timestamp()) as now')).rows[0].now)
  let caller: Caller
  beforeAll(async () => void (caller = await callerFor(db.api)))
  const skewed = async (offsetS: number) => (await send(signedWire(caller, { createdS: Math.floor((await nowS()) + offsetS) }))).code

  test.each([
    [299, 'new'],
    [-298, 'new'], // whole seconds: the request takes some of the last one
    [302, 'signature_not_yet_valid'],
    [-301, 'signature_expired'],
  ])('a caller whose clock is %d s off', async (offsetS, code) => expect(await skewed(offsetS)).toBe(code))

  test.each([
    ['an hour ahead', 3_600, [3_600, 302]],
    ['an hour behind', -3_600, [-3_600, -301]],
  ])('a process whose clock is %s takes nothing more', async (_name, processOffsetS, refused) => {
    const real = Date.now
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => real() + processOffsetS * 1_000)
    try {
      for (const offsetS of refused) expect(await skewed(offsetS)).toBe(offsetS > 0 ? 'signature_not_yet_valid' : 'signature_expired')
      // Ahead, its ids are refused by the ledger; behind, it works on. The signature holds in both.
      expect(await skewed(0)).toBe(processOffsetS > 0 ? 'clock_ahead' : 'new')
    } finally {
      clock.mockRestore()
    }
    expect(await skewed(0)).toBe('new')
  })
})
