import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { recordAnswer } from '../../../adapters/postgres/answers.ts'
import { closeBreaker, openBreakers } from '../../../adapters/postgres/breakers.ts'
import { closeRemediation, releaseClaim } from '../../../adapters/postgres/close.ts'
import { recordIntent, settleIntent } from '../../../adapters/postgres/intents.ts'
import { readStream } from '../../../adapters/postgres/ledger.ts'
import { setPhase } from '../../../adapters/postgres/requests.ts'
import { reserve, type Reservation, type Reserved } from '../../../adapters/postgres/reserve.ts'
import { saveDecision, type Autonomy } from '../../../adapters/postgres/decisions.ts'
import { wouldHaveDone } from '../../../adapters/postgres/trials.ts'
import { saveVerification } from '../../../adapters/postgres/verifications.ts'
import type { Budget } from '../../../domain/guards/disruption.ts'
import type { Outcome, Principal } from '../../../domain/remediation.ts'
import { alice, answered, bob, decided, digest, freshId, openDatabase, permitted, reservationOf, started, times, workload, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const close = (id: string, outcome: Outcome, verdict: 'better' | 'worse' | null = null) =>
  closeRemediation(db.decision, { id, ending: { outcome, reason: 'because', message: 'because', verdict }, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId })

/** One remediation of `policy` on a workload of its own or of this name, to its end. Returns its id. */
async function acted(policy: string, outcome: 'healed' | 'needs_human', name: string = randomUUID()): Promise<string> {
  const given = await permitted(db, { name, standing: [{ policy, ceiling: 'auto', mode: 'auto' }] })
  await recordIntent(db.execution, { ...given, runId: 'run' })
  await settleIntent(db.execution, { id: given.id, phase: 'act', result: 'applied', detail: {} })
  const verdict = outcome === 'healed' ? 'better' : null
  if (verdict) await saveVerification(db.execution, { id: given.id, digest: given.planDigest, verdict, evidence: 'seen' })
  await close(given.id, outcome, verdict)
  return given.id
}

const ask = async (over: Partial<Reservation> = {}, policy?: string): Promise<{ id: string; answer: Reserved }> => {
  const id = await started(db)
  if (policy) await answered(db, { id, proceed: 'act', standing: [{ policy, ceiling: 'auto', mode: 'auto' }] })
  return { id, answer: await reserve(db.decision, reservationOf(id, { workload: workload(randomUUID()), ...over })) }
}

describe('a percent budget', () => {
  const budget = (amount: number, limit: number): Budget => ({ name: 'some of the pods', scope: 'namespace', amount, limit, windowMs: 600_000 })

  test('admits until the pods are taken, and says how many are', async () => {
    const namespace = randomUUID()
    const taking = (amount: number) => ask({ workload: workload(randomUUID(), namespace), budgets: [budget(amount, 3)] })
    expect((await taking(2)).answer).toMatchObject({ reserved: true })
    expect((await taking(2)).answer).toMatchObject({ because: 'limited', rule: 'some of the pods', limit: 3, taken: 2, wanted: 2 })
    expect((await taking(1)).answer).toMatchObject({ reserved: true })
  })

  test('of sixty at once lets in what there is room for', async () => {
    const namespace = randomUUID()
    const answers = await Promise.all(times(60, () => ask({ workload: workload(randomUUID(), namespace), budgets: [budget(2, 7)] })))
    expect(answers.filter(({ answer }) => answer.reserved)).toHaveLength(3)
  })

  test('is not taken for the undo, which puts back what stood before', async () => {
    const { id } = await ask({ undo: true, budgets: [budget(1, 1_000)] })
    const { rows } = await db.owner.raw('select phase, amount from ledger.reservation where id = ?', [id])
    expect(rows).toEqual([{ phase: 'act', amount: 1 }])
  })
})

test('what the cluster speaks against is refused in its own words, and nothing is taken', async () => {
  const objection = { guard: 'majority_unhealthy', message: '4 of 5 fail' } as const
  const { id, answer } = await ask({ objection })
  expect(answer).toEqual({ reserved: false, because: 'guarded', ...objection })
  expect((await db.owner.raw('select from ledger.claim where holder = ?', [id])).rows).toEqual([])
})

describe('the breaker of a policy', () => {
  test('opens with the third that ends badly, refuses what the policy permits, and nothing else, until a person closes it', async () => {
    const [policy, other] = [`p-${randomUUID()}`, `p-${randomUUID()}`]
    await acted(policy, 'needs_human')
    await acted(policy, 'needs_human')
    expect((await ask({}, policy)).answer).toMatchObject({ reserved: true })
    const last = await acted(policy, 'needs_human')
    const { answer } = await ask({}, policy)
    expect(answer).toMatchObject({ because: 'guarded', guard: 'breaker_open' })
    expect(answer).toMatchObject({ message: expect.stringMatching(new RegExp(`3 remediations failed .*aegis breaker close ${policy}`)) })
    expect((await ask({}, other)).answer).toMatchObject({ reserved: true })
    expect(await openBreakers(db.reader)).toContainEqual({ policy, reason: expect.any(String), remediationId: last, openedAt: expect.any(String) })

    expect(await closeBreaker(db.api, { policy, reason: 'a bad image, gone', principal: bob })).toBe(true)
    expect(await closeBreaker(db.api, { policy, reason: 'again', principal: bob })).toBe(false)
    expect((await ask({}, policy)).answer).toMatchObject({ reserved: true })
    await acted(policy, 'needs_human')
    expect((await ask({}, policy)).answer).toMatchObject({ reserved: true }) // what was counted before counts no more
    const entries = (await readStream(db.reader, 'breakers')).filter(({ body }) => body['policy'] === policy)
    expect(entries.map(({ kind, actor }) => [kind, actor.id])).toEqual([['breaker_opened', 'aegis'], ['breaker_closed', 'bob']])
  })

  test('opens by its share of the last that ended, counted anew since it was closed', async () => {
    const policy = `p-${randomUUID()}`
    const long = { failures: 100, windowMs: 1_000, percent: 30, last: 10 }
    for (const outcome of [...times(6, () => 'healed' as const), ...times(3, () => 'needs_human' as const)]) await acted(policy, outcome)
    await closeBreaker(db.api, { policy, reason: 'three within the hour', principal: bob })
    for (const outcome of [...times(6, () => 'healed' as const)]) await acted(policy, outcome)
    const given = await permitted(db, { standing: [{ policy, ceiling: 'auto', mode: 'auto' }] })
    await recordIntent(db.execution, { ...given, runId: 'run' })
    await settleIntent(db.execution, { id: given.id, phase: 'act', result: 'applied', detail: {} })
    const ending = { outcome: 'needs_human', reason: 'because', message: 'because', verdict: null } as const
    const bad = { ending, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId } as const
    await closeRemediation(db.decision, { id: given.id, ...bad, breaker: { ...long, last: 7, percent: 14 } })
    expect((await openBreakers(db.reader)).find((one) => one.policy === policy)?.reason).toMatch(/^1 of the last 7 /)
  })

  test('opens once, when three end badly at the same time', async () => {
    const policy = `p-${randomUUID()}`
    const given = await Promise.all(times(6, async () => {
      const one = await permitted(db, { standing: [{ policy, ceiling: 'auto', mode: 'auto' }] })
      await recordIntent(db.execution, { ...one, runId: 'run' })
      await settleIntent(db.execution, { id: one.id, phase: 'act', result: 'applied', detail: {} })
      return one
    }))
    await Promise.all(given.map(({ id }) => close(id, 'needs_human')))
    expect((await openBreakers(db.reader)).filter((one) => one.policy === policy)).toHaveLength(1)
  })

  test('counts nothing that changed nothing', async () => {
    const policy = `p-${randomUUID()}`
    for (const _ of times(4, () => 0)) {
      const given = await permitted(db, { standing: [{ policy, ceiling: 'auto', mode: 'auto' }] })
      await close(given.id, 'needs_human')
    }
    expect((await ask({}, policy)).answer).toMatchObject({ reserved: true })
  })
})

describe('a workload that was acted on too often', () => {
  const flap = { limit: 3, windowMs: 3_600_000 }

  test('is kept for a person, who begins the count anew', async () => {
    const name = randomUUID()
    for (const _ of times(2, () => 0)) await acted('p', 'healed', name)
    const again = (over: Partial<Reservation> = {}) => ask({ workload: workload(name), flap, ...over })
    const third = await again()
    expect(third.answer).toMatchObject({ reserved: true })
    await close(third.id, 'cancelled')
    await acted('p', 'healed', name)

    const fourth = await again()
    expect(fourth.answer).toEqual({ reserved: false, because: 'quarantined', effects: 3 })
    expect(await reserve(db.decision, reservationOf(fourth.id, { workload: workload(name), flap }))).toMatchObject({ because: 'quarantined' })
    expect((await again()).answer).toEqual({ reserved: false, because: 'kept_for_person', by: fourth.id })
    expect((await readStream(db.reader, fourth.id)).at(-1)).toMatchObject({ kind: 'quarantined', body: { effects: 3 } })
    await close(fourth.id, 'needs_human')
    expect((await again()).answer).toEqual({ reserved: false, because: 'kept_for_person', by: fourth.id })

    expect(await releaseClaim(db.api, { id: fourth.id }, bob)).toBe(true)
    expect((await again()).answer).toMatchObject({ reserved: true })
  })

  test('stays kept when the run that met it is lost', async () => {
    const name = randomUUID()
    for (const _ of times(3, () => 0)) await acted('p', 'healed', name)
    const fourth = await ask({ workload: workload(name), flap })
    await close(fourth.id, 'blocked')
    expect((await ask({ workload: workload(name), flap })).answer).toEqual({ reserved: false, because: 'kept_for_person', by: fourth.id })
  })

  test('is another one’s no concern, and no older effect’s', async () => {
    const name = randomUUID()
    for (const _ of times(3, () => 0)) await acted('p', 'healed', name)
    expect((await ask({ flap })).answer).toMatchObject({ reserved: true })
    expect((await ask({ workload: workload(name), flap: { limit: 3, windowMs: 1 } })).answer).toMatchObject({ reserved: true })
  })
})

describe('soon after the last effect on a workload', () => {
  test('nothing acts by itself, unless people approve the plan knowing of it', async () => {
    const name = randomUUID()
    await acted('p', 'healed', name)
    const { id } = await decided(db, { proceed: 'ask' })
    const wanted = reservationOf(id, { workload: workload(name), afterActionMs: 600_000 })
    expect(await reserve(db.decision, wanted)).toMatchObject({ because: 'guarded', guard: 'after_action', message: expect.stringMatching(/acted on \d+ s ago and is left alone for 600 s/) })
    expect(await reserve(db.decision, { ...wanted, id: await started(db), afterActionMs: 1 })).toMatchObject({ reserved: true })
    await db.owner.raw(`update ledger.claim set state = 'free', holder = null where name = ?`, [name])

    await setPhase(db.decision, id, 'awaiting_approval')
    expect(await recordAnswer(db.api, { answerId: randomUUID(), id, kind: 'approve', principal: bob, planDigest: digest, comment: '' })).toMatchObject({ recorded: true })
    expect(await reserve(db.decision, { ...wanted, planDigest: 'sha256:another' })).toMatchObject({ guard: 'after_action' })
    expect(await reserve(db.decision, wanted)).toMatchObject({ reserved: true })
  })

  test('a break-glass of whoever asked is no approval that knows of it; another person’s is', async () => {
    const name = randomUUID()
    await acted('p', 'healed', name)
    const { id } = await decided(db, { proceed: 'ask' })
    const glass = (principal: Principal) => recordAnswer(db.api, { answerId: randomUUID(), id, kind: 'approve', principal, planDigest: digest, comment: '', breakGlass: true })
    const wanted = reservationOf(id, { workload: workload(name), afterActionMs: 600_000 })
    expect(await glass(alice)).toMatchObject({ recorded: true })
    expect(await reserve(db.decision, wanted)).toMatchObject({ guard: 'after_action' })
    expect(await glass(bob)).toMatchObject({ recorded: true })
    expect(await reserve(db.decision, wanted)).toMatchObject({ reserved: true })
  })

  test('an approval of before it does not count', async () => {
    const name = randomUUID()
    const { id } = await decided(db, { proceed: 'ask' })
    expect(await recordAnswer(db.api, { answerId: randomUUID(), id, kind: 'approve', principal: bob, planDigest: digest, comment: '' })).toMatchObject({ recorded: true })
    await acted('p', 'healed', name)
    expect(await reserve(db.decision, reservationOf(id, { workload: workload(name), afterActionMs: 600_000 }))).toMatchObject({ guard: 'after_action' })
  })
})

test('what a policy on trial would have done is on record, with whether a person then did it', async () => {
  const policy = `p-${randomUUID()}`
  const suggest = async () => {
    const target = { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: randomUUID() } as const
    const id = await started(db, { target, door: 'alert', principal: { id: 'am', kind: 'service', owner: 'am', roles: ['service'] } })
    const autonomy: Autonomy = { given: 'auto', rungs: [], standing: [], mode: 'suggest', code: 'policy_trial', message: 'm', floor: null, trial: { policies: [policy, 'other'], otherwise: 'act' } }
    const decision = { effect: 'allow', code: 'allowed', snapshot: 's', now: 0, tzdata: 't' }
    await saveDecision(db.decision, { decisionId: randomUUID(), id, planDigest: digest, input: {}, decision, autonomy, proceed: 'suggest', answerBy: null })
    return { id, target }
  }
  const [first, second] = [await suggest(), await suggest()]
  await started(db, { target: first.target })
  const found = await wouldHaveDone(db.reader, policy)
  expect(found.map(({ remediationId, otherwise, askedByPerson }) => [remediationId, otherwise, askedByPerson])).toEqual([[second.id, 'act', false], [first.id, 'act', true]])
  expect(await wouldHaveDone(db.reader, 'nobody')).toEqual([])
})

test('rate_limit_tracking shows what is taken of each limit', async () => {
  const limits = [{ key: 'scale', action: 'scale_deployment', scope: 'namespace', limit: 5, windowMs: 60_000 } as const]
  const namespace = randomUUID()
  await ask({ workload: workload(randomUUID(), namespace), limits, undo: false })
  const given = await permitted(db, { namespace, limits: [...limits] })
  await recordIntent(db.execution, { ...given, runId: 'run' })
  await settleIntent(db.execution, { id: given.id, phase: 'act', result: 'applied', detail: {} })
  const { rows } = await db.reader.raw('select window_ms, pending, used, room_comes_back_at > now() as later from ledger.rate_limit_tracking where key like ?', [`%${namespace}%`])
  expect(rows).toEqual([{ window_ms: '60000', pending: '2', used: '1', later: true }])
})
