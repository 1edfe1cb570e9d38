import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { recordAnswer } from '../../adapters/postgres/answers.ts'
import { demoteRung } from '../../adapters/postgres/autonomy.ts'
import { closeRemediation } from '../../adapters/postgres/close.ts'
import { beginAttempt, recordIntent, settleIntent } from '../../adapters/postgres/intents.ts'
import { readStream } from '../../adapters/postgres/ledger.ts'
import { reserve } from '../../adapters/postgres/reserve.ts'
import { saveVerification } from '../../adapters/postgres/verifications.ts'
import type { Door, Mode, Outcome } from '../../domain/remediation.ts'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { cli } from '../helpers/cli.ts'
import { answered, bob, decided, digest, freshId, neverBreaks, openDatabase, person, reservationOf, started, warranted, workload, type TestDatabase } from './postgres/database.ts'

/** One that the shipped policies have. */
const policy = 'scale-up-a-little'

let db: TestDatabase
let api: TestApi
let [admin, approver, user] = ['', '', '']
beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: '127.0.0.1:1' })
  ;[admin, approver, user] = (await Promise.all((['admin', 'approver', 'user'] as const).map((role) => keyFor(db.api, [role])))).map(({ key }) => key) as [string, string, string]
})
afterAll(async () => {
  await api.close()
  await db.close()
})

const path = '/api/v1/autonomy'
const freshNamespace = () => `n-${randomUUID()}`
const standing = (mode: Mode, ceiling: Mode = 'auto') => [{ policy, ceiling, mode }]
const target = (namespace: string, name: string = randomUUID()) => ({ cluster: 'main', namespace, kind: 'Deployment' as const, name })

type Place = { mode: Mode; rung: { mode: Mode; by: string } | null; held: boolean; proposal: string | null; why: string; evidence: Record<'suggestions' | 'approvals' | 'acts', Record<string, number>> & { lastBadAt: string | null } }
const placeOf = async (namespace: string): Promise<Place> => ((await api.call('GET', `${path}?namespace=${namespace}`, { key: user })).body['items'] as Place[])[0]!
const step = (word: 'promote' | 'demote', namespace: string, mode: string, key = admin) => api.call('POST', `${path}/${word}`, { key, body: { policy, namespace, mode, reason: 'because of the evidence' } })

const close = (id: string, outcome: Outcome) =>
  closeRemediation(db.decision, { id, ending: { outcome, reason: 'r', message: 'm', verdict: null }, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId, breaker: neverBreaks })

/** Suggested by itself so long ago, and started by a person so soon afterwards, if at all. */
async function suggested({ namespace, agoMs = 2 * dayMs, name, takenAfterMs, door = 'alert', by = 'api' }: { namespace: string; agoMs?: number; name?: string; takenAfterMs?: number; door?: Door; by?: Door }): Promise<string> {
  const { id, decisionId } = await decided(db, { proceed: 'suggest', door, target: target(namespace, name), standing: standing('suggest') })
  await close(id, 'suggested')
  await db.owner.raw(`update ledger.decision set decided_at = now() - ? * interval '1 ms' where decision_id = ?`, [agoMs, decisionId])
  if (takenAfterMs === undefined) return id
  const { rows: [row] } = await db.owner.raw('select name from ledger.request where id = ?', [id])
  const taken = await started(db, { door: by, target: target(namespace, row.name) })
  await db.owner.raw(`update ledger.request set accepted_at = now() - ? * interval '1 ms' where id = ?`, [agoMs - takenAfterMs, taken])
  return id
}

/** Asked about; approved, carried out, and ended so; or rejected. */
async function asked({ namespace, answer = 'approve', ended = 'healed', ceiling }: { namespace: string; answer?: 'approve' | 'reject' | 'cancel'; ended?: 'healed' | 'needs_human'; ceiling?: Mode }): Promise<string> {
  const at = target(namespace)
  const { id } = await decided(db, { proceed: 'ask', target: at, standing: standing('approve', ceiling) })
  expect(await recordAnswer(db.api, { answerId: randomUUID(), id, kind: answer, principal: bob, planDigest: answer === 'approve' ? digest : null, comment: '' })).toMatchObject({ recorded: true })
  if (answer !== 'approve') {
    await close(id, answer === 'reject' ? 'declined' : 'cancelled')
    return id
  }
  const decisionId = randomUUID()
  await answered(db, { id, decisionId, proceed: 'act', standing: standing('approve', ceiling) })
  const reserved = await reserve(db.decision, reservationOf(id, { workload: workload(at.name, namespace) }))
  if (!reserved.reserved) throw new Error(`not reserved: ${reserved.because}`)
  const key = { id, phase: 'act', planDigest: digest, warrantId: await warranted(db, { id, decisionId }, 'act'), claimToken: reserved.claimToken } as const
  await recordIntent(db.execution, { ...key, runId: 'run' })
  await beginAttempt(db.execution, key)
  await settleIntent(db.execution, { id, phase: 'act', result: 'applied', detail: {} })
  await saveVerification(db.execution, { id, digest, verdict: ended === 'healed' ? 'better' : 'same', evidence: 'seen' })
  expect(await close(id, ended)).toMatchObject({ closed: true, ending: { outcome: ended } })
  return id
}

const dayMs = 86_400_000
const repeat = async (count: number, once: () => Promise<unknown>) => {
  for (let made = 0; made < count; made++) await once()
}

/** Rungs and endings are put back in time, guards aside: nothing else here can wait for a week. */
const aWeekAgo = (namespace: string) =>
  db.owner.transaction(async (trx) => {
    await trx.raw('alter table ledger.rung disable trigger refuse_change')
    await trx.raw(`update ledger.rung set at = now() - interval '8 days' where namespace = ?`, [namespace])
    await trx.raw('alter table ledger.rung enable always trigger refuse_change')
    await trx.raw(`update ledger.terminal set closed_at = now() - interval '8 days' where id in (select id from ledger.request where namespace = ?)`, [namespace])
  })

describe('what counts as a suggestion that people agreed with', () => {
  test.each<[string, object, number, number]>([
    ['the same, started by a person within a day', { takenAfterMs: dayMs - 60_000 }, 1, 0],
    ['started by a person a day later', { takenAfterMs: dayMs + 60_000 }, 0, 1],
    ['left aside for a day', {}, 0, 1],
    ['not a day old yet, and open', { agoMs: dayMs / 2 }, 0, 0],
    ['asked for again by an alert', { takenAfterMs: 60_000, by: 'alert' }, 0, 1],
    ['a person’s own wish, at `suggest`', { door: 'api', takenAfterMs: 60_000 }, 0, 0],
    ['older than 90 days', { agoMs: 91 * dayMs, takenAfterMs: 60_000 }, 0, 0],
  ])('%s', async (_name, over, agreed, ignored) => {
    const namespace = freshNamespace()
    await suggested({ namespace, agoMs: dayMs / 3 }) // so that there is a place to look at
    await suggested({ namespace, ...over })
    expect((await placeOf(namespace)).evidence.suggestions).toMatchObject({ agreed, ignored })
  })

  test('an alert that comes back twenty times in a day is one suggestion', async () => {
    const namespace = freshNamespace()
    for (let hour = 0; hour < 20; hour++) await suggested({ namespace, name: 'flapping', agoMs: 3 * dayMs - hour * 3_600_000 })
    await suggested({ namespace, name: 'flapping', agoMs: dayMs + 7_200_000, takenAfterMs: 60_000 })
    expect((await placeOf(namespace)).evidence.suggestions).toMatchObject({ agreed: 1, ignored: 1 })
  })
})

test('a policy that the settings hold is proposed all the same, with where to raise it; the ladder cannot', async () => {
  const namespace = freshNamespace()
  await repeat(16, () => asked({ namespace, ceiling: 'approve' }))
  expect(await placeOf(namespace)).toMatchObject({ mode: 'approve', rung: null, held: false, proposal: 'auto', why: expect.stringMatching(/16 of 16 acts healed vouch for 80 %; what caps it .* raise it there/) })
  const got = await step('promote', namespace, 'auto')
  expect([got.status, got.problem.code, got.problem.nextStep]).toEqual([409, 'not_held', expect.stringContaining('AEGIS_NAMESPACE_MODES')])
})

test('a break-glass is nobody’s agreement', async () => {
  const namespace = freshNamespace()
  await asked({ namespace })
  const at = target(namespace)
  const { id } = await decided(db, { proceed: 'ask', target: at, standing: standing('approve') })
  const glass = { answerId: randomUUID(), id, kind: 'approve' as const, principal: bob, planDigest: digest, comment: 'nobody answers', breakGlass: true }
  expect(await recordAnswer(db.api, glass)).toMatchObject({ recorded: true })
  expect((await placeOf(namespace)).evidence.approvals).toMatchObject({ approved: 1, declined: 0 })
  expect(await recordAnswer(db.api, { ...glass, answerId: randomUUID(), principal: person('carol'), breakGlass: false })).toMatchObject({ recorded: true })
  expect((await placeOf(namespace)).evidence.approvals).toMatchObject({ approved: 2, declined: 0 })
})

describe('from a bad outcome back to the top', () => {
  const namespace = freshNamespace()

  test('what people answered and how it ended is counted, a no and a cancel alike', async () => {
    expect((await step('demote', namespace, 'approve')).status).toBe(200)
    await repeat(2, () => asked({ namespace }))
    await asked({ namespace, answer: 'reject' })
    await asked({ namespace, answer: 'cancel' })
    expect(await placeOf(namespace)).toMatchObject({ mode: 'approve', evidence: { approvals: { approved: 2, declined: 2, bound: expect.closeTo(0.15, 2) }, acts: { healed: 2, bad: 0 }, lastBadAt: null } })
  })

  test('a bad outcome demotes, and what people said before it no longer counts', async () => {
    const id = await asked({ namespace, ended: 'needs_human' })
    expect(await placeOf(namespace)).toMatchObject({ mode: 'suggest', held: true, proposal: null, rung: { mode: 'suggest', kind: 'demoted', by: 'aegis', remediationId: id }, evidence: { approvals: { approved: 0, declined: 0 }, acts: { healed: 2, bad: 1 }, lastBadAt: expect.any(String) } })
    const shown = await api.call('GET', `/api/v1/remediations/${id}`, { key: user })
    expect(shown.body['demotions']).toMatchObject([{ policy, mode: 'suggest', namespace }])
  })

  test('without evidence nobody promotes it, and is told what is missing', async () => {
    const got = await step('promote', namespace, 'approve')
    expect([got.status, got.problem.code]).toEqual([409, 'not_proposed'])
    expect(got.problem.detail).toMatch(/^for `approve` 0 of 0 suggestions taken up vouch for 0 %, wanted at least 80 %; the last bad outcome has to be 7 days old/)
    expect((await step('promote', freshNamespace(), 'approve')).problem.code).toBe('no_history')
  })

  test('with it, a week later, an admin does: by the rung that is proposed, once, on record', async () => {
    await aWeekAgo(namespace)
    await repeat(15, () => suggested({ namespace, takenAfterMs: 60_000 }))
    expect((await step('promote', namespace, 'approve')).problem.detail).toMatch(/15 of 15/)
    await suggested({ namespace, takenAfterMs: 60_000 })
    expect(await placeOf(namespace)).toMatchObject({ proposal: 'approve', mode: 'suggest', evidence: { suggestions: { agreed: 16, ignored: 0, bound: expect.closeTo(0.8064, 4) } } })

    expect((await step('promote', namespace, 'approve', approver)).status).toBe(403)
    expect((await step('promote', namespace, 'auto')).problem.code).toBe('other_mode')
    const got = await Promise.all([1, 2, 3].map(() => step('promote', namespace, 'approve')))
    expect(got.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409])
    expect(await placeOf(namespace)).toMatchObject({ mode: 'approve', proposal: null, rung: { mode: 'approve', kind: 'promoted', by: expect.stringMatching(/^key:/) } })
    const entries = (await readStream(db.reader, 'autonomy')).filter(({ body }) => body['namespace'] === namespace)
    expect(entries.map(({ kind }) => kind)).toEqual(['demoted', 'demoted', 'promoted'])
    expect(entries.at(-1)).toMatchObject({ actor: { owner: 'owner-of-admin' }, body: { mode: 'approve', reason: 'because of the evidence', evidence: { suggestions: { agreed: 16 }, from: 'suggest' } } })
  })

  test('an approver takes it down again, as far as they like', async () => {
    expect((await step('demote', namespace, 'observe', user)).status).toBe(403)
    expect((await step('demote', namespace, 'observe', approver)).body).toMatchObject({ mode: 'observe', kind: 'demoted', reason: 'because of the evidence' })
    expect((await step('demote', namespace, 'suggest', approver)).problem).toMatchObject({ status: 409, code: 'not_lower', detail: expect.stringContaining('`observe` already') })
    expect(await placeOf(namespace)).toMatchObject({ mode: 'observe', proposal: 'suggest', why: expect.stringContaining('nothing acts either') })
  })
})

test('a promotion that meets a step down waits for it, and is then refused', async () => {
  const namespace = freshNamespace()
  await step('demote', namespace, 'suggest')
  await aWeekAgo(namespace)
  await repeat(16, () => suggested({ namespace, takenAfterMs: 60_000 }))
  const down = await db.api.transaction()
  await demoteRung(down, { policy, cluster: 'main', namespace, mode: 'observe', reason: 'stop', principal: bob })
  const up = step('promote', namespace, 'approve')
  await new Promise((wake) => setTimeout(wake, 300))
  await down.commit()
  expect((await up).problem).toMatchObject({ status: 409, code: 'other_mode' })
  expect(await placeOf(namespace)).toMatchObject({ mode: 'observe' })
})

describe('the command', () => {
  const aegis = (...args: string[]) => cli({ url: api.url, key: admin, directory: '/nonexistent' })('autonomy', ...args)

  test('shows each place with how much its evidence vouches for, and moves rungs', async () => {
    const namespace = freshNamespace()
    expect(await aegis('demote', policy, namespace, 'approve', '--reason', 'on trial')).toMatchObject({ code: 0, out: `${policy} is at approve in main/${namespace}\n` })
    await asked({ namespace })
    const { code, out } = await aegis('--namespace', namespace)
    expect(code).toBe(0)
    expect(out).toMatch(new RegExp(`${policy} +main/${namespace} +approve +\\[#{6}-{24}\\] +20 % 1/1 +\\[#{6}-{24}\\] +20 % 1/1 +-`))
    expect(out).toContain(`${policy} in main/${namespace}: for \`auto\` 1 of 1 questions approved vouch for 20 %`)
    expect(await aegis('demote', policy, namespace, 'suggest', '--reason', 'not here')).toMatchObject({ code: 0, out: `${policy} is at suggest in main/${namespace}\n` })
    expect(await aegis('promote', policy, `main/${namespace}`, 'approve', '--reason', 'please')).toMatchObject({ code: 1, err: expect.stringContaining('not_proposed') })
    expect(await aegis('promote', policy, namespace, 'approve')).toMatchObject({ code: 2, err: expect.stringContaining('--reason') })
    expect(await aegis('demote', policy, 'a/b/c', 'approve', '--reason', 'x')).toMatchObject({ code: 2 })
  })
})

test('one who starts what was suggested by way of a service has not agreed', async () => {
  const namespace = freshNamespace()
  const id = await suggested({ namespace })
  const { rows: [row] } = await db.owner.raw('select name from ledger.request where id = ?', [id])
  const taken = await started(db, { door: 'executor', principal: { ...person('robot'), roles: ['service'] }, target: target(namespace, row.name) })
  await db.owner.raw(`update ledger.request set accepted_at = now() - interval '47 hours' where id = ?`, [taken])
  expect((await placeOf(namespace)).evidence.suggestions).toMatchObject({ agreed: 0, ignored: 1 })
})
