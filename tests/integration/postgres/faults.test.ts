import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import { connectDatabase, together } from '../../../adapters/postgres/connect.ts'
import { closeRemediation } from '../../../adapters/postgres/close.ts'
import { activeFreezes, setFreeze } from '../../../adapters/postgres/freeze.ts'
import { beginAttempt, settleIntent } from '../../../adapters/postgres/intents.ts'
import { readStream } from '../../../adapters/postgres/ledger.ts'
import { listen } from '../../../adapters/postgres/listen.ts'
import { acceptRequest, loadRequest } from '../../../adapters/postgres/requests.ts'
import { reserve } from '../../../adapters/postgres/reserve.ts'
import { recordStep } from '../../../adapters/postgres/steps.ts'
import { alice, draftOf, freshId, openDatabase, recorded, reservationOf, started, times, workload, type TestDatabase } from './database.ts'
import { databaseProxy, type DatabaseProxy } from './proxy.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

let proxy: DatabaseProxy
let shaky: Knex
const through = async (role: 'api' | 'decision' | 'execution', poolMax = 2) => {
  proxy = await databaseProxy(db.urlOf(role))
  shaky = connectDatabase({ url: proxy.url, applicationName: 'aegis-test', poolMax })
}
beforeEach(() => through('api'))
afterEach(async () => {
  await proxy.close()
  await shaky.destroy()
})
const role = async (wanted: 'decision' | 'execution') => {
  await proxy.close()
  await shaky.destroy()
  await through(wanted)
}

const unavailable = { name: 'Failure', kind: 'unavailable' }
const count = async (id: string, kind: string) => (await readStream(db.reader, id)).filter((entry) => entry.kind === kind).length

describe('the connection is cut after the commit, and the caller asks again', () => {
  test('a request is stored once', async () => {
    const draft = draftOf()
    proxy.cutAfter('SELECT 1')
    await expect(acceptRequest(shaky, draft)).rejects.toMatchObject(unavailable)
    expect(await acceptRequest(shaky, draft)).toMatchObject({ accepted: 'known', request: { id: draft.id } })
    expect(await count(draft.id, 'requested')).toBe(1)
  })

  test('a reservation is taken once', async () => {
    await role('decision')
    const id = await started(db)
    const wanted = reservationOf(id, { workload: workload(randomUUID()) })
    proxy.cutAfter('COMMIT')
    await expect(reserve(shaky, wanted)).rejects.toMatchObject(unavailable)
    expect(await reserve(shaky, wanted)).toEqual({ reserved: true, claimToken: 1 })
    expect(await count(id, 'reserved')).toBe(1)
  })

  test('an attempt that was let through counts as maybe sent', async () => {
    await role('execution')
    const given = await recorded(db)
    proxy.cutAfter('COMMIT')
    await expect(beginAttempt(shaky, given)).rejects.toMatchObject(unavailable)
    expect(await beginAttempt(shaky, given)).toEqual({ go: true, attempt: 2 })
  })

  test('a result is settled once', async () => {
    await role('execution')
    const { id } = await recorded(db)
    proxy.cutAfter('COMMIT')
    const result = { id, phase: 'act', result: 'applied', detail: { resourceVersion: '7' } } as const
    await expect(settleIntent(shaky, result)).rejects.toMatchObject(unavailable)
    expect(await settleIntent(shaky, result)).toEqual({ settled: true, result: 'applied' })
    expect(await count(id, 'settled')).toBe(1)
  })

  test('an ending is written once, and is the one that was asked for', async () => {
    await role('decision')
    const id = await started(db)
    const ending = { outcome: 'blocked', reason: 'policy', message: 'm', verdict: null } as const
    const closing = { id, ending, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId } as const
    proxy.cutAfter('COMMIT')
    await expect(closeRemediation(shaky, closing)).rejects.toMatchObject(unavailable)
    expect(await closeRemediation(shaky, closing)).toEqual({ closed: false, ending })
    expect(await count(id, 'closed')).toBe(1)
  })

  test('a step is one entry', async () => {
    const id = await started(db)
    await role('decision')
    const at = new Date()
    const step = { id, step: 'plan', call: 'c', attempt: 1, startedAt: at, endedAt: at, result: 'ok', code: null, summary: '', facts: {} } as const
    proxy.cutAfter('SELECT 1')
    await expect(recordStep(shaky, step)).rejects.toMatchObject(unavailable)
    await recordStep(shaky, step)
    expect(await count(id, 'step')).toBe(1)
  })

  test('a freeze is one freeze', async () => {
    const scope = { namespace: randomUUID() }
    proxy.cutAfter('COMMIT')
    await expect(setFreeze(shaky, { scope, reason: 'storm', principal: alice })).rejects.toMatchObject(unavailable)
    expect(await setFreeze(shaky, { scope, reason: 'storm', principal: alice })).toMatchObject({ known: true, scope })
    expect((await activeFreezes(db.reader)).filter((freeze) => freeze.scope.namespace === scope.namespace)).toHaveLength(1)
  })
})

describe('the database is away', () => {
  test('every call fails as unavailable, and works again when it is back', async () => {
    const id = await started(db)
    proxy.setMode('down')
    await expect(acceptRequest(shaky, draftOf())).rejects.toMatchObject({ ...unavailable, code: 'database_down' })
    await expect(loadRequest(shaky, id)).rejects.toMatchObject(unavailable)
    await expect(together(shaky, (trx) => loadRequest(trx, id))).rejects.toMatchObject(unavailable)
    proxy.setMode('pass')
    expect(await loadRequest(shaky, id)).toMatchObject({ id })
  })

  test('one that falls silent is given up on in seconds, and its connections are not used again', async () => {
    const id = await started(db)
    await Promise.all(times(2, () => loadRequest(shaky, id)))
    proxy.setMode('silent')
    const begun = performance.now()
    await Promise.all(times(2, () => expect(loadRequest(shaky, id)).rejects.toMatchObject(unavailable)))
    expect(performance.now() - begun).toBeLessThan(10_000)
    proxy.setMode('pass')
    expect(await loadRequest(shaky, id)).toMatchObject({ id })
  })

  test('a busy pool says so', async () => {
    const id = await started(db)
    const busy = await Promise.all(times(2, () => shaky.transaction()))
    await expect(loadRequest(shaky, id)).rejects.toMatchObject({ ...unavailable, code: 'pool_exhausted' })
    await Promise.all(busy.map((trx) => trx.rollback()))
  })

  test('a lock that is not given in two seconds is not waited for', async () => {
    const id = await started(db)
    const holder = await db.decision.transaction()
    await holder.raw('select from ledger.request where id = ? for update', [id])
    const begun = performance.now()
    await expect(reserve(db.connect('decision'), reservationOf(id))).rejects.toMatchObject({ ...unavailable, code: 'lock_timeout' })
    expect(performance.now() - begun).toBeLessThan(3_000)
    await holder.rollback()
  })

  test('a session that an operator ends is a failure, not a crash', async () => {
    const trx = await shaky.transaction()
    const { rows } = await trx.raw('select pg_backend_pid() as pid')
    await db.owner.raw('select pg_terminate_backend(?)', [rows[0].pid])
    await expect(loadRequest(trx, freshId())).rejects.toMatchObject(unavailable)
    await trx.rollback().catch(() => undefined)
    expect(await loadRequest(shaky, freshId())).toBeUndefined()
  })
})

test('no failure tells the statement, its values or the password', async () => {
  const planted = `planted-${randomUUID()}`
  const told: unknown[] = []
  const tell = (failure: unknown) => void told.push(failure)
  proxy.setMode('down')
  await acceptRequest(shaky, draftOf({ reason: planted })).catch(tell)
  await acceptRequest(db.reader, draftOf({ reason: planted })).catch(tell)
  await acceptRequest(db.api, draftOf({ reason: planted, deadlineMs: -1 })).catch(tell)
  const wrong = new URL(db.urlOf('api'))
  wrong.pathname = '/none'
  const lost = connectDatabase({ url: wrong.href, applicationName: 'aegis-test', poolMax: 1 })
  await loadRequest(lost, freshId()).catch(tell)
  await lost.destroy()
  expect(told).toHaveLength(4)
  for (const failure of told) {
    expect(failure).toMatchObject({ name: 'Failure' })
    const { message, cause } = failure as Error
    expect(`${message} ${String(cause)}`).not.toMatch(new RegExp(`${planted}|insert|${wrong.password}`))
  }
})

test('a listener hears again after its connection was cut, and reports the loss', async () => {
  const heard: string[] = []
  const lost: string[] = []
  const listener = listen(proxy.url, ['aegis_request'], (_channel, payload) => heard.push(payload), { onError: ({ message }) => lost.push(message) })
  const until = async (probe: () => Promise<boolean>) => {
    for (let tries = 0; tries < 100; tries++) {
      if (await probe()) return
      await new Promise((wake) => setTimeout(wake, 50))
    }
    throw new Error('waited in vain')
  }
  const hears = async () => {
    const { request } = await acceptRequest(db.api, draftOf())
    await new Promise((wake) => setTimeout(wake, 50))
    return heard.includes(request.id)
  }
  await until(hears)
  proxy.setMode('down')
  await until(async () => lost.length > 0)
  proxy.setMode('pass')
  await until(hears)
  await listener.close()
})

test('a migration under a running process costs one answer, not the connection for good', async () => {
  const { request } = await acceptRequest(shaky, draftOf())
  await loadRequest(shaky, request.id)
  await db.owner.raw('alter table ledger.request add column came_later text')
  try {
    const answers = await Promise.allSettled([loadRequest(shaky, request.id), loadRequest(shaky, request.id)])
    for (const answer of answers) if (answer.status === 'rejected') expect(answer.reason).toMatchObject({ ...unavailable, code: 'migrated_meanwhile' })
    expect(answers.some(({ status }) => status === 'rejected')).toBe(true)
    expect(await loadRequest(shaky, request.id)).toMatchObject({ id: request.id })
    expect(await loadRequest(shaky, request.id)).toMatchObject({ id: request.id })
  } finally {
    await db.owner.raw('alter table ledger.request drop column came_later')
  }
})
