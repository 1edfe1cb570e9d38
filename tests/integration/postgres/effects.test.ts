import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { recordAnswer } from '../../../adapters/postgres/answers.ts'
import { closeRemediation } from '../../../adapters/postgres/close.ts'
import { historyCounts } from '../../../adapters/postgres/decisions.ts'
import { liftFreeze, setFreeze } from '../../../adapters/postgres/freeze.ts'
import { beginAttempt, loadIntent, markFencing, recordIntent, settleIntent, type IntentRefusal } from '../../../adapters/postgres/intents.ts'
import { readStream } from '../../../adapters/postgres/ledger.ts'
import { saveWarrant } from '../../../adapters/postgres/warrants.ts'
import { bob, freshId, openDatabase, permitted, recorded, storedWarrant, times, warranted, type Permitted, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const blocked = { outcome: 'blocked', reason: 'because', message: 'because', verdict: null } as const
const close = (id: string) => closeRemediation(db.decision, { id, ending: blocked, source: 'reconciler', runId: null, firstRunId: null, newId: freshId })
const cancel = (id: string) => recordAnswer(db.api, { answerId: randomUUID(), id, kind: 'cancel', principal: bob, planDigest: null, comment: '' })
const settle = (id: string, result: 'applied' | 'fenced' = 'applied') => settleIntent(db.execution, { id, phase: 'act', result, detail: {} })
const reject = (id: string) =>
  db.owner.raw(`insert into ledger.answer (answer_id, id, kind, principal, owner, comment) values (gen_random_uuid(), ?, 'reject', '{}', 'carol', '')`, [id])
const kinds = async (id: string) => (await readStream(db.reader, id)).map(({ kind }) => kind)

/** What must stop an intent from being recorded, and an attempt from being sent. */
const stops: [string, (given: Permitted & { decisionId: string }) => Promise<Partial<Permitted> | undefined>, IntentRefusal][] = [
  ['closed', async ({ id }) => void (await close(id)), 'closed'],
  ['cancelled', async ({ id }) => void (await cancel(id)), 'cancelled'],
  ['past the deadline', async ({ id }) => void (await db.owner.raw(`update ledger.request set deadline_at = now() - interval '1 second' where id = ?`, [id])), 'deadline'],
  ['declined', async ({ id }) => void (await reject(id)), 'rejected'],
  ['another claim token', async ({ claimToken }) => ({ claimToken: claimToken + 1 }), 'claim_lost'],
  ['the claim went to another', async ({ id }) => void (await db.owner.raw(`update ledger.claim set holder = ?, token = token + 1 where holder = ?`, [freshId(), id])), 'claim_lost'],
  ['another digest than the warrant', async () => ({ planDigest: 'sha256:other' }), 'warrant_unknown'],
  ['an unknown warrant', async () => ({ warrantId: randomUUID() }), 'warrant_unknown'],
  ['the warrant of another remediation', async () => ({ warrantId: (await permitted(db)).warrantId }), 'warrant_unknown'],
  ['the warrant of the other phase', async (given) => ({ warrantId: await warranted(db, given, 'undo') }), 'warrant_unknown'],
  ['an expired warrant', async (given) => ({ warrantId: await warranted(db, given, 'act', -1) }), 'warrant_expired'],
]

describe('no intent without permission', () => {
  test.each(stops)('%s', async (_what, stop, because) => {
    const given = await permitted(db)
    const changed = { ...given, ...(await stop(given)) }
    expect(await recordIntent(db.execution, { ...changed, runId: 'run' })).toBe(because)
    expect(await loadIntent(db.reader, given.id, 'act')).toBeUndefined()
  })

  test('frozen', async () => {
    const given = await permitted(db)
    const { freezeId } = await setFreeze(db.api, { scope: {}, reason: 'storm', principal: bob })
    expect(await recordIntent(db.execution, { ...given, runId: 'run' })).toBe('frozen')
    await liftFreeze(db.api, freezeId, bob)
    expect(await recordIntent(db.execution, { ...given, runId: 'run' })).toBe('recorded')
  })
})

describe('no attempt without permission', () => {
  test.each(stops.filter(([what]) => what !== 'another digest than the warrant'))('%s', async (_what, stop, because) => {
    const given = await recorded(db)
    const changed = { ...given, ...(await stop(given)) }
    expect(await beginAttempt(db.execution, changed)).toEqual({ go: false, because })
    expect(await loadIntent(db.reader, given.id, 'act')).toMatchObject({ attempts: 0, sentAt: null })
  })

  test('frozen, for the undo as well', async () => {
    const act = await recorded(db)
    const undo = { ...act, phase: 'undo' as const, warrantId: await warranted(db, act, 'undo') }
    expect(await recordIntent(db.execution, { ...undo, runId: 'run' })).toBe('recorded')
    const { freezeId } = await setFreeze(db.api, { scope: { namespace: 'shop' }, reason: 'storm', principal: bob })
    expect(await beginAttempt(db.execution, act)).toEqual({ go: false, because: 'frozen' })
    expect(await beginAttempt(db.execution, undo)).toEqual({ go: false, because: 'frozen' })
    await liftFreeze(db.api, freezeId, bob)
    expect(await beginAttempt(db.execution, act)).toEqual({ go: true, attempt: 1 })
  })

  test('a plan other than the recorded one', async () => {
    const given = await recorded(db)
    expect(await beginAttempt(db.execution, { ...given, planDigest: 'sha256:other' })).toEqual({ go: false, because: 'other_digest' })
    expect(await recordIntent(db.execution, { ...given, planDigest: 'sha256:other', runId: 'run' })).toBe('other_digest')
  })

  test('an intent that is being fenced, or is settled', async () => {
    const fenced = await recorded(db)
    expect(await markFencing(db.execution, fenced.id, 'act')).toBe(true)
    expect(await beginAttempt(db.execution, fenced)).toEqual({ go: false, because: 'stopped' })
    await settle(fenced.id, 'fenced')
    expect(await markFencing(db.execution, fenced.id, 'act')).toBe(false)
    expect(await beginAttempt(db.execution, fenced)).toEqual({ go: false, because: 'stopped' })
  })

  test('no intent at all', async () => {
    expect(await beginAttempt(db.execution, await permitted(db))).toEqual({ go: false, because: 'no_intent' })
  })

  test('its room in the limits was given back', async () => {
    const given = await recorded(db, { limits: [{ key: 'k', action: '*', scope: 'workload', limit: 2, windowMs: 1_000 }] })
    await db.owner.raw(`update ledger.reservation set released_at = now() where id = ?`, [given.id])
    expect(await beginAttempt(db.execution, given)).toEqual({ go: false, because: 'limited' })
  })

  test('a warrant runs out by database time, whatever this machine thinks', async () => {
    const given = await recorded(db, { lifeMs: 300 })
    expect(await beginAttempt(db.execution, given)).toMatchObject({ go: true })
    await new Promise((wake) => setTimeout(wake, 350))
    expect(await beginAttempt(db.execution, given)).toEqual({ go: false, because: 'warrant_expired' })
    const warrantId = await warranted(db, given, 'act')
    expect(await beginAttempt(db.execution, { ...given, warrantId })).toEqual({ go: true, attempt: 2 })
  })
})

test('an intent recorded again is known, and a reissued warrant takes its place', async () => {
  const given = await recorded(db)
  const warrantId = await warranted(db, given, 'act')
  expect(await recordIntent(db.execution, { ...given, warrantId, runId: 'another' })).toBe('known')
  expect(await loadIntent(db.reader, given.id, 'act')).toMatchObject({ warrantId, runId: 'run', state: 'recorded' })
  expect((await kinds(given.id)).filter((kind) => kind === 'intent')).toHaveLength(1)
})

test('an undo asks nobody who declined the act', async () => {
  const act = await recorded(db)
  await reject(act.id)
  expect(await recordIntent(db.execution, { ...act, phase: 'undo', warrantId: await warranted(db, act, 'undo'), runId: 'run' })).toBe('recorded')
})

test('twenty attempts at once are let through one after the other, each with its number', async () => {
  const given = await recorded(db)
  const begun = await Promise.all(times(20, () => beginAttempt(db.execution, given)))
  expect(begun.map((each) => (each.go ? each.attempt : 0)).sort((a, b) => a - b)).toEqual(times(20, (index) => index + 1))
  expect(await loadIntent(db.reader, given.id, 'act')).toMatchObject({ attempts: 20, state: 'sent' })
})

test('an attempt and a freeze at once: after the freeze has answered, none is let through', async () => {
  const all = await Promise.all(times(20, () => recorded(db)))
  const other = db.connect('execution')
  let frozenAt = Infinity
  const attempts = all.map(async (given, index) => {
    await new Promise((wake) => setTimeout(wake, index))
    const asked = performance.now()
    const begun = await beginAttempt(index % 2 ? db.execution : other, given)
    return { asked, go: begun.go }
  })
  const { freezeId } = await setFreeze(db.api, { scope: {}, reason: 'storm', principal: bob })
  frozenAt = performance.now()
  const late = await Promise.all(all.map((given) => beginAttempt(db.execution, given)))
  expect(late.every((begun) => !begun.go && begun.because === 'frozen')).toBe(true)
  for (const { asked, go } of await Promise.all(attempts)) if (asked > frozenAt) expect(go).toBe(false)
  await liftFreeze(db.api, freezeId, bob)
})

test('a freeze answers only when the checks that began before it are through', async () => {
  const given = await recorded(db)
  const checking = await db.execution.transaction()
  expect(await beginAttempt(checking, given)).toMatchObject({ go: true })
  let through = false
  setTimeout(() => {
    through = true
    void checking.commit()
  }, 200)
  const { freezeId } = await setFreeze(db.api, { scope: {}, reason: 'storm', principal: bob })
  expect(through).toBe(true)
  await liftFreeze(db.api, freezeId, bob)
})

test('a freeze does not wait for a worker that stopped in the middle of its check', async () => {
  const stalled = await db.execution.transaction()
  await stalled.raw(`select pg_advisory_xact_lock_shared(hashtextextended('ledger.freeze', 0))`)
  const begun = performance.now()
  const { freezeId } = await setFreeze(db.api, { scope: {}, reason: 'storm', principal: bob })
  expect(performance.now() - begun).toBeLessThan(1_000)
  await stalled.rollback()
  await liftFreeze(db.api, freezeId, bob)
})

test('the first result stands, and the same one again is no contradiction', async () => {
  const given = await recorded(db)
  await beginAttempt(db.execution, given)
  expect(await loadIntent(db.reader, given.id, 'act')).toMatchObject({ state: 'sent', result: null })
  const results = await Promise.all(times(10, (index) => settle(given.id, index % 2 ? 'applied' : 'fenced')))
  const [stands] = new Set(results.map(({ result }) => result))
  expect(new Set(results.map(({ result }) => result)).size).toBe(1)
  expect(results.filter(({ settled }) => settled)).toHaveLength(5)
  expect(await loadIntent(db.reader, given.id, 'act')).toMatchObject({ state: 'settled', result: stands })
  expect((await kinds(given.id)).filter((kind) => kind === 'settled')).toHaveLength(1)
})

test('that nothing was sent is settled only by who knows of every attempt', async () => {
  const given = await recorded(db, { limits: [{ key: 'k', action: '*', scope: 'workload', limit: 9, windowMs: 60_000 }] })
  const refused = { id: given.id, phase: 'act', result: 'not_sent', attempts: 1, detail: {} } as const
  expect(await beginAttempt(db.execution, given)).toEqual({ go: true, attempt: 1 })
  expect(await beginAttempt(db.execution, given)).toEqual({ go: true, attempt: 2 })
  expect(await settleIntent(db.execution, refused)).toEqual({ settled: false, result: null })
  expect(await loadIntent(db.reader, given.id, 'act')).toMatchObject({ state: 'sent', result: null })
  expect((await db.owner.raw('select from ledger.reservation where id = ? and released_at is not null', [given.id])).rows).toEqual([])
  expect(await settle(given.id)).toEqual({ settled: true, result: 'applied' })

  const only = await recorded(db)
  await beginAttempt(db.execution, only)
  expect(await settleIntent(db.execution, { ...refused, id: only.id })).toEqual({ settled: true, result: 'not_sent' })
})

test('a result without an intent is refused', async () => {
  await expect(settle((await permitted(db)).id)).rejects.toMatchObject({ kind: 'missing', code: 'intent_missing' })
})

test('a warrant is stored once, under its own words', async () => {
  const given = await permitted(db)
  const row = await storedWarrant(db, given.warrantId)
  expect(await saveWarrant(db.decision, row)).toBe('known')
  await expect(saveWarrant(db.decision, { ...row, document: '{}' })).rejects.toMatchObject({ code: 'warrant_reused' })
  await expect(saveWarrant(db.decision, { ...row, warrantId: randomUUID(), document: '{}' })).rejects.toMatchObject({ code: 'warrant_reused' })
  await close(given.id)
  expect(await saveWarrant(db.decision, { ...row, warrantId: randomUUID(), nonce: randomUUID() })).toBe('closed')
  expect((await readStream(db.reader, given.id)).map(({ text }) => text).join()).not.toContain(row.signature)
})

test('history counts proven effects by workload, namespace and action', async () => {
  const name = randomUUID()
  const scope = { workload: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name }, action: 'scale_deployment' as const }
  expect(await historyCounts(db.decision, scope, [1_000])).toMatchObject({ workload: [{ windowMs: 1_000, effects: 0, bad: 0 }], sinceLastActionMs: null })
  const given = await recorded(db, { name })
  await settle(given.id)
  await closeRemediation(db.decision, { id: given.id, ending: { ...blocked, outcome: 'undone' }, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId })
  const history = await historyCounts(db.decision, scope, [60_000, 1])
  expect(history.workload).toEqual([{ windowMs: 60_000, effects: 1, bad: 1 }, { windowMs: 1, effects: 0, bad: 0 }])
  expect(history.namespace[0]?.effects).toBeGreaterThanOrEqual(1)
  expect(history.action[0]?.effects).toBeGreaterThanOrEqual(1)
  expect(history.sinceLastActionMs).toBeLessThan(60_000)
})
