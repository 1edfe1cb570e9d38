import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { closeRemediation } from '../../../adapters/postgres/close.ts'
import { beginAttempt, settleIntent } from '../../../adapters/postgres/intents.ts'
import { factsForWarrant } from '../../../adapters/postgres/facts.ts'
import { savePreflight } from '../../../adapters/postgres/plans.ts'
import { acceptRequest } from '../../../adapters/postgres/requests.ts'
import { recordStep } from '../../../adapters/postgres/steps.ts'
import { saveVerification } from '../../../adapters/postgres/verifications.ts'
import { getRemediation, listAudit, listRemediations, statistics } from '../../../adapters/postgres/views.ts'
import { digest, draftOf, freshId, openDatabase, planOf, recorded, times, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const healed = { outcome: 'healed', reason: 'better', message: 'it is well again', verdict: 'better' } as const

async function told(name = randomUUID()) {
  const given = await recorded(db, { name })
  const { id } = given
  await savePreflight(db.execution, { id, digest, card: { checks: [], diff: [], undo: 'planned' }, refusal: null })
  const startedAt = new Date('2026-01-01T00:00:00.000Z')
  const step = (name: string, call: string, attempt: number) =>
    recordStep(db.execution, { id, step: name, call, attempt, startedAt, endedAt: new Date(startedAt.getTime() + 120), result: 'ok', code: null, summary: name, facts: { n: 1 } })
  await step('verify', 'r/1', 1)
  await step('verify', 'r/1', 2)
  await step('verify', 'r/2', 1)
  await step('executeAction', 'r/3', 1)
  await beginAttempt(db.execution, given)
  await settleIntent(db.execution, { id, phase: 'act', result: 'applied', detail: {} })
  await saveVerification(db.execution, { id, digest, verdict: 'better', evidence: 'it is well again' })
  await closeRemediation(db.decision, { id, ending: healed, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId })
  return id
}

test('one remediation is shown whole', async () => {
  const id = await told()
  const view = await getRemediation(db.reader, id)
  expect(view).toMatchObject({
    request: { id, action: 'scale_deployment' },
    phase: 'closed',
    firstRunId: `run-${id}`,
    ending: { ...healed, source: 'workflow' },
    plan: { digest, plan: planOf() },
    card: { card: { undo: 'planned' }, refusal: null },
    decision: { proceed: 'act', planDigest: digest, decision: { tzdata: '2025b' } },
    answers: [],
    effects: [{ phase: 'act', state: 'settled', result: 'applied', attempts: 1 }],
  })
  expect(view?.steps.map(({ step, ordinal, attempt, phase, durationMs }) => [step, ordinal, attempt, phase, durationMs])).toEqual([
    ['verify', 1, 1, null, 120],
    ['verify', 1, 2, null, 120],
    ['verify', 2, 1, null, 120],
    ['executeAction', 1, 1, 'act', 120],
  ])
  expect(await getRemediation(db.reader, freshId())).toBeUndefined()
})

test('pages run from newest to oldest, without gaps or doubles', async () => {
  const namespace = randomUUID()
  const target = { cluster: 'main', namespace, kind: 'Deployment', name: 'web' } as const
  const ids: string[] = []
  for (const _ of times(7, () => 0)) ids.push((await acceptRequest(db.api, draftOf({ target }))).request.id)
  const seen: string[] = []
  let cursor: string | null = null
  do {
    const page: Awaited<ReturnType<typeof listRemediations>> = await listRemediations(db.reader, { areas: null, namespace, limit: 3, ...(cursor ? { cursor } : {}) })
    seen.push(...page.items.map(({ id }) => id))
    cursor = page.next
  } while (cursor)
  expect(seen).toEqual(ids.toSorted().reverse())
})

test('lists are narrowed by what is asked for', async () => {
  const id = await told()
  const find = async (filter: object) => (await listRemediations(db.reader, { areas: null, limit: 200, ...filter })).items.map((item) => item.id)
  expect(await find({ outcome: 'healed', namespace: 'shop', status: 'closed', action: 'scale_deployment', cluster: 'main' })).toContain(id)
  for (const filter of [{ outcome: 'denied' }, { namespace: 'bank' }, { status: 'open' }, { action: 'restart_pod' }, { cluster: 'edge' }]) {
    expect(await find(filter)).not.toContain(id)
  }
})

test('the audit list pages through entries, newest first, and finds them by any of its columns', async () => {
  const id = await told()
  const all = await listAudit(db.reader, { areas: null, stream: id, limit: 200 })
  expect(all.items.map(({ seq }) => seq)).toEqual(all.items.map((_, index) => all.items.length - index))
  expect(all.items.every(({ namespace, action }) => namespace === 'shop' && action === 'scale_deployment')).toBe(true)

  const first = await listAudit(db.reader, { areas: null, stream: id, limit: 5 })
  const second = await listAudit(db.reader, { areas: null, stream: id, limit: 200, cursor: first.next ?? '' })
  expect([...first.items, ...second.items]).toEqual(all.items)

  const find = async (filter: object) => (await listAudit(db.reader, { areas: null, stream: id, limit: 200, ...filter })).items.map(({ kind }) => kind)
  expect(await find({ outcome: 'healed' })).toEqual(['closed'])
  expect(await find({ kind: 'intent', namespace: 'shop', action: 'scale_deployment' })).toEqual(['intent'])
  expect(await find({ areas: null, from: new Date(Date.now() + 60_000) })).toEqual([])
  expect(await find({ to: new Date(Date.now() - 3_600_000) })).toEqual([])
  expect(await find({ areas: null, from: new Date(Date.now() - 60_000), to: new Date(Date.now() + 60_000) })).toHaveLength(all.items.length)
})

test.each(['x', '', 'bnVsbA', Buffer.from('["a\' or 1=1"]').toString('base64url')])('a cursor we never gave (%s) is refused', async (cursor) => {
  await expect(listRemediations(db.reader, { areas: null, limit: 1, cursor })).rejects.toMatchObject({ kind: 'invalid', code: 'bad_cursor' })
  await expect(listAudit(db.reader, { areas: null, limit: 1, cursor })).rejects.toMatchObject({ kind: 'invalid', code: 'bad_cursor' })
})

test('statistics count what was accepted in the time', async () => {
  await told()
  const hour = { areas: null, from: new Date(Date.now() - 3_600_000), to: new Date(Date.now() + 60_000) }
  const counted = await statistics(db.reader, hour)
  const { rows } = await db.owner.raw(`select count(*)::integer as total, (select count(*)::integer from ledger.terminal) as ended from ledger.request`)
  expect(counted).toMatchObject({ total: rows[0].total, open: rows[0].total - rows[0].ended })
  expect(counted.byAction).toEqual([{ action: 'scale_deployment', outcome: 'healed', count: rows[0].ended }])
  expect(counted.durationMs?.p50).toBeGreaterThan(0)
  expect(await statistics(db.reader, { areas: null, from: new Date(0), to: new Date(1) })).toEqual({ total: 0, open: 0, byAction: [], durationMs: null })
})

test('the card that came last is the newest, also when it is one that was there before', async () => {
  const { id } = await recorded(db)
  const card = { checks: [], diff: [], undo: 'planned' } as const
  const refusal = { outcome: 'blocked', reason: 'pdb_exhausted', message: 'no room' } as const
  const newest = async () => (await factsForWarrant(db.decision, id, digest)).preflight
  expect(await newest()).toBeNull()
  for (const [refused, is] of [[refusal, 'refused'], [null, 'clear'], [refusal, 'refused']] as const) {
    await savePreflight(db.execution, { id, digest, card: { ...card, checks: [], diff: [] }, refusal: refused })
    expect(await newest()).toBe(is)
  }
})
