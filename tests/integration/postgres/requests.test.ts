import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { closeRemediation } from '../../../adapters/postgres/close.ts'
import { readStream } from '../../../adapters/postgres/ledger.ts'
import {
  acceptRequest,
  acceptSignal,
  bindRun,
  inFlightCounts,
  joinOpenRuns,
  loadRequest,
  markResolved,
  markStarted,
  setPhase,
  unstartedRequests,
  type RequestDraft,
} from '../../../adapters/postgres/requests.ts'
import { undeliveredAnswers } from '../../../adapters/postgres/answers.ts'
import type { Outcome, Target } from '../../../domain/remediation.ts'
import { answered, alice, bob, draftOf, freshId, openDatabase, started, times, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const ending = (outcome: Outcome) => ({ outcome, reason: 'because', message: 'because', verdict: null })
const close = (id: string, outcome: Outcome) =>
  closeRemediation(db.decision, { id, ending: ending(outcome), source: 'workflow', runId: 'run', firstRunId: null, newId: freshId })
const requestCount = async (where: string, value: string) =>
  Number((await db.owner.raw(`select count(*) from ledger.request where ${where} = ?`, [value])).rows[0].count)

describe('the same request', () => {
  test('sent fifty times at once through two APIs is one row, one id and one ledger entry', async () => {
    const other = db.connect('api')
    const key = randomUUID()
    const send = (index: number) => acceptRequest(index % 2 ? db.api : other, draftOf({ reason: key, idempotency: { key, bodyDigest: 'b' } }))
    const answers = await Promise.all(times(50, send))
    expect(new Set(answers.map(({ request }) => request.id)).size).toBe(1)
    expect(answers.filter(({ accepted }) => accepted === 'new')).toHaveLength(1)
    expect(await requestCount('reason', key)).toBe(1)
    expect(await readStream(db.reader, answers[0]?.request.id ?? '')).toHaveLength(1)
  })

  test('with another body under the same key is refused; under another principal it is another request', async () => {
    const key = randomUUID()
    const first = await acceptRequest(db.api, draftOf({ idempotency: { key, bodyDigest: 'b' } }))
    await expect(acceptRequest(db.api, draftOf({ idempotency: { key, bodyDigest: 'c' } }))).rejects.toMatchObject({ code: 'idempotency_conflict' })
    const bobs = await acceptRequest(db.api, draftOf({ principal: bob, idempotency: { key, bodyDigest: 'b' } }))
    expect(bobs).toMatchObject({ accepted: 'new' })
    expect(bobs.request.id).not.toBe(first.request.id)
  })

  test('again after its reply was lost is known by its id', async () => {
    const draft = draftOf()
    const first = await acceptRequest(db.api, draft)
    expect(await acceptRequest(db.api, draft)).toEqual({ accepted: 'known', request: first.request })
  })
})

test('what was accepted is what is read back, with times of the database', async () => {
  const draft = draftOf({ fault: 'oom_killed', deadlineMs: 60_000 })
  const { request } = await acceptRequest(db.api, draft)
  const { deadlineMs: _ms, idempotency: _key, ...told } = draft
  expect(request).toMatchObject({ ...told, attempt: 1 })
  expect(Date.parse(request.deadlineAt) - Date.parse(request.acceptedAt)).toBe(60_000)
  expect(await loadRequest(db.decision, request.id)).toMatchObject({ ...request, phase: 'accepted', firstRunId: null, stopAttempts: false })
})

describe('alerts', () => {
  const alert = (over: Partial<RequestDraft> = {}, fingerprint = randomUUID(), startsAt = '2026-01-01T00:00:00Z') => {
    const target: Target = { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: randomUUID() }
    return { draft: draftOf({ door: 'alert', target, ...over }), signal: { fingerprint, startsAt, labelsDigest: 'l' } }
  }
  const accept = ({ draft, signal }: ReturnType<typeof alert>) => acceptSignal(db.api, { ...draft, id: freshId() }, signal)
  const backdateClose = (id: string, minutes: number) =>
    db.owner.raw(`update ledger.terminal set closed_at = closed_at - ? * interval '1 minute' where id = ?`, [minutes, id])

  test('a storm of five hundred on one target is one run', async () => {
    const { draft } = alert()
    const answers = await Promise.all(times(500, () => accept(alert({ target: draft.target }))))
    expect(new Set(answers.map(({ request }) => request.id)).size).toBe(1)
    expect(answers.filter(({ accepted }) => accepted === 'new')).toHaveLength(1)
    expect(await requestCount('name', draft.target.name)).toBe(1)
  })

  const seenOf = async ({ signal }: ReturnType<typeof alert>) =>
    (await db.owner.raw('select seen from ledger.signal where fingerprint = ? and starts_at = ?', [signal.fingerprint, signal.startsAt])).rows[0]?.seen as number | undefined

  test('of many that come together those whose run is open join it at once, and whatever else one is, is left', async () => {
    const [first, second] = [alert(), alert()]
    const [one, two] = [await accept(first), await accept(second)]
    const [beside, unknown] = [alert({ target: first.draft.target }), alert()]
    const ofAnother = alert({ target: second.draft.target }, first.signal.fingerprint) // counted for the first run already
    const otherAction = alert({ target: first.draft.target, action: 'restart_pod' })
    const joined = await joinOpenRuns(db.api, [beside, second, unknown, beside, otherAction])
    expect(joined.map((request) => request?.id)).toEqual([one.request.id, two.request.id, undefined, undefined, undefined])
    expect(joined[0]).toEqual(one.request)
    expect(await Promise.all([beside, second, unknown].map(seenOf))).toEqual([1, 2, undefined])
    expect(await joinOpenRuns(db.api, [])).toEqual([])

    await close(one.request.id, 'healed')
    expect(await joinOpenRuns(db.api, [first, beside])).toEqual([undefined, undefined])
    expect(await joinOpenRuns(db.api, [ofAnother])).toEqual([undefined])
    expect(await accept(ofAnother)).toMatchObject({ accepted: 'known', request: { id: one.request.id } })
  })

  test('the same fifty from two Alertmanagers at once, in either order, wait for each other and never for good', async () => {
    const { draft } = alert()
    const { request } = await accept({ draft, signal: alert().signal })
    const fifty = times(50, () => alert({ target: draft.target }))
    const all = await Promise.all(times(20, (index) => joinOpenRuns(db.api, index % 2 ? fifty : fifty.toReversed())))
    expect(new Set(all.flat().map((joined) => joined?.id))).toEqual(new Set([request.id]))
    expect(await Promise.all(fifty.map(seenOf))).toEqual(times(50, () => 20))
  })

  test('the same firing a hundred times at once is one run; a later firing is a new one', async () => {
    const fired = alert()
    const answers = await Promise.all(times(100, () => accept(fired)))
    expect(new Set(answers.map(({ request }) => request.id)).size).toBe(1)
    const id = answers[0]?.request.id ?? ''
    await close(id, 'healed')
    expect(await accept(fired)).toMatchObject({ accepted: 'known', request: { id } })
    const again = await accept(alert(fired.draft, fired.signal.fingerprint, '2026-01-02T00:00:00Z'))
    expect(again).toMatchObject({ accepted: 'new', request: { attempt: 1 } })
  })

  test('a run at work for a person is joined, and not taken for the alert when that stops', async () => {
    const { draft, signal } = alert()
    const person = await acceptRequest(db.api, draftOf({ target: draft.target }))
    expect(await accept({ draft, signal })).toMatchObject({ accepted: 'known', request: { id: person.request.id } })
    expect(await markResolved(db.api, signal)).toEqual([])
  })

  test.each(['frozen', 'limited', 'blocked', 'unanswered'] as const)('one that fires on after %s is tried again as a numbered retry, with backoff', async (outcome) => {
    const fired = alert()
    const { request } = await accept(fired)
    expect(await accept(fired)).toMatchObject({ accepted: 'known', request: { id: request.id } })
    await close(request.id, outcome)
    await backdateClose(request.id, 0.9)
    expect(await accept(fired)).toMatchObject({ accepted: 'known', request: { id: request.id } })
    await backdateClose(request.id, 0.1)
    const retry = await accept(fired)
    expect(retry).toMatchObject({ accepted: 'new', request: { attempt: 2 } })

    await close(retry.request.id, outcome)
    await backdateClose(retry.request.id, 1.9)
    expect(await accept(fired)).toMatchObject({ accepted: 'known', request: { id: retry.request.id } })
    await backdateClose(retry.request.id, 0.1)
    expect(await accept(fired)).toMatchObject({ accepted: 'new', request: { attempt: 3 } })
  })

  test.each([['denied', 'obligation_unmet'], ['no_action_needed', 'fault_gone'], ['no_action_needed', 'pod_ready'], ['no_action_needed', 'alert_resolved']] as const)('one that fires on after %s for %s is tried again: a cooldown ends, a fault may show later, an alert may fire again', async (outcome, reason) => {
    const fired = alert()
    const { request } = await accept(fired)
    if (outcome === 'denied') await answered(db, { id: request.id, proceed: 'deny' })
    await closeRemediation(db.decision, { id: request.id, ending: { ...ending(outcome), reason }, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId })
    await backdateClose(request.id, 0.9)
    expect(await accept(fired)).toMatchObject({ accepted: 'known' })
    await backdateClose(request.id, 0.1)
    expect(await accept(fired)).toMatchObject({ accepted: 'new', request: { attempt: 2 } })
  })

  test.each(['healed', 'denied', 'needs_human', 'cancelled', 'overtaken'] as const)('one that fires on after %s is not tried again', async (outcome) => {
    const fired = alert()
    const { request } = await accept(fired)
    await close(request.id, outcome)
    await backdateClose(request.id, 600)
    expect(await accept(fired)).toMatchObject({ accepted: 'known' })
  })

  test('a run is told once that all its alerts have stopped', async () => {
    const one = alert()
    const two = alert({ target: one.draft.target })
    const { request } = await accept(one)
    await accept(two)
    await bindRun(db.decision, request.id, 'run')
    expect(await markResolved(db.api, one.signal)).toEqual([])
    expect(await markResolved(db.api, two.signal)).toEqual([request.id])
    expect(await markResolved(db.api, two.signal)).toEqual([])
    const told = (await undeliveredAnswers(db.decision, 100)).filter(({ id }) => id === request.id)
    expect(told).toMatchObject([{ kind: 'resolve', principal: { id: 'aegis' } }])
    const recorded = (await readStream(db.api, request.id)).filter(({ kind }) => kind === 'resolved')
    expect(recorded).toMatchObject([{ actor: { kind: 'system' }, body: { answerId: told[0]?.answerId, fingerprint: two.signal.fingerprint } }])
  })

  test('a run that acts already is left to verify by itself', async () => {
    const fired = alert()
    const { request } = await accept(fired)
    await setPhase(db.decision, request.id, 'acting')
    expect(await markResolved(db.api, fired.signal)).toEqual([])
  })
})

describe('starting', () => {
  test('the relay sees what is not started, oldest first, until it is', async () => {
    const one = (await acceptRequest(db.api, draftOf())).request.id
    const two = (await acceptRequest(db.api, draftOf())).request.id
    const seen = async () => (await unstartedRequests(db.decision, 10_000)).map(({ id }) => id).filter((id) => id === one || id === two)
    expect(await seen()).toEqual([one, two])
    await markStarted(db.decision, one)
    expect(await seen()).toEqual([two])
    await close(two, 'blocked')
    expect(await seen()).toEqual([])
  })

  test('the first run is bound, also when asked twice at once; any other is not', async () => {
    const { request } = await acceptRequest(db.api, draftOf({ principal: alice }))
    const bound = await Promise.all(times(10, () => bindRun(db.decision, request.id, 'first')))
    expect(bound).toMatchObject(times(10, () => ({ bound: 'bound', request: { id: request.id, phase: 'planning' } })))
    expect(await bindRun(db.decision, request.id, 'second')).toEqual({ bound: 'other_run' })
    await close(request.id, 'healed')
    expect(await bindRun(db.decision, request.id, 'first')).toEqual({ bound: 'closed' })
    expect(await bindRun(db.decision, freshId(), 'first')).toEqual({ bound: 'missing' })
  })

const inFlight = async () => [...(await inFlightCounts(db.decision)).values()].reduce((sum, count) => sum + count, 0)

  test('a closed remediation stays closed, and counts no more', async () => {
    const before = await inFlight()
    const id = await started(db)
    expect(await inFlight()).toBe(before + 1)
    await close(id, 'healed')
    await setPhase(db.decision, id, 'planning')
    expect(await inFlight()).toBe(before)
    expect((await loadRequest(db.reader, id))?.phase).toBe('closed')
  })

  test('no phase is closed without its terminal row', async () => {
    const id = await started(db)
    await expect(db.execution.raw(`update ledger.request set phase = 'closed' where id = ?`, [id])).rejects.toMatchObject({ code: 'AE006' })
  })
})
