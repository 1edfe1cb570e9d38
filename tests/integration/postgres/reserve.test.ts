import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { recordAnswer } from '../../../adapters/postgres/answers.ts'
import { closeRemediation } from '../../../adapters/postgres/close.ts'
import { liftFreeze, setFreeze } from '../../../adapters/postgres/freeze.ts'
import { recordIntent, settleIntent } from '../../../adapters/postgres/intents.ts'
import { readStream } from '../../../adapters/postgres/ledger.ts'
import { acceptSignal, bindRun, markResolved } from '../../../adapters/postgres/requests.ts'
import { reserve, type Reserved } from '../../../adapters/postgres/reserve.ts'
import { saveVerification } from '../../../adapters/postgres/verifications.ts'
import type { LimitRule } from '../../../domain/limits.ts'
import type { Outcome } from '../../../domain/remediation.ts'
import { bob, decided, digest, draftOf, freshId, openDatabase, permitted, person, reservationOf, started, times, workload, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const ending = (outcome: Outcome) => ({ outcome, reason: 'because', message: 'because', verdict: null })
const close = (id: string, outcome: Outcome) =>
  closeRemediation(db.decision, { id, ending: ending(outcome), source: 'workflow', runId: 'run', firstRunId: null, newId: freshId })
const rule = (over: Partial<LimitRule> = {}): LimitRule => ({ key: 'scale', action: 'scale_deployment', scope: 'namespace', limit: 5, windowMs: 60_000, ...over })

/** Reserves for a fresh remediation on a fresh workload of `namespace`. */
async function ask(namespace: string, limits: LimitRule[], over: Partial<Parameters<typeof reservationOf>[1]> = {}): Promise<{ id: string; answer: Reserved }> {
  const id = await started(db)
  return { id, answer: await reserve(db.decision, reservationOf(id, { workload: workload(randomUUID(), namespace), limits, undo: false, ...over })) }
}

describe('limits', () => {
  test('sixty at once at a limit of five: exactly five, however often each asks', async () => {
    const namespace = randomUUID()
    const other = db.connect('decision')
    const ids = await Promise.all(times(60, () => started(db)))
    const wanted = ids.map((id) => reservationOf(id, { workload: workload(randomUUID(), namespace), limits: [rule()], undo: false }))
    const answers = await Promise.all([...wanted, ...wanted].map((each, index) => reserve(index % 2 ? db.decision : other, each)))
    const admitted = new Set(answers.flatMap((answer, index) => (answer.reserved ? [ids[index % 60]] : [])))
    expect(admitted.size).toBe(5)
    expect(answers.filter(({ reserved }) => !reserved)).toContainEqual({ reserved: false, because: 'limited', rule: 'scale', retryAfterMs: 60_000, limit: 5, taken: 5, wanted: 1 })
  })

  test('without the lock on the key, more than five get in: the test above bites', async () => {
    const namespace = randomUUID()
    const countThenInsert = async (id: string) => {
      const { rows } = await db.decision.raw('select count(*)::integer as taken from ledger.reservation where key = ?', [namespace])
      if (rows[0].taken >= 5) return false
      await db.decision.raw(`insert into ledger.reservation (id, phase, key, window_ms) values (?, 'act', ?, 60000)`, [id, namespace])
      return true
    }
    const ids = await Promise.all(times(60, () => started(db)))
    const admitted = (await Promise.all(ids.map(countThenInsert))).filter((taken) => taken)
    expect(admitted.length).toBeGreaterThan(5)
  })

  test('an act takes room for its undo too, and gives it back when it ends without an effect', async () => {
    const namespace = randomUUID()
    const limits = [rule({ limit: 4 })]
    const one = await ask(namespace, limits, { undo: true })
    await ask(namespace, limits, { undo: true })
    expect((await ask(namespace, limits)).answer).toMatchObject({ because: 'limited' })
    await close(one.id, 'overtaken')
    expect((await ask(namespace, limits, { undo: true })).answer).toEqual({ reserved: true, claimToken: 1 })
  })

  test('an effect holds its room for a whole window after it; without one it is given back', async () => {
    const limits = [rule({ limit: 1, scope: 'workload', windowMs: 1_500 })]
    const given = await permitted(db, { limits: [rule({ limit: 2, scope: 'workload', windowMs: 1_500 })] })
    await recordIntent(db.execution, { ...given, runId: 'run' })
    await settleIntent(db.execution, { id: given.id, phase: 'act', result: 'applied', detail: {} })
    const { rows } = await db.owner.raw('select name from ledger.claim where holder = ?', [given.id])
    await saveVerification(db.execution, { id: given.id, digest: given.planDigest, verdict: 'better', evidence: 'seen' })
    await close(given.id, 'healed')
    const again = async () => reserve(db.decision, reservationOf(await started(db), { workload: workload(rows[0].name), limits, undo: false }))
    expect(await again()).toMatchObject({ because: 'limited' })
    await new Promise((wake) => setTimeout(wake, 1_600))
    expect(await again()).toMatchObject({ reserved: true, claimToken: 2 })
  })

  test('rules of other actions and other places do not count', async () => {
    const [here, there] = [randomUUID(), randomUUID()]
    const limits = [rule({ limit: 1 })]
    await ask(here, limits)
    expect((await ask(there, limits)).answer).toMatchObject({ reserved: true })
    expect((await ask(here, limits, { action: 'restart_pod' })).answer).toMatchObject({ reserved: true })
    expect((await ask(here, [rule({ limit: 1, action: '*', key: 'any' })])).answer).toMatchObject({ reserved: true })
    expect((await ask(here, [rule({ limit: 1, action: '*', key: 'any' })], { action: 'restart_pod' })).answer).toMatchObject({ because: 'limited', rule: 'any' })
  })

  test('remediations at once are counted from reserve to close', async () => {
    const namespace = randomUUID()
    const concurrency = [{ key: 'at-once', scope: 'namespace', limit: 3 } as const]
    const all = await Promise.all(times(20, () => ask(namespace, [], { concurrency })))
    const held = all.filter(({ answer }) => answer.reserved)
    expect(held).toHaveLength(3)
    expect((await ask(namespace, [], { concurrency })).answer).toMatchObject({ because: 'limited', rule: 'at-once' })
    await close(held[0]?.id ?? '', 'overtaken')
    expect((await ask(namespace, [], { concurrency })).answer).toMatchObject({ reserved: true })
  })
})

describe('the claim', () => {
  const on = async (name: string, over: Parameters<typeof reservationOf>[1] = {}) => {
    const id = await started(db)
    return { id, answer: await reserve(db.decision, reservationOf(id, { workload: workload(name), ...over })) }
  }

  test('is held by one, and asking again gives the same token', async () => {
    const name = randomUUID()
    const ids = await Promise.all(times(20, () => started(db)))
    const answers = await Promise.all(ids.map((id) => reserve(db.decision, reservationOf(id, { workload: workload(name) }))))
    expect(answers.filter(({ reserved }) => reserved)).toEqual([{ reserved: true, claimToken: 1 }])
    const holder = ids[answers.findIndex(({ reserved }) => reserved)] ?? ''
    expect(answers.filter(({ reserved }) => !reserved)).toEqual(times(19, () => ({ reserved: false, because: 'coalesced', into: holder })))
    expect(await reserve(db.decision, reservationOf(holder, { workload: workload(name) }))).toEqual({ reserved: true, claimToken: 1 })
  })

  test('rises with every holder', async () => {
    const name = randomUUID()
    const first = await on(name)
    await close(first.id, 'overtaken')
    expect((await on(name)).answer).toEqual({ reserved: true, claimToken: 2 })
  })

  test('held for another action means waiting for a turn, without a hand-off', async () => {
    const name = randomUUID()
    const first = await on(name)
    expect((await on(name, { action: 'rollback_deployment' })).answer).toEqual({ reserved: false, because: 'busy', holder: first.id })
  })

  test('kept for a person blocks', async () => {
    const name = randomUUID()
    const first = await on(name)
    await close(first.id, 'needs_human')
    expect((await on(name)).answer).toEqual({ reserved: false, because: 'kept_for_person', by: first.id })
  })

  test('is not given to a closed remediation, nor to one nobody accepted', async () => {
    const id = await started(db)
    await close(id, 'denied')
    expect(await reserve(db.decision, reservationOf(id))).toEqual({ reserved: false, because: 'closed' })
    await expect(reserve(db.decision, reservationOf(freshId()))).rejects.toMatchObject({ kind: 'missing' })
  })
})

describe('a hand-off', () => {
  /** A request that met its own action under way, on a workload of this name. */
  const handedOff = async (name: string) => {
    const holder = await started(db)
    await reserve(db.decision, reservationOf(holder, { workload: workload(name) }))
    const id = await started(db)
    const wanted = reservationOf(id, { workload: workload(name) })
    return { holder, id, wanted, answer: await reserve(db.decision, wanted) }
  }

  test('stands when the reply to it was lost: whoever acts on behalf of the request, it does not', async () => {
    const { holder, wanted, answer } = await handedOff(randomUUID())
    expect(answer).toEqual({ reserved: false, because: 'coalesced', into: holder })
    expect(await reserve(db.decision, wanted)).toEqual(answer)
    await close(holder, 'cancelled')
    const { rows } = await db.owner.raw(`select became from ledger.handoff where into_id = ?`, [holder])
    expect(rows[0].became).toEqual(expect.any(String))
    expect(await reserve(db.decision, wanted)).toEqual({ reserved: false, because: 'coalesced', into: rows[0].became })
  })

  test('is an entry of its own, once', async () => {
    const { holder, id, wanted } = await handedOff(randomUUID())
    await reserve(db.decision, wanted)
    expect((await readStream(db.reader, id)).filter(({ kind }) => kind === 'handed_off')).toMatchObject([{ body: { into: holder } }])
  })

  test('is not left when the step that left it cannot be recorded', async () => {
    const name = randomUUID()
    await reserve(db.decision, reservationOf(await started(db), { workload: workload(name) }))
    const id = await started(db)
    const now = new Date()
    const step = () => ({ id: freshId(), step: 'reserve', call: 'c', attempt: 1, startedAt: now, endedAt: now, result: 'ok', code: null, summary: '', facts: {} }) as const
    await expect(reserve(db.decision, reservationOf(id, { workload: workload(name) }), step)).rejects.toMatchObject({ kind: 'missing' })
    expect((await db.owner.raw('select from ledger.handoff where from_id = ?', [id])).rows).toEqual([])
  })
})

describe('what is committed against acting counts, whatever the run was told', () => {
  const nothingTaken = async (id: string) => expect((await db.owner.raw('select from ledger.claim where holder = ?', [id])).rows).toEqual([])

  test('the alert stopped', async () => {
    const signal = { fingerprint: randomUUID(), startsAt: '2026-01-01T00:00:00Z', labelsDigest: 'l' }
    const { request } = await acceptSignal(db.api, draftOf({ door: 'alert', fault: 'oom_killed', target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: randomUUID() } }), signal)
    await bindRun(db.decision, request.id, 'run')
    expect(await markResolved(db.api, signal)).toEqual([request.id])
    expect(await reserve(db.decision, reservationOf(request.id, { workload: workload(randomUUID()) }))).toEqual({ reserved: false, because: 'resolved' })
    await nothingTaken(request.id)
  })

  test('one person approved, and another declined', async () => {
    const { id } = await decided(db, { proceed: 'ask' })
    const answer = { id, planDigest: digest, comment: 'not today' }
    expect(await recordAnswer(db.api, { ...answer, answerId: randomUUID(), kind: 'approve', principal: bob })).toMatchObject({ recorded: true })
    expect(await recordAnswer(db.api, { ...answer, answerId: randomUUID(), kind: 'reject', principal: person('carol') })).toMatchObject({ recorded: true })
    expect(await reserve(db.decision, reservationOf(id, { workload: workload(randomUUID()) }))).toEqual({ reserved: false, because: 'rejected', by: 'carol', comment: 'not today' })
    await nothingTaken(id)
  })
})

test.each([
  ['everything', {}],
  ['the cluster', { cluster: 'main' }],
  ['the namespace', { namespace: 'shop' }],
  ['the action', { action: 'scale_deployment' as const }],
])('a freeze of %s refuses, and lifting it lets through', async (_what, scope) => {
  const { freezeId } = await setFreeze(db.api, { scope, reason: 'storm', principal: bob })
  const id = await started(db)
  const wanted = reservationOf(id, { workload: workload(randomUUID()) })
  expect(await reserve(db.decision, wanted)).toEqual({ reserved: false, because: 'frozen', freezeId, reason: 'storm' })
  expect(await liftFreeze(db.api, freezeId, bob)).toMatchObject({ freezeId })
  expect(await reserve(db.decision, wanted)).toMatchObject({ reserved: true })
})

test.each([
  ['another cluster', { cluster: 'edge' }],
  ['another namespace', { namespace: 'bank' }],
  ['another action', { action: 'restart_pod' as const }],
  ['the namespace of another cluster', { cluster: 'edge', namespace: 'shop' }],
])('a freeze of %s does not', async (_what, scope) => {
  const { freezeId } = await setFreeze(db.api, { scope, reason: 'storm', principal: bob })
  expect(await reserve(db.decision, reservationOf(await started(db), { workload: workload(randomUUID()) }))).toMatchObject({ reserved: true })
  await liftFreeze(db.api, freezeId, bob)
})
