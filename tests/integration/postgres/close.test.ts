import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { acceptRequest, acceptSignal, loadRequest, markResolved } from '../../../adapters/postgres/requests.ts'
import { listAudit } from '../../../adapters/postgres/audit.ts'
import { recordAnswer } from '../../../adapters/postgres/answers.ts'
import { closeRemediation, releaseClaim, type Closing } from '../../../adapters/postgres/close.ts'
import { beginAttempt, markFencing, settleIntent } from '../../../adapters/postgres/intents.ts'
import { appendEntry, readStream, systemActor } from '../../../adapters/postgres/ledger.ts'
import { overdueRequests, unsettledRemediations } from '../../../adapters/postgres/reconcile.ts'
import { reserve } from '../../../adapters/postgres/reserve.ts'
import { saveVerification } from '../../../adapters/postgres/verifications.ts'
import type { Ending, Outcome, Verdict } from '../../../domain/remediation.ts'
import { uuidv7 } from '../../../domain/uuid.ts'
import { bob, decided, draftOf, freshId, openDatabase, recorded, reservationOf, started, times, workload, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const ending = (outcome: Outcome, reason = 'because'): Ending => ({ outcome, reason, message: 'm', verdict: null })
const close = (id: string, outcome: Outcome, over: Partial<Closing> = {}) =>
  closeRemediation(db.decision, { id, ending: ending(outcome), source: 'workflow', runId: 'run', firstRunId: null, newId: freshId, ...over })
const claimOf = async (id: string) => (await db.owner.raw('select state, token from ledger.claim where holder = ?', [id])).rows[0]
const pendingRoom = async (id: string) =>
  Number((await db.owner.raw('select count(*) from ledger.reservation where id = ? and effect_at is null and released_at is null', [id])).rows[0].count)
const limits = [{ key: 'k', action: '*', scope: 'workload', limit: 9, windowMs: 60_000 } as const]

test('twenty closers at once, workflow and reconciler: one terminal row, and all are told the same', async () => {
  const id = await started(db)
  const reconciler = db.connect('decision')
  const closed = await Promise.all(
    times(20, (index) => (index % 2 ? close(id, 'healed') : closeRemediation(reconciler, { id, ending: ending('blocked'), source: 'reconciler', runId: null, firstRunId: null, newId: freshId }))),
  )
  expect(closed.filter((each) => each.closed)).toHaveLength(1)
  expect(new Set(closed.map((each) => each.ending.outcome)).size).toBe(1)
  expect((await readStream(db.reader, id)).filter(({ kind }) => kind === 'closed')).toHaveLength(1)
  expect((await loadRequest(db.reader, id))?.phase).toBe('closed')
})

describe('while a call may still land', () => {
  test.each(['sent', 'fencing'])('(%s) it closes for a person only, and keeps claim and room', async (state) => {
    const given = await recorded(db, { limits })
    await beginAttempt(db.execution, given)
    if (state === 'fencing') await markFencing(db.execution, given.id, 'act')
    const closed = await close(given.id, 'healed')
    expect(closed).toMatchObject({ closed: true, ending: { outcome: 'needs_human', reason: 'unfenced' } })
    expect(await claimOf(given.id)).toMatchObject({ state: 'kept' })
    expect(await pendingRoom(given.id)).toBe(2)
  })

  test('release gives the claim back, counts the room from now on, and is recorded', async () => {
    const given = await recorded(db, { limits })
    await beginAttempt(db.execution, given)
    await close(given.id, 'healed')
    expect(await releaseClaim(db.api, { id: given.id }, bob)).toBe(true)
    expect(await releaseClaim(db.api, { id: given.id }, bob)).toBe(false)
    expect(await claimOf(given.id)).toBeUndefined()
    expect(await pendingRoom(given.id)).toBe(0)
    expect((await readStream(db.reader, 'claims')).at(-1)).toMatchObject({ actor: { id: 'bob' }, body: { remediation: given.id } })
  })

  test('a fenced or settled call no longer keeps it open', async () => {
    const given = await recorded(db, { limits })
    await beginAttempt(db.execution, given)
    await markFencing(db.execution, given.id, 'act')
    await settleIntent(db.execution, { id: given.id, phase: 'act', result: 'fenced', detail: {} })
    expect(await close(given.id, 'cancelled')).toMatchObject({ ending: { outcome: 'cancelled' } })
    expect(await claimOf(given.id)).toBeUndefined()
    expect(await pendingRoom(given.id)).toBe(0)
  })

  test('an intent that never was sent holds nothing', async () => {
    const given = await recorded(db, { limits })
    expect(await close(given.id, 'cancelled')).toMatchObject({ ending: { outcome: 'cancelled' } })
    expect(await claimOf(given.id)).toBeUndefined()
    expect(await pendingRoom(given.id)).toBe(0)
  })
})

test('a close and an attempt at once: sent means it closed for a person', async () => {
  for (const given of await Promise.all(times(10, () => recorded(db)))) {
    const [closed, begun] = await Promise.all([close(given.id, 'cancelled'), beginAttempt(db.execution, given)])
    expect(closed.ending.outcome).toBe(begun.go ? 'needs_human' : 'cancelled')
  }
})

test('release by workload, and only of what is kept', async () => {
  const name = randomUUID()
  const { uid: _uid, ...ref } = workload(name)
  const given = await recorded(db, { name })
  expect(await releaseClaim(db.api, { workload: ref }, bob)).toBe(false)
  await close(given.id, 'needs_human')
  expect(await releaseClaim(db.api, { workload: ref }, bob)).toBe(true)
})

describe('hand-offs', () => {
  const handOff = async (name: string, over: Parameters<typeof draftOf>[0] = {}) => {
    const target = { cluster: 'main', namespace: 'shop', kind: 'Deployment', name } as const
    const id = await started(db, { target, ...over })
    expect(await reserve(db.decision, reservationOf(id, { workload: workload(name) }))).toMatchObject({ because: 'coalesced' })
    return id
  }
  const successors = async (name: string) =>
    (await db.owner.raw(`select id, door, phase, parameters from ledger.request where name = ? and door = 'handoff' order by id`, [name])).rows
  const act = async (given: Awaited<ReturnType<typeof recorded>>) => {
    await beginAttempt(db.execution, given)
    await settleIntent(db.execution, { id: given.id, phase: 'act', result: 'applied', detail: {} })
  }

  test('unread at the end become requests, once per wish', async () => {
    const name = randomUUID()
    const given = await recorded(db, { name })
    await handOff(name)
    await handOff(name)
    await handOff(name, { parameters: { replicas: 9 } })
    await close(given.id, 'cancelled')
    expect(await successors(name)).toMatchObject([{ phase: 'accepted', parameters: { replicas: 4 } }, { parameters: { replicas: 9 } }])
    for (const { id } of await successors(name)) expect(await readStream(db.reader, id)).toMatchObject([{ kind: 'requested', body: { door: 'handoff' } }])
  })

  test('of a person stay a person\'s, beside the same wish for a fault', async () => {
    const name = randomUUID()
    const given = await recorded(db, { name })
    await handOff(name, { fault: 'stuck_pod' })
    await handOff(name)
    await close(given.id, 'cancelled')
    const faults = (await db.owner.raw(`select fault from ledger.request where name = ? and door = 'handoff' order by fault`, [name])).rows
    expect(faults).toEqual([{ fault: 'stuck_pod' }, { fault: null }])
  })

  test('that asked for what was then done are answered by it', async () => {
    const name = randomUUID()
    const given = await recorded(db, { name })
    await handOff(name)
    await act(given)
    await handOff(name, { parameters: { replicas: 9 } })
    await close(given.id, 'healed')
    expect(await successors(name)).toMatchObject([{ parameters: { replicas: 9 } }])
  })

  test('that came after the effect ask again', async () => {
    const name = randomUUID()
    const given = await recorded(db, { name })
    await act(given)
    await handOff(name)
    await close(given.id, 'healed')
    expect(await successors(name)).toHaveLength(1)
  })

  test.each(['cancelled', 'blocked', 'no_action_needed'] as const)('of a request that ended `%s` ask for nothing any more', async (outcome) => {
    const name = randomUUID()
    const given = await recorded(db, { name })
    const id = await handOff(name)
    await close(id, outcome)
    await close(given.id, 'cancelled')
    expect(await successors(name)).toEqual([])
  })

  test('of a request that ended by them stand', async () => {
    const name = randomUUID()
    const given = await recorded(db, { name })
    await close(await handOff(name), 'coalesced')
    await close(given.id, 'cancelled')
    expect(await successors(name)).toHaveLength(1)
  })

  test.each(['cancel', 'reject'] as const)('of a request that met a %s before it ended ask for nothing any more', async (kind) => {
    const name = randomUUID()
    const given = await recorded(db, { name })
    const { id } = await decided(db, { proceed: 'ask', target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name } })
    expect(await reserve(db.decision, reservationOf(id, { workload: workload(name) }))).toMatchObject({ because: 'coalesced' })
    expect(await recordAnswer(db.api, { answerId: randomUUID(), id, kind, principal: bob, planDigest: null, comment: '' })).toMatchObject({ recorded: true })
    await close(id, 'coalesced')
    await close(given.id, 'cancelled')
    expect(await successors(name)).toEqual([])
  })

  test('of a request that is being closed are read when that is over', async () => {
    const name = randomUUID()
    const given = await recorded(db, { name })
    const id = await handOff(name)
    const closing = await db.decision.transaction()
    await closeRemediation(closing, { id, ending: ending('cancelled'), source: 'workflow', runId: 'run', firstRunId: null, newId: freshId })
    const holderClosed = close(given.id, 'cancelled')
    await new Promise((wake) => setTimeout(wake, 200))
    await closing.commit()
    await holderClosed
    expect(await successors(name)).toEqual([])
  })

  /** An alert's request that met its own action under way, and ended by that. */
  const handedAlert = async () => {
    const name = randomUUID()
    const given = await recorded(db, { name })
    const target = { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: `${name}-b` } as const
    const signal = { fingerprint: randomUUID(), startsAt: '2026-01-01T00:00:00Z', labelsDigest: 'l' }
    const { request } = await acceptSignal(db.api, draftOf({ door: 'alert', fault: 'oom_killed', target }), signal)
    expect(await reserve(db.decision, reservationOf(request.id, { workload: workload(name) }))).toMatchObject({ because: 'coalesced' })
    await close(request.id, 'coalesced')
    return { holder: given.id, signal, name: target.name }
  }

  test('of an alert pass it on: the successor hears when it stops', async () => {
    const { holder, signal, name } = await handedAlert()
    await close(holder, 'cancelled')
    const [{ id }] = await successors(name)
    expect(await markResolved(db.api, signal)).toEqual([id])
  })

  test('of an alert that has stopped ask for nothing any more', async () => {
    const { holder, signal, name } = await handedAlert()
    expect(await markResolved(db.api, signal)).toEqual([])
    await close(holder, 'cancelled')
    expect(await successors(name)).toEqual([])
  })

  test('of an alert that stops at that very moment: either it is left, or its successor is told', async () => {
    for (let round = 0; round < 10; round++) {
      const { holder, signal, name } = await handedAlert()
      const [told] = await Promise.all([markResolved(db.api, signal), close(holder, 'cancelled')])
      expect(await successors(name)).toEqual(told.map((id) => expect.objectContaining({ id })))
    }
  })
})

describe('the reconciler', () => {
  test('finds what is started, silent and not closed', async () => {
    const given = await recorded(db)
    const quiet = async (idleMs: number) => (await unsettledRemediations(db.decision, { idleMs, limit: 10_000 })).find(({ id }) => id === given.id)
    expect(await quiet(60_000)).toBeUndefined()
    await db.owner.raw(`update ledger.stream_head set last_at = now() - interval '2 minutes' where stream = ?`, [given.id])
    await db.owner.raw(`update ledger.request set started_at = now() - interval '2 minutes' where id = ?`, [given.id])
    expect(await quiet(60_000)).toEqual({ id: given.id, cluster: 'main' })
    await close(given.id, 'blocked')
    expect(await quiet(60_000)).toBeUndefined()
  })

  test('finds what was never started before its deadline', async () => {
    const { request } = await acceptSignal(db.api, draftOf({ door: 'alert', deadlineMs: 1 }), { fingerprint: randomUUID(), startsAt: 's', labelsDigest: 'l' })
    await new Promise((wake) => setTimeout(wake, 10))
    expect((await overdueRequests(db.decision, 100)).map(({ id }) => id)).toContain(request.id)
    await close(request.id, 'blocked')
    expect((await overdueRequests(db.decision, 100)).map(({ id }) => id)).not.toContain(request.id)
  })
})

describe('a stream that began more than 30 days ago', () => {
  /** Accepted so long ago, and forgotten: with the guard of the ledger put aside, and its month made. */
  const forgotten = async (): Promise<string> => {
    const startMs = Date.now() - 31 * 86_400_000
    const id = uuidv7(startMs, crypto.getRandomValues(new Uint8Array(10)))
    const month = (ahead: number) => Date.UTC(new Date(startMs).getUTCFullYear(), new Date(startMs).getUTCMonth() + ahead)
    const name = `audit_event_${new Date(startMs).toISOString().slice(0, 7).replace('-', '_')}`
    await db.owner.raw(`create table if not exists ledger.${name} partition of ledger.audit_event for values from (ledger.uuid_floor(${month(0)})) to (ledger.uuid_floor(${month(1)}))`)
    await db.owner.transaction(async (trx) => {
      await trx.raw('alter table ledger.audit_event disable trigger guard_event_time')
      await acceptRequest(trx, draftOf({ id }))
      await trx.raw('alter table ledger.audit_event enable always trigger guard_event_time')
    })
    return id
  }

  test('ends all the same, and its ending is found by the time it came', async () => {
    const id = await forgotten()
    const from = new Date()
    expect(await close(id, 'blocked')).toMatchObject({ closed: true })
    expect((await readStream(db.reader, id)).map(({ kind }) => kind)).toEqual(['requested', 'closed'])
    expect((await listAudit(db.reader, { areas: null, stream: id, from, limit: 10 })).items).toMatchObject([{ kind: 'closed' }])
  })

  test('goes on in no other way', async () => {
    const id = await forgotten()
    await expect(appendEntry(db.decision, { stream: id, stepKey: 'k', kind: 'step', actor: systemActor, body: {} })).rejects.toMatchObject({ code: 'too_old' })
  })
})

describe('an ending may neither deny nor make up what is on record', () => {
  const applied = async (verdict?: Verdict) => {
    const key = await recorded(db)
    await beginAttempt(db.execution, key)
    await settleIntent(db.execution, { id: key.id, phase: 'act', result: 'applied', detail: {} })
    if (verdict) await saveVerification(db.execution, { id: key.id, digest: key.planDigest, verdict, evidence: 'seen' })
    return key.id
  }
  test.each(['no_action_needed', 'blocked', 'cancelled', 'overtaken', 'undone'] as const)('with an effect in the cluster `%s` becomes a person’s case', async (outcome) => {
    expect((await close(await applied(), outcome)).ending).toMatchObject({ outcome: 'needs_human', reason: 'unverified' })
  })
  test('healed, and cancelled while it was being verified, stand', async () => {
    expect((await close(await applied('better'), 'healed')).ending.outcome).toBe('healed')
    expect((await close(await applied(), 'cancelled', { ending: ending('cancelled', 'cancelled_during_verify') })).ending.outcome).toBe('cancelled')
  })
  test.each([undefined, 'worse', 'same', 'unknown'] as const)('healed on the verdict %s becomes a person’s case', async (verdict) => {
    expect((await close(await applied(verdict), 'healed')).ending).toMatchObject({ outcome: 'needs_human', reason: 'unverified' })
  })
  test('it is the newest verdict that counts', async () => {
    const id = await applied('better')
    await saveVerification(db.execution, { id, digest: 'sha256:p', verdict: 'worse', evidence: 'seen' })
    expect((await close(id, 'healed')).ending).toMatchObject({ outcome: 'needs_human', reason: 'unverified' })
  })
  test.each(['healed', 'undone'] as const)('`%s` without any change becomes a person’s case', async (outcome) => {
    expect((await close(await started(db), outcome)).ending).toMatchObject({ outcome: 'needs_human', reason: 'unverified', message: expect.stringContaining('no change of it is on record') })
  })
})

test('a run that is not the one bound to the request closes nothing', async () => {
  const id = await started(db)
  const { rows } = await db.owner.raw('select first_run_id from ledger.request where id = ?', [id])
  expect(await close(id, 'cancelled', { firstRunId: 'another-chain' })).toMatchObject({ closed: false })
  expect((await close(id, 'blocked', { firstRunId: rows[0].first_run_id })).closed).toBe(true)
})
