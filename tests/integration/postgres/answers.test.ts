import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { loadAnswer, markDelivered, recordAnswer, undeliveredAnswers, type AnswerDraft } from '../../../adapters/postgres/answers.ts'
import { closeRemediation } from '../../../adapters/postgres/close.ts'
import { liftFreeze, setFreeze } from '../../../adapters/postgres/freeze.ts'
import { beginAttempt, settleIntent } from '../../../adapters/postgres/intents.ts'
import { readStream } from '../../../adapters/postgres/ledger.ts'
import { listen } from '../../../adapters/postgres/listen.ts'
import { loadRequest } from '../../../adapters/postgres/requests.ts'
import { alice, answered, bob, decided, digest, freshId, openDatabase, person, recorded, times, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const answer = (id: string, over: Partial<AnswerDraft> = {}) =>
  recordAnswer(db.api, { answerId: randomUUID(), id, kind: 'approve', principal: bob, planDigest: digest, comment: 'go', ...over })
const waiting = async () => (await decided(db, { proceed: 'ask' })).id
const entries = async (id: string, kind: string) => (await readStream(db.reader, id)).filter((entry) => entry.kind === kind)
const close = (id: string) =>
  closeRemediation(db.decision, {
    ...{ id, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId },
    ending: { outcome: 'declined', reason: 'rejected', message: 'm', verdict: null },
  })

describe('an approval', () => {
  test('is a row, a ledger entry and a hint, and is delivered once', async () => {
    const hints: string[] = []
    const listener = listen(db.urlOf('decision'), ['aegis_answer'], (_channel, payload) => hints.push(payload), { onError: (failure) => hints.push(failure.message) })
    await new Promise((wake) => setTimeout(wake, 300))
    const id = await waiting()
    const given = await answer(id)
    const answerId = 'answerId' in given ? given.answerId : ''
    expect(given).toEqual({ recorded: true, answerId })
    expect(await loadAnswer(db.decision, answerId)).toMatchObject({ id, kind: 'approve', principal: bob, planDigest: digest, deliveredAt: null })
    expect(await entries(id, 'answer')).toMatchObject([{ actor: { id: 'bob' }, body: { kind: 'approve', planDigest: digest } }])
    expect((await undeliveredAnswers(db.decision, 100)).map((each) => each.answerId)).toContain(answerId)
    await markDelivered(db.decision, answerId)
    expect((await undeliveredAnswers(db.decision, 100)).map((each) => each.answerId)).not.toContain(answerId)
    await new Promise((wake) => setTimeout(wake, 100))
    expect(hints).toEqual([answerId])
    await listener.close()
  })

  test('sent again after its reply was lost is the same answer', async () => {
    const id = await waiting()
    const answerId = randomUUID()
    expect(await answer(id, { answerId })).toEqual({ recorded: true, answerId })
    expect(await answer(id, { answerId })).toEqual({ recorded: true, answerId })
    expect(await entries(id, 'answer')).toHaveLength(1)
  })

  test.each([
    ['by whoever asked (S1 35)', { principal: alice }, 'own_request'],
    ["by a key of whoever asked", { principal: { id: 'key-1', kind: 'key' as const, owner: 'alice', roles: ['approver' as const] } }, 'own_request'],
    ["by a signing caller of whoever asked (S1 35)", { principal: { id: 'caller:bot', kind: 'service' as const, owner: 'alice', roles: ['approver' as const] } }, 'own_request'],
    ['of another plan (S1 36)', { planDigest: 'sha256:other' }, 'other_digest'],
    ['of no plan', { planDigest: null }, 'other_digest'],
  ])('%s is refused, and the ledger knows', async (_what, over, because) => {
    const id = await waiting()
    expect(await answer(id, over)).toEqual({ recorded: false, because })
    expect(await entries(id, 'answer_refused')).toMatchObject([{ body: { because } }])
  })

  test('by one owner counts once, by another it counts too', async () => {
    const id = await waiting()
    const both = await Promise.all([answer(id), answer(id)])
    expect(both.filter(({ recorded }) => recorded)).toHaveLength(1)
    expect(both).toContainEqual({ recorded: false, because: 'already_answered' })
    expect(await answer(id, { principal: person('carol') })).toMatchObject({ recorded: true })
  })

  test('that lapsed may be given again by the same person; one that still counts may not', async () => {
    const id = await waiting()
    await answer(id)
    await answered(db, { id, proceed: 'ask', approvals: { given: 1 } })
    expect(await answer(id)).toEqual({ recorded: false, because: 'already_answered' })
    await answered(db, { id, proceed: 'ask', approvals: { given: 0 } })
    expect(await answer(id)).toMatchObject({ recorded: true })
    expect(await answer(id)).toEqual({ recorded: false, because: 'already_answered' })
  })

  test('that comes too early, too late or after the end is refused', async () => {
    const { id: acting } = await decided(db)
    expect(await answer(acting)).toEqual({ recorded: false, because: 'not_waiting' })
    const { id: late } = await decided(db, { proceed: 'ask', answerBy: new Date(Date.now() - 1_000) })
    expect(await answer(late)).toEqual({ recorded: false, because: 'not_waiting' })
    const over = await waiting()
    await close(over)
    const before = (await readStream(db.reader, over)).length
    expect(await answer(over)).toEqual({ recorded: false, because: 'closed' })
    expect(await readStream(db.reader, over)).toHaveLength(before)
    expect((await readStream(db.reader, 'answers')).at(-1)?.body).toMatchObject({ remediation: over, because: 'closed' })
    expect(await answer(freshId())).toEqual({ recorded: false, because: 'missing' })
  })

  test('is refused while frozen', async () => {
    const id = await waiting()
    const { freezeId } = await setFreeze(db.api, { scope: { namespace: 'shop' }, reason: 'storm', principal: bob })
    expect(await answer(id)).toEqual({ recorded: false, because: 'frozen' })
    await liftFreeze(db.api, freezeId, bob)
    expect(await answer(id)).toMatchObject({ recorded: true })
  })
})

test('approve and reject at once: a rejection ends it, whoever comes later is told', async () => {
  const id = await waiting()
  const both = await Promise.all(times(10, (index) => answer(id, { kind: index % 2 ? 'reject' : 'approve', principal: person(`p${index}`), planDigest: index % 2 ? null : digest })))
  expect(both.filter((each, index) => index % 2 && each.recorded)).toHaveLength(1)
  expect(await answer(id, { principal: person('late') })).toEqual({ recorded: false, because: 'already_answered' })
})

test('whoever asked may reject and cancel their own request', async () => {
  expect(await answer(await waiting(), { kind: 'reject', principal: alice, planDigest: null })).toMatchObject({ recorded: true })
  expect(await answer(await waiting(), { kind: 'cancel', principal: alice, planDigest: null })).toMatchObject({ recorded: true })
})

describe('a cancel', () => {
  const cancel = (id: string) => answer(id, { kind: 'cancel', planDigest: null })

  test('before anything is sent is recorded, and nothing is sent after it', async () => {
    const given = await recorded(db)
    expect(await cancel(given.id)).toMatchObject({ recorded: true })
    expect(await beginAttempt(db.execution, given)).toEqual({ go: false, because: 'cancelled' })
  })

  test('while a call is on its way is in flight, and stops every further attempt', async () => {
    const given = await recorded(db)
    expect(await beginAttempt(db.execution, given)).toMatchObject({ go: true })
    expect(await cancel(given.id)).toEqual({ recorded: false, because: 'in_flight' })
    expect((await loadRequest(db.decision, given.id))?.stopAttempts).toBe(true)
    expect(await beginAttempt(db.execution, given)).toEqual({ go: false, because: 'cancelled' })
  })

  test('after the effect is known is recorded', async () => {
    const given = await recorded(db)
    await beginAttempt(db.execution, given)
    await settleIntent(db.execution, { id: given.id, phase: 'act', result: 'applied', detail: {} })
    expect(await cancel(given.id)).toMatchObject({ recorded: true })
  })

  test('and an attempt at once: either it was in flight, or nothing was sent', async () => {
    for (const given of await Promise.all(times(10, () => recorded(db)))) {
      const [cancelled, begun] = await Promise.all([cancel(given.id), beginAttempt(db.execution, given)])
      expect(cancelled.recorded).toBe(!begun.go)
    }
  })
})
