import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { recordAnswer } from '../../../adapters/postgres/answers.ts'
import { guardFacts, markFrozen, markKept, markThawed } from '../../../adapters/postgres/freeze-applied.ts'
import { cancelFreezeWindow, scheduleFreeze } from '../../../adapters/postgres/freeze-windows.ts'
import { activeFreezes, keptFreezes, liftFreeze, setFreeze } from '../../../adapters/postgres/freeze.ts'
import { beginAttempt, recordIntent } from '../../../adapters/postgres/intents.ts'
import { readStream } from '../../../adapters/postgres/ledger.ts'
import { listen } from '../../../adapters/postgres/listen.ts'
import { reserve } from '../../../adapters/postgres/reserve.ts'
import { eventually } from '../../helpers/stack.ts'
import { alice, bob, decided, digest, openDatabase, permitted, recorded, reservationOf, workload, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const freezing = (scope: Parameters<typeof setFreeze>[1]['scope']) => setFreeze(db.api, { scope, reason: 'storm', principal: bob })
const lifting = (freezeId: string) => liftFreeze(db.api, freezeId, bob)

describe('a freeze of a policy stops what that policy is behind, and nothing else', () => {
  test.each([['night', false], ['day', true]])('frozen: `night`, allowed by `%s`: through %s', async (policy, through) => {
    const asked = await decided(db, { proceed: 'ask', answerBy: new Date(Date.now() + 60_000), binding: [policy], target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: randomUUID() } })
    const wanted = await decided(db, { binding: [policy], target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: randomUUID() } })
    const warranted = await permitted(db, { binding: [policy] })
    const ready = await recorded(db, { binding: [policy] })
    const { freezeId } = await freezing({ policy: 'night' })

    expect((await reserve(db.decision, reservationOf(wanted.id, { workload: workload(randomUUID()) }))).reserved).toBe(through)
    expect(await recordIntent(db.execution, { ...warranted, runId: 'run' })).toBe(through ? 'recorded' : 'frozen')
    expect((await beginAttempt(db.execution, ready)).go).toBe(through)
    const approval = { answerId: randomUUID(), id: asked.id, kind: 'approve' as const, principal: { ...bob, id: 'carol', owner: 'carol' }, planDigest: digest, comment: '' }
    expect((await recordAnswer(db.api, approval)).recorded).toBe(through)
    await lifting(freezeId)
  })

  test('the guard is told of the calls it let go and that may be under way', async () => {
    const [sent, other, waiting] = [await recorded(db, { binding: ['night'] }), await recorded(db, { binding: ['day'] }), await recorded(db, { binding: ['night'] })]
    for (const each of [sent, other]) expect(await beginAttempt(db.execution, each)).toMatchObject({ go: true })
    const { freezeId } = await freezing({ policy: 'night', cluster: 'main' })
    expect((await guardFacts(db.guard, 'main', [])).inForce).toEqual([{ freezeId, scope: { policy: 'night' }, held: [sent.id] }])
    expect((await guardFacts(db.guard, 'edge', [])).inForce).toEqual([])
    expect(waiting.id).not.toBe(sent.id)
    await lifting(freezeId)
  })
})

test('a freeze that was known ahead is one for the guard from its beginning to its end', async () => {
  const scheduled = (fromMs: number, toMs: number) =>
    scheduleFreeze(db.api, { scope: { cluster: 'main', namespace: 'shop' }, from: new Date(Date.now() + fromMs), to: new Date(Date.now() + toMs), zone: 'UTC', localFrom: '', localTo: '', reason: 'sale', principal: bob })
  const [on, ahead] = [await scheduled(-1_000, 60_000), await scheduled(60_000, 120_000)]
  expect((await guardFacts(db.guard, 'main', [])).inForce).toEqual([{ freezeId: on.windowId, scope: { namespace: 'shop' }, held: [] }])
  expect((await guardFacts(db.guard, 'edge', [])).inForce).toEqual([])
  await cancelFreezeWindow(db.api, on.windowId, bob)
  await cancelFreezeWindow(db.api, ahead.windowId, bob)
  expect(await guardFacts(db.guard, 'main', [on.windowId])).toMatchObject({ inForce: [], lifted: [{ freezeId: on.windowId }] })
  const over = await scheduled(-2_000, 300)
  await eventually('it is over', async () => (await guardFacts(db.guard, 'main', [over.windowId])).lifted.some(({ freezeId }) => freezeId === over.windowId))
})

test('a listener hears of a freeze and of its lifting', async () => {
  const heard: string[] = []
  const listener = listen(db.urlOf('guard'), ['aegis_freeze'], (_channel, payload) => heard.push(payload), { onError: () => undefined })
  const { freezeId } = await eventually('the listener hears', async () => {
    const set = await freezing({ namespace: randomUUID() })
    return heard.includes(set.freezeId) && set
  })
  await lifting(freezeId)
  await eventually('it hears of the lifting', () => heard.filter((each) => each === freezeId).length === 2)
  await listener.close()
  for (const each of await activeFreezes(db.reader)) await lifting(each.freezeId)
})

describe('what a guard says', () => {
  test('is told with the freeze, once, and shown until every cluster admits again', async () => {
    const { freezeId } = await freezing({ action: 'restart_pod' })
    const seen = async () => (await activeFreezes(db.reader)).find((each) => each.freezeId === freezeId)
    expect((await seen())?.applied).toEqual([])
    await markFrozen(db.guard, 'main', freezeId)
    await markFrozen(db.guard, 'main', freezeId) // said again it is said already
    expect((await seen())?.applied).toMatchObject([{ cluster: 'main', frozenAt: expect.any(String), liftedAt: null }])
    await lifting(freezeId)
    expect(await seen()).toMatchObject({ liftedAt: expect.any(String) })
    expect((await guardFacts(db.guard, 'main', [])).lifted.map((each) => each.freezeId)).toEqual([freezeId])
    await markThawed(db.guard, 'main', freezeId)
    expect(await seen()).toBeUndefined()
    const kinds = (await readStream(db.reader, 'freeze')).filter(({ body }) => body['freezeId'] === freezeId).map(({ kind }) => kind)
    expect(kinds).toEqual(['freeze_set', 'freeze_applied', 'freeze_lifted', 'freeze_thawed'])
  })

  test('of a freeze the database has lost is shown, and lifted by its id once', async () => {
    const freezeId = randomUUID()
    await markKept(db.guard, 'main', { freezeId, keys: ['freeze.all'] })
    expect(await keptFreezes(db.reader)).toMatchObject([{ freezeId, cluster: 'main', keys: ['freeze.all'] }])
    expect((await guardFacts(db.guard, 'main', [freezeId])).lifted).toEqual([])
    expect(await liftFreeze(db.api, freezeId, alice)).toMatchObject({ freezeId })
    expect(await liftFreeze(db.api, freezeId, alice)).toBeUndefined()
    expect((await guardFacts(db.guard, 'main', [freezeId])).lifted.map((each) => each.freezeId)).toEqual([freezeId])
    expect(await keptFreezes(db.reader)).toEqual([])
  })

  test('nobody lifts what was never there', async () => expect(await lifting(randomUUID())).toBeUndefined())
})
