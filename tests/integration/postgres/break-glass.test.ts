/** The emergency door, and the review that each use of it needs. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { createRegistry } from '../../../adapters/metrics.ts'
import { loadAnswer, recordAnswer, type AnswerDraft } from '../../../adapters/postgres/answers.ts'
import { listBreakGlass, openReviews, reviewBreakGlass, type ReviewDraft } from '../../../adapters/postgres/break-glass.ts'
import { factsForDecision } from '../../../adapters/postgres/facts.ts'
import { liftFreeze, setFreeze } from '../../../adapters/postgres/freeze.ts'
import { readStream } from '../../../adapters/postgres/ledger.ts'
import type { Principal } from '../../../domain/remediation.ts'
import { breakGlassMetrics } from '../../../workers/break-glass-metrics.ts'
import { answered, bob, decided, digest, openDatabase, person, times, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const fresh = () => person(`p-${randomUUID()}`)
const keyOf = ({ owner }: Principal): Principal => ({ id: `key:${randomUUID()}`, kind: 'key', owner, roles: ['approver'] })
const waiting = async (principal = fresh(), namespace = 'shop') =>
  (await decided(db, { proceed: 'ask', principal, groups: ['dba'], target: { cluster: 'main', namespace, kind: 'Deployment', name: `a-${randomUUID().slice(0, 8)}` } })).id
const reason = 'the shop is down and nobody of the group answers'
const breakGlass = (id: string, principal: Principal, over: Partial<AnswerDraft> = {}) =>
  recordAnswer(db.api, { answerId: randomUUID(), id, kind: 'approve', principal, planDigest: digest, comment: reason, breakGlass: true, ...over })
async function used(principal: Principal): Promise<string> {
  const done = await breakGlass(await waiting(), principal)
  if (!done.recorded) throw new Error(done.because)
  return done.answerId
}
const review = (answerId: string, principal: Principal, over: Partial<ReviewDraft> = {}) => reviewBreakGlass(db.api, { answerId, verdict: 'justified', comment: 'I looked', principal, ...over })
const entries = async (stream: string, kind: string) => (await readStream(db.reader, stream)).filter((entry) => entry.kind === kind)

describe('a break-glass', () => {
  test('of whoever asked is an approval on record, marked as what it is, and opens a review', async () => {
    const ann = fresh()
    const id = await waiting(ann)
    const given = await breakGlass(id, ann)
    const answerId = (given as { answerId: string }).answerId
    expect(await loadAnswer(db.decision, answerId)).toMatchObject({ kind: 'approve', breakGlass: true, comment: reason })
    expect((await factsForDecision(db.decision, id, digest))?.approvals).toMatchObject([{ principal: { owner: ann.owner }, breakGlass: true }])
    expect(await entries(id, 'answer')).toMatchObject([{ body: { kind: 'approve', breakGlass: true } }])
    expect((await entries('break_glass', 'break_glass')).at(-1)).toMatchObject({ actor: { owner: ann.owner }, about: { namespace: 'shop', action: 'scale_deployment' }, body: { answerId, remediation: id, reason } })
    expect((await listBreakGlass(db.api, { state: 'open', areas: null, limit: 200 })).items).toContainEqual(expect.objectContaining({ answerId, remediationId: id, owner: ann.owner, reason, review: null }))
  })

  test.each<[string, Partial<AnswerDraft>, string]>([
    ['by a key', { principal: keyOf(bob) }, 'persons_only'],
    ['by a signing caller', { principal: { id: 'caller:bot', kind: 'service', owner: 'ops', roles: ['approver'] } }, 'persons_only'],
    ['of another plan', { planDigest: 'sha256:other' }, 'other_digest'],
  ])('%s is refused, and the ledger knows', async (_what, over, because) => {
    const id = await waiting()
    expect(await breakGlass(id, fresh(), over)).toEqual({ recorded: false, because })
    expect(await entries(id, 'answer_refused')).toMatchObject([{ body: { because, breakGlass: true } }])
  })

  test('passes no freeze, and nothing that does not wait', async () => {
    const id = await waiting(fresh(), 'icy')
    const { freezeId } = await setFreeze(db.api, { scope: { namespace: 'icy' }, reason: 'storm', principal: bob })
    expect(await breakGlass(id, fresh())).toEqual({ recorded: false, because: 'frozen' })
    await liftFreeze(db.api, freezeId, bob)
    expect(await breakGlass((await decided(db)).id, fresh())).toEqual({ recorded: false, because: 'not_waiting' })
    const late = await decided(db, { proceed: 'ask', answerBy: new Date(Date.now() - 1_000) })
    expect(await breakGlass(late.id, fresh())).toEqual({ recorded: false, because: 'not_waiting' })
  })

  test('after one’s own approval is one more answer; the same again is not, until it has lapsed', async () => {
    const [id, ben] = [await waiting(), fresh()]
    expect(await breakGlass(id, ben, { breakGlass: false })).toMatchObject({ recorded: true })
    expect(await breakGlass(id, ben)).toMatchObject({ recorded: true })
    expect(await breakGlass(id, ben)).toEqual({ recorded: false, because: 'already_answered' })
    expect(await breakGlass(id, ben, { breakGlass: false })).toEqual({ recorded: false, because: 'already_answered' })
    await answered(db, { id, proceed: 'ask', approvals: { given: 1, breakGlass: [ben.owner] } })
    expect(await breakGlass(id, ben)).toEqual({ recorded: false, because: 'already_answered' })
    await answered(db, { id, proceed: 'ask', approvals: { given: 0 } })
    expect(await breakGlass(id, ben)).toMatchObject({ recorded: true })
  })

  test('of whoever asked makes nobody’s approval lapse', async () => {
    const ann = fresh()
    const [id, ben] = [await waiting(ann), fresh()]
    await breakGlass(id, ann)
    await breakGlass(id, ben, { breakGlass: false })
    await answered(db, { id, proceed: 'ask', approvals: { given: 1, breakGlass: [ann.owner] } })
    expect(await breakGlass(id, ben, { breakGlass: false })).toEqual({ recorded: false, because: 'already_answered' })
  })

  test('with three that nobody has reviewed there is no fourth, however many come at once', async () => {
    const ben = fresh()
    const ids = await Promise.all(times(6, () => waiting()))
    const all = await Promise.all(ids.map((id) => breakGlass(id, ben)))
    expect(all.filter(({ recorded }) => recorded)).toHaveLength(3)
    const refused = ids[all.findIndex(({ recorded }) => !recorded)]!
    expect(all.find(({ recorded }) => !recorded)).toEqual({ recorded: false, because: 'review_due' })
    expect(await entries(refused, 'answer_refused')).toMatchObject([{ body: { because: 'review_due', breakGlass: true } }])
    expect(await breakGlass(refused, ben, { breakGlass: false })).toMatchObject({ recorded: true })
    await review((all.find(({ recorded }) => recorded) as { answerId: string }).answerId, fresh(), { verdict: 'unjustified' })
    expect(await breakGlass(await waiting(), ben)).toMatchObject({ recorded: true })
  })

  test('with one that nobody has reviewed for a day there is no other', async () => {
    const ben = fresh()
    const first = await used(ben)
    await db.owner.raw(`update ledger.answer set at = now() - interval '24 hours 1 second' where answer_id = ?`, [first])
    expect(await breakGlass(await waiting(), ben)).toEqual({ recorded: false, because: 'review_due' })
    expect(Date.now() - Date.parse((await openReviews(db.decision)).oldestAt!)).toBeGreaterThan(86_400_000)
    await review(first, fresh())
    expect(await breakGlass(await waiting(), ben)).toMatchObject({ recorded: true })
  })

  test('the database takes none but a person’s, whatever the code does', async () => {
    const id = await waiting()
    const insert = (kind: string) => db.api.raw(`insert into ledger.answer (answer_id, id, kind, principal, owner, plan_digest, comment, break_glass) values (gen_random_uuid(), ?, 'approve', ?, 'x', 'd', '', true)`, [id, JSON.stringify({ kind })])
    await expect(insert('key')).rejects.toMatchObject({ code: '23514' })
    await expect(db.api.raw(`insert into ledger.answer (answer_id, id, kind, principal, owner, plan_digest, comment, break_glass) values (gen_random_uuid(), ?, 'approve', '{}', 'x', 'd', '', true)`, [id])).rejects.toMatchObject({ code: '23514' })
  })
})

describe('a review', () => {
  test('is another person’s, once, and on record beside what it is about', async () => {
    const ben = fresh()
    const answerId = await used(ben)
    const before = (await openReviews(db.reader)).count
    expect(await review(answerId, ben)).toEqual({ reviewed: false, because: 'own_review' })
    expect(await review(answerId, keyOf(ben))).toEqual({ reviewed: false, because: 'own_review' })
    expect(await review(answerId, keyOf(fresh()))).toEqual({ reviewed: false, because: 'persons_only' })
    expect(await review(randomUUID(), fresh())).toEqual({ reviewed: false, because: 'missing' })
    const eve = fresh()
    const all = await Promise.all([eve, fresh(), fresh()].map((one) => review(answerId, one, { verdict: 'unjustified', comment: 'somebody was there' })))
    expect(all.filter(({ reviewed }) => reviewed)).toHaveLength(1)
    expect(all.filter(({ reviewed }) => !reviewed)).toEqual(Array.from({ length: 2 }, () => ({ reviewed: false, because: 'reviewed_already' })))
    expect((await entries('break_glass', 'break_glass_reviewed')).at(-1)).toMatchObject({ body: { answerId, verdict: 'unjustified', comment: 'somebody was there' }, about: { cluster: 'main' } })
    expect((await openReviews(db.reader)).count).toBe(before - 1)
    expect((await listBreakGlass(db.api, { state: 'reviewed', areas: null, limit: 200 })).items).toContainEqual(expect.objectContaining({ answerId, review: expect.objectContaining({ verdict: 'unjustified', comment: 'somebody was there' }) }))
  })

  test('of one’s own, or of an ordinary approval, the database refuses too', async () => {
    const ben = fresh()
    const answerId = await used(ben)
    const insert = (answer: string, owner: string) => db.api.raw(`insert into ledger.break_glass_review (answer_id, verdict, comment, reviewer, owner) values (?, 'justified', '', 'x', ?)`, [answer, owner])
    await expect(insert(answerId, ben.owner.toUpperCase())).rejects.toMatchObject({ code: 'AE006' })
    const plain = await breakGlass(await waiting(), ben, { breakGlass: false })
    await expect(insert((plain as { answerId: string }).answerId, 'eve')).rejects.toMatchObject({ code: 'AE006' })
  })

  test('that nobody gives shows in the figures that an alert goes by, which age between rounds', async () => {
    const registry = createRegistry('test')
    const round = breakGlassMetrics(registry, db.decision)
    const figure = async (name: string) => Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(await registry.metrics())?.[1])
    const [count, oldest] = ['aegis_break_glass_open_reviews', 'aegis_break_glass_oldest_review_seconds'] as const
    expect([await figure(count), await figure(oldest)]).toEqual([0, 0])
    const first = await used(fresh())
    await db.owner.raw(`update ledger.answer set at = now() - interval '30 hours' where answer_id = ?`, [first])
    await round()
    const [open, age] = [await figure(count), await figure(oldest)]
    expect(open).toBe((await openReviews(db.reader)).count)
    expect(age).toBeGreaterThanOrEqual(30 * 3_600)
    await review(first, fresh())
    await new Promise((wake) => setTimeout(wake, 20))
    expect(await figure(oldest)).toBeGreaterThan(age)
    await round()
    expect(await figure(count)).toBe(open - 1)
    expect(await figure(oldest)).toBeLessThan(30 * 3_600)
  })

  test('pages run from newest to oldest, and show what lies in one’s own namespaces alone', async () => {
    const namespace = `n-${randomUUID().slice(0, 8)}`
    const made: string[] = []
    for (let at = 0; at < 3; at++) made.unshift(((await breakGlass(await waiting(fresh(), namespace), fresh(), { answerId: (await db.owner.raw(`select ledger.entry_id((extract(epoch from clock_timestamp()) * 1000)::bigint, 'a', ?) as id`, [String(at)])).rows[0].id as string })) as { answerId: string }).answerId)
    const areas = [{ cluster: 'main', namespace }]
    const first = await listBreakGlass(db.api, { areas, limit: 2 })
    const rest = await listBreakGlass(db.api, { areas, limit: 2, cursor: first.next! })
    expect([...first.items, ...rest.items].map(({ answerId }) => answerId)).toEqual(made)
    expect(rest.next).toBeNull()
    expect((await listBreakGlass(db.api, { areas: [], limit: 2 })).items).toEqual([])
  })
})
