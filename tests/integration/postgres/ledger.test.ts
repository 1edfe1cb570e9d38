import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createHash, randomUUID } from 'node:crypto'
import { listAudit } from '../../../adapters/postgres/audit.ts'
import { appendEntry, readStream, systemActor, type NewEntry } from '../../../adapters/postgres/ledger.ts'
import { ensurePartitions } from '../../../adapters/postgres/partitions.ts'
import { acceptRequest } from '../../../adapters/postgres/requests.ts'
import { recordStep } from '../../../adapters/postgres/steps.ts'
import { entryHash, entryIdText, entryText, firstBrokenLink, type LedgerEntry } from '../../../domain/ledger.ts'
import { deterministicUuid, uuidTimeMs, uuidv7 } from '../../../domain/uuid.ts'
import { draftOf, freshId, openDatabase, started, times, type TestDatabase } from './database.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const note = (stream: string, stepKey: string, body: Record<string, unknown> = {}): NewEntry => ({ stream, stepKey, kind: 'step', actor: systemActor, body })
const texts = async (stream: string) => (await readStream(db.reader, stream)).map(({ text }) => text)

describe('the database and the domain agree', () => {
  const odd = { text: 'a "quoted" \\ line\nwith \u0001 and 😀 and \u2028', deep: [{ b: 1, a: null }, 1e21, 0.1, -0, true], '😀': 1, 'é': 2, '': 3 }

  test('on the text of an entry, byte by byte', async () => {
    const id = await started(db)
    await appendEntry(db.decision, note(id, 'odd', odd))
    for (const { eventId: _id, text, ...entry } of await readStream(db.reader, id)) expect(text).toBe(entryText(entry as LedgerEntry))
  })

  test('on ids and hashes', async () => {
    const id = await started(db)
    const appended = await appendEntry(db.decision, note(id, 'one'))
    const [, second] = await readStream(db.reader, id)
    expect(appended.eventId).toBe(deterministicUuid(uuidTimeMs(id) ?? -1, sha256(entryIdText(id, 'one'))))
    expect(appended.hash).toBe(entryHash(second?.text ?? '', sha256))
    expect(second?.eventId).toBe(appended.eventId)
  })

  test('that the chain holds, and where an edit breaks it', async () => {
    const id = await started(db)
    for (const key of ['a', 'b', 'c']) await appendEntry(db.decision, note(id, key))
    const chain = await texts(id)
    expect(firstBrokenLink(chain, sha256)).toBeUndefined()
    expect(firstBrokenLink(chain.toSpliced(2, 1), sha256)).toBe(3)
  })
})

test('the same step again is the same entry; the same step with other content is refused', async () => {
  const id = await started(db)
  const once = await appendEntry(db.decision, note(id, 'k', { a: 1 }))
  await appendEntry(db.decision, note(id, 'later'))
  expect(await appendEntry(db.decision, note(id, 'k', { a: 1 }))).toEqual({ ...once, known: true })
  await expect(appendEntry(db.decision, note(id, 'k', { a: 2 }))).rejects.toMatchObject({ kind: 'conflict', code: 'ledger_conflict' })
  expect(await texts(id)).toHaveLength(3)
})

test('sixty writers at once make one unbroken chain, each entry once', async () => {
  const id = await started(db)
  const other = db.connect('execution')
  await Promise.all(times(60, (index) => appendEntry(index % 2 ? db.decision : other, note(id, `k${index % 30}`, { n: index % 30 }))))
  const chain = await texts(id)
  expect(chain).toHaveLength(31)
  expect(firstBrokenLink(chain, sha256)).toBeUndefined()
})

test('a subject that goes on for ever has one chain over all its entries', async () => {
  await Promise.all(times(20, () => appendEntry(db.api, { ...note('api', randomUUID()), kind: 'request_refused' })))
  expect(firstBrokenLink(await texts('api'), sha256)).toBeUndefined()
})

test('an attempt of a step is one entry however often it is recorded; a run-again is another', async () => {
  const id = await started(db)
  const startedAt = new Date()
  const record = { id, step: 'plan', call: 'run/1', attempt: 1, startedAt, endedAt: startedAt, result: 'ok', code: null, summary: 's', facts: {} } as const
  await recordStep(db.decision, record)
  await recordStep(db.decision, record)
  await recordStep(db.decision, { ...record, startedAt: new Date(startedAt.getTime() + 5) })
  expect(await texts(id)).toHaveLength(3)
})

test('facts too large for an entry are kept as their digest, so a step can always be recorded', async () => {
  const id = await started(db)
  const now = new Date()
  const facts = { text: 'x'.repeat(200_000) }
  await recordStep(db.execution, { id, step: 'verify', call: 'c', attempt: 1, startedAt: now, endedAt: now, result: 'ok', code: null, summary: '', facts })
  const [, entry] = await readStream(db.reader, id)
  expect(entry?.body['facts']).toMatchObject({ tooLarge: true, bytes: 200_011 })
  await expect(appendEntry(db.decision, note(id, 'large', facts))).rejects.toMatchObject({ kind: 'invalid', code: 'entry_too_large' })
})

test('no secret reaches an entry, whoever forgets to hide it', async () => {
  const planted = `hunter${randomUUID()}`
  const id = await started(db)
  await appendEntry(db.decision, note(id, 'k', { env: { DB_PASSWORD: planted }, error: `postgres://u:${planted}@db failed`, nul: 'a\0b' }))
  expect((await texts(id)).join()).not.toContain(planted)
})

test('a number of more digits than readers hold is no entry: it would fail whoever lists the record, for ever', async () => {
  const id = await started(db)
  const append = (actor: string, body: string) => db.decision.raw('select ledger.append(?, ?, ?, null, ?, ?)', [id, 'k', 'step', actor, body])
  await expect(append('{"id":"aegis"}', '{"n":1e400000}')).rejects.toMatchObject({ code: '22003' })
  await expect(append('{"id":"aegis","n":1e400000}', '{}')).rejects.toMatchObject({ code: '22003' })
  expect(await listAudit(db.reader, { areas: null, stream: id, limit: 10 })).toMatchObject({ items: [{ kind: 'requested' }] })
})

test('nothing is written about a remediation that was never accepted', async () => {
  await expect(appendEntry(db.decision, note(freshId(), 'k'))).rejects.toMatchObject({ kind: 'missing' })
})

test.each([
  ['31 days ago', -31 * 86_400_000, 'too_old'],
  ['10 minutes ahead', 600_000, 'clock_ahead'],
])('a stream that began %s is refused', async (_when, offsetMs, code) => {
  const id = uuidv7(Date.now() + offsetMs, new Uint8Array(10))
  await ensurePartitions(db.decision, 2)
  await expect(acceptRequest(db.api, draftOf({ id }))).rejects.toMatchObject({ code })
})

test('partitions are made ahead once, by a worker that owns nothing, and all of them are guarded', async () => {
  const before = await ensurePartitions(db.decision, 3)
  const [made] = await Promise.all([ensurePartitions(db.decision, 6), ensurePartitions(db.connect('decision'), 6)])
  expect(before).toEqual([])
  expect(made.length === 3 || made.length === 0).toBe(true)
  const { rows } = await db.owner.raw(
    `select c.relname, count(*) filter (where t.tgenabled = 'A')::integer as always, count(*)::integer as all from pg_class c
     join pg_inherits i on i.inhrelid = c.oid join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal
     where i.inhparent = 'ledger.audit_event'::regclass group by 1`,
  )
  expect(rows).toHaveLength(8)
  for (const row of rows) expect(row).toMatchObject({ always: 3, all: 3 })
})

describe('not even a superuser changes an entry in passing', () => {
  const month = `ledger.audit_event_${new Date().toISOString().slice(0, 7).replace('-', '_')}`
  test.each([
    ['update', `update ledger.audit_event set epoch = 2`],
    ['delete', `delete from ledger.audit_event`],
    ['truncate', `truncate ledger.audit_event`],
    ['update of a partition', `update ${month} set epoch = 2`],
    ['delete from a partition', `delete from ${month}`],
    ['truncate of a partition', `truncate ${month}`],
    ['delete as a replica', `set local session_replication_role = replica; delete from ledger.audit_event`],
    ['truncate as a replica', `set local session_replication_role = replica; truncate ${month}`],
    ['insert into the past', `insert into ledger.audit_event (event_id, entry) values ('00000000-0000-7000-8000-000000000000', '{}')`],
  ])('%s is refused', async (_what, sql) => {
    await started(db)
    await expect(db.owner.transaction((trx) => trx.raw(sql))).rejects.toMatchObject({ code: expect.stringMatching(/^AE00[24]$|^23514$/) })
  })
})
