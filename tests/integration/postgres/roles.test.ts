import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { connectDatabase, databaseReady, migrate } from '../../../adapters/postgres/connect.ts'
import { countApiKeys, createApiKey, createFirstApiKey, findApiKeys, listApiKeys, revokeApiKey } from '../../../adapters/postgres/keys.ts'
import { appendEntry, readStream, systemActor } from '../../../adapters/postgres/ledger.ts'
import { createLoginRoles, databaseRoles, type DatabaseRole } from '../../../adapters/postgres/roles.ts'
import { freshDatabase } from '../../helpers/stack.ts'
import { alice, freshId, openDatabase, recorded, started, times, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

/** Logins belong to the server, and other tests are at work under them. */
const passwordsInUse = () =>
  Object.fromEntries(databaseRoles.map((role) => [role, decodeURIComponent(new URL(db.urlOf(role)).password)])) as Record<DatabaseRole, string>

const month = `ledger.audit_event_${new Date().toISOString().slice(0, 7).replace('-', '_')}`

describe.each(databaseRoles)('%s', (role) => {
  test.each([
    ['update', `update ledger.audit_event set entry = entry`],
    ['delete', `delete from ledger.audit_event`],
    ['truncate', `truncate ledger.audit_event`],
    ['truncate a partition', `truncate ${month}`],
    ['drop a partition', `drop table ${month}`],
    ['disable the triggers', `alter table ledger.audit_event disable trigger all`],
    ['play replica', `set session_replication_role = replica`],
    ['insert without the chain', `insert into ledger.audit_event (event_id, entry) values (gen_random_uuid(), '{}')`],
    ['backdate an entry', `insert into ledger.audit_event (event_id, entry, recorded_at) values (gen_random_uuid(), '{}', '2020-01-01')`],
    ['forge a transaction id', `insert into ledger.audit_event (event_id, entry, xid) values (gen_random_uuid(), '{}', '3')`],
    ['move the head of a chain', `update ledger.stream_head set seq = 0`],
    ['rewrite the append function', `create or replace function ledger.is_plain(word text) returns boolean language sql as 'select true'`],
    ['become the owner', `set role postgres`],
  ])('cannot %s', async (_what, sql) => {
    await expect(db[role].raw(sql)).rejects.toMatchObject({ code: '42501' })
  })

  test('is ready to work', async () => expect(await databaseReady(db[role])).toEqual({ ok: true }))
})

const insertAnswer = `insert into ledger.answer (answer_id, id, kind, principal, owner, plan_digest, comment) select gen_random_uuid(), id, 'approve', '{}', 'bob', 'd', '' from ledger.request`
const insertTerminal = `insert into ledger.terminal (id, outcome, reason, message, source, facts) select id, 'healed', '', '', 'workflow', '{}' from ledger.request`

const askAsPerson = `insert into ledger.request select (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(), 'door', 'api', 'idempotency_key', null))).* from ledger.request r limit 1`

/** Rights that belong to another process. */
const foreign: [DatabaseRole, string, string][] = [
  ['execution', 'approve', insertAnswer],
  ['execution', 'warrant', `insert into ledger.warrant select * from ledger.warrant`],
  ['execution', 'prolong a warrant', `update ledger.warrant set expires_at = now() + interval '1 year'`],
  ['execution', 'request', `insert into ledger.request select * from ledger.request`],
  ['execution', 'decide', `insert into ledger.decision (decision_id) values (gen_random_uuid())`],
  ['execution', 'plan', `insert into ledger.plan (id) values (gen_random_uuid())`],
  ['execution', 'close', insertTerminal],
  ['execution', 'claim', `update ledger.claim set holder = gen_random_uuid(), state = 'held'`],
  ['execution', 'lift a freeze', `update ledger.freeze set lifted_at = now()`],
  ['execution', 'forget a cancel', `update ledger.request set stop_attempts_at = null`],
  ['execution', 'read keys of callers', `select * from control.caller_key`],
  ['decision', 'read keys of callers', `select * from control.caller_key`],
  ['reader', 'read keys of callers', `select * from control.caller_key`],
  ['watcher', 'spend a nonce', `insert into ledger.caller_nonce (key_id, nonce, call_id, expires_at) values (gen_random_uuid(), 'n', gen_random_uuid(), now())`],
  ['api', 'forget a nonce', `delete from ledger.caller_nonce`],
  ['api', 'make a nonce expire', `update ledger.caller_nonce set expires_at = now()`],
  ['api', 'put another secret in the place of a key', `update control.caller_key set sealed_secret = '\\x00'`],
  ['api', 'widen a key', `update control.caller_key set max_replicas = 1000`],
  ['execution', 'read API keys', `select * from control.api_key`],
  ['execution', 'move a deadline', `update ledger.request set deadline_at = now() + interval '1 year'`],
  ['execution', 'swap the plan of an intent', `update ledger.intent set plan_digest = 'other'`],
  ['decision', 'approve', insertAnswer],
  ['decision', 'write an intent', `insert into ledger.intent (id, phase) values (gen_random_uuid(), 'act')`],
  ['decision', 'settle an intent', `update ledger.intent set state = 'settled'`],
  ['decision', 'lift a freeze', `update ledger.freeze set lifted_at = now()`],
  ['decision', 'read API keys', `select * from control.api_key`],
  ['decision', 'rewrite a decision', `update ledger.decision set decision = '{}'`],
  ['decision', 'rewrite a plan', `update ledger.plan set plan = '{}'`],
  ['decision', 'rewrite an ending', `update ledger.terminal set outcome = 'healed'`],
  ['api', 'warrant', `insert into ledger.warrant select * from ledger.warrant`],
  ['api', 'decide', `insert into ledger.decision (decision_id) values (gen_random_uuid())`],
  ['api', 'write an intent', `insert into ledger.intent (id, phase) values (gen_random_uuid(), 'act')`],
  ['api', 'close', insertTerminal],
  ['api', 'make room', `delete from ledger.reservation`],
  ['api', 'release room without a trace', `update ledger.reservation set released_at = now()`],
  ['api', 'rewrite an answer', `update ledger.answer set kind = 'approve'`],
  ['api', 'escalate', `insert into ledger.escalation (id, plan_digest, group_name, to_group) select id, 'd', 'a', 'b' from ledger.request`],
  ['decision', 'set an escalation', `insert into ledger.escalation_rule (group_name, to_group, after_ms, set_by) values ('a', 'b', 60000, 'x')`],
  ['decision', 'review a break-glass', `insert into ledger.break_glass_review (answer_id, verdict, comment, reviewer, owner) values (gen_random_uuid(), 'justified', '', 'x', 'x')`],
  ['api', 'rewrite a review', `update ledger.break_glass_review set verdict = 'justified'`],
  ['api', 'prolong a delegation', `update control.delegations set until_at = until_at + interval '1 day'`],
  ['api', 'make a break-glass an approval', `update ledger.answer set break_glass = false`],
  ['api', 'bind a run', `update ledger.request set first_run_id = 'x'`],
  ['api', 'open a breaker', `insert into ledger.breaker (breaker_id) values (gen_random_uuid())`],
  ['decision', 'close a breaker', `update ledger.breaker set closed_at = now(), closed_by = 'x'`],
  ['decision', 'cancel a scheduled freeze', `update ledger.freeze_window set cancelled_at = now(), cancelled_by = 'x'`],
  ['decision', 'forget that a workload was released', `update ledger.claim set released_at = null`],
  ['api', 'move a rung', `update ledger.rung set mode = 'auto'`],
  ['execution', 'step down a rung', `insert into ledger.rung (rung_id) values (gen_random_uuid())`],
  ['watcher', 'step down a rung', `insert into ledger.rung (rung_id) values (gen_random_uuid())`],
  ['watcher', 'approve', insertAnswer],
  ['watcher', 'warrant', `insert into ledger.warrant select * from ledger.warrant`],
  ['watcher', 'decide', `insert into ledger.decision (decision_id) values (gen_random_uuid())`],
  ['watcher', 'write an intent', `insert into ledger.intent (id, phase) values (gen_random_uuid(), 'act')`],
  ['watcher', 'close', insertTerminal],
  ['watcher', 'lift a freeze', `update ledger.freeze set lifted_at = now()`],
  ['watcher', 'make an API key', `insert into control.api_key default values`],
  ['watcher', 'ask in a person’s name', askAsPerson],
  ['guard', 'set a freeze', `insert into ledger.freeze (freeze_id, reason, set_by) values (gen_random_uuid(), '', 'guard')`],
  ['guard', 'lift a freeze', `update ledger.freeze set lifted_at = now()`],
  ['guard', 'read a warrant', `select signature from ledger.warrant`],
  ['guard', 'read a request', `select * from ledger.request`],
  ['guard', 'settle an intent', `update ledger.intent set state = 'settled'`],
  ['guard', 'forget what it said', `delete from ledger.freeze_applied`],
  ['api', 'say that a cluster is frozen', `insert into ledger.freeze_applied (freeze_id, cluster, frozen_at) values (gen_random_uuid(), 'main', now())`],
  ['execution', 'say that a cluster is frozen', `update ledger.freeze_applied set frozen_at = now()`],
  ...(['decision', 'execution', 'watcher', 'reader'] as const).flatMap((role) =>
    ['users', 'user_roles', 'session_cache', 'refresh_tokens', 'one_time_tokens', 'known_devices', 'login_attempts', 'delegations'].map((table): (typeof foreign)[number] => [role, `read control.${table}`, `select * from control.${table}`])),
  ['reader', 'request', `insert into ledger.request select * from ledger.request`],
  ['reader', 'append', `select ledger.append('x', 'k', 'step', null, '{}', '{}')`],
]

test.each(foreign)('%s cannot %s', async (role, _what, sql) => {
  await recorded(db)
  await expect(db[role].raw(sql)).rejects.toMatchObject({ code: '42501' })
})

test.each([
  ['execution', 'closed'],
  ['execution', 'decision'],
  ['execution', 'answer'],
  ['decision', 'answer'],
  ['decision', 'settled'],
  ['api', 'closed'],
  ['api', 'intent'],
  ['execution', 'resolved'],
  ['decision', 'resolved'],
  ['watcher', 'answer'],
  ['watcher', 'closed'],
] as const)('%s cannot write a ledger entry of kind `%s`', async (role, kind) => {
  const stream = await started(db)
  await expect(appendEntry(db[role], { stream, stepKey: 'forged', kind, actor: systemActor, body: {} })).rejects.toMatchObject({ kind: 'forbidden', code: 'database_rights' })
})

/** Of every kind of entry there is, who writes it. */
const writers: Record<string, readonly DatabaseRole[]> = {
  ...Object.fromEntries(['planned', 'decision', 'reserved', 'handed_off', 'warrant', 'closed', 'breaker_opened', 'quarantined', 'approval_escalated'].map((kind) => [kind, ['decision']])),
  ...Object.fromEntries(['preflight', 'intent', 'attempt', 'fencing', 'settled', 'verified'].map((kind) => [kind, ['execution']])),
  ...Object.fromEntries(['answer', 'answer_refused', 'request_refused', 'freeze_set', 'freeze_lifted', 'claim_released', 'key_created', 'key_revoked', 'policies_published', 'caller_key_created', 'caller_key_activated', 'caller_key_retiring', 'caller_key_revoked', 'caller_key_used', 'signature_refused', 'signatures_refused', 'exception_proposed', 'exception_decided', 'breaker_closed', 'freeze_scheduled', 'freeze_cancelled', 'policy_change_proposed', 'policy_change_decided', 'delegation_given', 'delegation_revoked', 'escalation_set', 'escalation_removed', 'break_glass', 'break_glass_reviewed'].map((kind) => [kind, ['api']])),
  ...Object.fromEntries(['user_created', 'user_changed', 'password_changed', 'token_issued', 'login', 'login_refused', 'session_ended', 'refresh_reused'].map((kind) => [kind, ['api']])),
  step: ['decision', 'execution'],
  ...Object.fromEntries(['freeze_applied', 'freeze_kept', 'freeze_thawed'].map((kind) => [kind, ['guard']])),
  demoted: ['api', 'decision'],
  promoted: ['api'],
  resolved: ['api', 'watcher'],
  requested: ['api', 'decision', 'watcher'],
  anything_else: [],
}

test.each(Object.entries(writers))('an entry of kind `%s` is written by whose it is, and by nobody else', async (kind, whose) => {
  const stream = await started(db)
  const written = await Promise.all(
    databaseRoles.map((role) => appendEntry(db[role], { stream, stepKey: `by-${role}`, kind, actor: systemActor, body: {} }).then(() => role, () => undefined)),
  )
  expect(written.filter((role) => role !== undefined).sort()).toEqual([...whose].sort())
})

test('the table above knows every kind that the code writes', () => {
  const files = ['adapters/postgres', 'api'].flatMap((room) => readdirSync(new URL(`../../../${room}`, import.meta.url)).filter((file) => file.endsWith('.ts')).map((file) => `${room}/${file}`))
  const code = files.map((file) => readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')).join()
  const kinds = [...code.matchAll(/stepKey[^\n]*?,\s*kind: '(\w+)'/g)].map(([, kind]) => kind)
  expect(kinds.length).toBeGreaterThan(15)
  expect([...new Set(kinds)].filter((kind) => !(kind! in writers))).toEqual([])
})

test('a call with more JSON than it should hold is refused', async () => {
  const stream = await started(db)
  const forged = `{"id":"x"},"at":"2020-01-01T00:00:00.000Z"`
  await expect(db.decision.raw('select ledger.append(?, ?, ?, null, ?, ?)', [stream, 'k', 'step', forged, '{}'])).rejects.toMatchObject({ code: '22P02' })
  await expect(db.decision.raw('select ledger.append(?, ?, ?, null, ?, ?)', [stream, 'k","v":2,"x":"', 'step', '{}', '{}'])).rejects.toMatchObject({ code: 'AE006' })
})

describe('readiness', () => {
  const ready = async (url: string) => {
    const pool = connectDatabase({ url, applicationName: 'aegis-test', poolMax: 1 })
    return databaseReady(pool).finally(() => pool.destroy())
  }

  test('refuses a role that owns the ledger', async () => {
    expect(await ready(db.ownerUrl)).toMatchObject({ ok: false, reason: expect.stringContaining('owns the ledger') })
  })

  test('refuses a role that could write around the chain', async () => {
    await db.owner.raw(`grant insert (entry) on ledger.audit_event to aegis_reader`)
    expect(await ready(db.urlOf('reader'))).toMatchObject({ ok: false, reason: expect.stringContaining('could write') })
    await db.owner.raw(`revoke insert (entry) on ledger.audit_event from aegis_reader`)
  })

  test('says so when nothing is migrated, or nothing answers', async () => {
    const empty = await freshDatabase()
    expect(await ready(empty.ownerUrl)).toMatchObject({ ok: false, reason: expect.stringContaining('run the migrations') })
    await empty.drop()
    expect(await ready(empty.ownerUrl)).toMatchObject({ ok: false, reason: expect.stringContaining('does not exist') })
    expect(await ready('postgresql://nobody@127.0.0.1:1/none')).toMatchObject({ ok: false, reason: expect.stringContaining('did not answer') })
  })
})

const migrationNames = readdirSync(new URL('../../../migrations', import.meta.url)).filter((file) => /^\d/.test(file)).map((file) => file.replace('.ts', '')).sort()

describe('migrations', () => {
  test('by three processes at once, in two databases of one server, are applied once each', async () => {
    const [one, two] = [await freshDatabase(), await freshDatabase()]
    const applied = await Promise.all([one, two, one, two, one].map(({ ownerUrl }) => migrate(ownerUrl)))
    expect(applied.filter((names) => names.length > 0)).toHaveLength(2)
    await Promise.all([one, two, one, two].map(({ ownerUrl }) => createLoginRoles(ownerUrl, passwordsInUse())))
    await Promise.all([one.drop(), two.drop()])
  })

  test('by an owner who is no superuser and may make no roles', async () => {
    const fresh = await freshDatabase()
    const owner = `owner_${randomUUID().slice(0, 8)}`
    await db.owner.raw(`create role ${owner} login password 'x'`)
    await db.owner.raw(`alter database ${fresh.name} owner to ${owner}`)
    const url = new URL(fresh.ownerUrl)
    url.username = owner
    url.password = 'x'
    expect(await migrate(url.href)).toEqual(migrationNames)
    const pool = connectDatabase({ url: fresh.urlFor('aegis_decision_login'), applicationName: 'aegis-test', poolMax: 1 })
    expect(await databaseReady(pool)).toEqual({ ok: true })
    await pool.destroy()
    await fresh.drop()
    await db.owner.raw(`drop role ${owner}`)
  })
})

describe('API keys', () => {
  const draft = (over = {}) => {
    const keyId = freshId()
    return { keyId, name: 'ci', roles: ['user' as const], bindings: null, owner: 'alice', hash: randomUUID().replaceAll('-', '').repeat(2), prefix: keyId.slice(-8), expiresAt: null, ...over }
  }

  test('the first is made once, however many processes start at once', async () => {
    expect(await countApiKeys(db.api)).toBe(0)
    const other = db.connect('api')
    const made = await Promise.all(times(20, (index) => createFirstApiKey(index % 2 ? db.api : other, draft({ roles: ['admin'] }))))
    expect(made.filter((first) => first)).toHaveLength(1)
    expect(await countApiKeys(db.api)).toBe(1)
  })

  test('is found by its hash until it expires or is revoked; every change is on record, and no hash', async () => {
    const key = draft()
    await createApiKey(db.api, key, alice)
    expect(await findApiKeys(db.api, ['unknown', key.hash])).toMatchObject([undefined, { keyId: key.keyId, owner: 'alice', roles: ['user'], createdBy: 'alice', revokedAt: null }])
    expect(await revokeApiKey(db.api, key.keyId, alice)).toBe(true)
    expect(await revokeApiKey(db.api, key.keyId, alice)).toBe(false)
    expect(await findApiKeys(db.api, [key.hash])).toEqual([undefined])
    const expired = draft({ expiresAt: new Date(Date.now() - 1) })
    await createApiKey(db.api, expired, alice)
    expect(await findApiKeys(db.api, [expired.hash])).toEqual([undefined])
    expect((await listApiKeys(db.api)).map(({ keyId }) => keyId)).toEqual(expect.arrayContaining([key.keyId, expired.keyId]))
    await expect(createApiKey(db.api, key, alice)).rejects.toMatchObject({ kind: 'conflict' })
    const told = await readStream(db.reader, 'keys')
    expect(told.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['key_created', 'key_revoked']))
    expect(JSON.stringify(told)).not.toContain(key.hash)
  })
})
