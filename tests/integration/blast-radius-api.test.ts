import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { reserve } from '../../adapters/postgres/reserve.ts'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { stack } from '../helpers/stack.ts'
import { draftOf, openDatabase, reservationOf, started, workload, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let admin: string
beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null })
  admin = (await keyFor(db.api, ['admin'], 'ann')).key
})
afterAll(async () => {
  await api.close()
  await db.close()
})

const windows = '/api/v1/freeze/windows'
const schedule = (body: object) => api.call('POST', windows, { key: admin, body: { reason: 'the holidays', ...body } })
/** On the wall of UTC, so many minutes from now. */
const inMinutes = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString().slice(0, 16)

describe('a freeze known ahead', () => {
  test.each([
    ['winter', 'Europe/Berlin', '2035-01-10T18:00', '2035-01-11T06:00', '2035-01-10T17:00:00.000Z', '2035-01-11T05:00:00.000Z'],
    ['summer', 'America/New_York', '2035-07-03T18:00', '2035-07-05T08:00', '2035-07-03T22:00:00.000Z', '2035-07-05T12:00:00.000Z'],
    // Clocks go forward from 02:00 to 03:00: what they skip is the later instant.
    ['into a gap', 'Europe/Berlin', '2035-03-25T01:00', '2035-03-25T02:30', '2035-03-25T00:00:00.000Z', '2035-03-25T01:30:00.000Z'],
    ['from a gap', 'Europe/Berlin', '2035-03-25T02:30', '2035-03-25T04:00', '2035-03-25T01:30:00.000Z', '2035-03-25T02:00:00.000Z'],
    // Clocks go back from 03:00 to 02:00: what they show twice is the longer freeze.
    ['over an overlap', 'Europe/Berlin', '2035-10-28T02:30', '2035-10-28T02:45', '2035-10-28T00:30:00.000Z', '2035-10-28T01:45:00.000Z'],
  ])('is turned into instants once: %s', async (_name, zone, from, to, fromUtc, toUtc) => {
    const got = await schedule({ zone, from, to })
    expect(got.status).toBe(201)
    expect(got.body).toMatchObject({ from: fromUtc, to: toUtc, localFrom: from, localTo: to, zone })
    await api.call('DELETE', `${windows}/${String(got.body['windowId'])}`, { key: admin })
  })

  test.each([
    ['a zone that is none', { zone: 'Mars/Base', from: '2035-01-01T00:00', to: '2035-01-02T00:00' }, 'zone'],
    ['a date that is none', { zone: 'UTC', from: '2035-02-30T00:00', to: '2035-03-02T00:00' }, 'from'],
    ['an end before its beginning', { zone: 'UTC', from: '2035-01-02T00:00', to: '2035-01-01T00:00' }, 'to'],
    ['one that is over', { zone: 'UTC', from: '2020-01-01T00:00', to: '2020-01-02T00:00' }, 'to'],
    ['another cluster', { zone: 'UTC', from: '2035-01-01T00:00', to: '2035-01-02T00:00', scope: { cluster: 'moon' } }, 'scope.cluster'],
  ])('is refused: %s', async (_name, body, field) => {
    const got = await schedule(body)
    expect([got.status, got.problem.errors.map((error) => error.field)]).toEqual([400, [field]])
  })

  test('holds while it lasts, by the database’s clock, and only its scope', async () => {
    const namespace = `ns-${randomUUID().slice(0, 8)}`
    const ask = async (place = namespace) => {
      const id = await started(db, draftOf({ target: { cluster: 'main', namespace: place, kind: 'Deployment', name: 'web' } }))
      return reserve(db.decision, reservationOf(id, { workload: workload(randomUUID(), place) }))
    }
    const ahead = await schedule({ zone: 'UTC', from: inMinutes(60), to: inMinutes(120), scope: { namespace } })
    expect(await ask()).toMatchObject({ reserved: true })
    const now = await schedule({ zone: 'UTC', from: inMinutes(-5), to: inMinutes(60), scope: { namespace } })
    expect(await ask()).toMatchObject({ reserved: false, because: 'frozen', freezeId: now.body['windowId'], reason: 'the holidays' })
    expect(await ask('elsewhere')).toMatchObject({ reserved: true })
    await db.owner.raw(`update ledger.freeze_window set to_at = clock_timestamp() where window_id = ?`, [now.body['windowId'] as string])
    expect(await ask()).toMatchObject({ reserved: true })

    const listed = await api.call('GET', windows, { key: admin })
    expect((listed.body['items'] as { windowId: string }[]).map(({ windowId }) => windowId)).toEqual([ahead.body['windowId']])
    expect((await api.call('DELETE', `${windows}/${String(ahead.body['windowId'])}`, { key: admin })).body).toEqual({ cancelled: true })
    expect((await api.call('DELETE', `${windows}/${String(ahead.body['windowId'])}`, { key: admin })).problem.code).toBe('no_such_window')
  })
})

describe('a breaker', () => {
  test('is listed while it is open, and closed by a person who says why', async () => {
    const id = await started(db)
    await db.owner.raw(`insert into ledger.breaker (breaker_id, policy_id, reason, evidence, remediation_id) values (gen_random_uuid(), 'shaky', 'three failed', '{}', ?)`, [id])
    const listed = await api.call('GET', '/api/v1/breakers', { key: admin })
    expect(listed.body['items']).toEqual([{ policy: 'shaky', reason: 'three failed', remediationId: id, openedAt: expect.any(String) }])
    const close = () => api.call('POST', '/api/v1/breakers/close', { key: admin, body: { policy: 'shaky', reason: 'mended' } })
    expect((await close()).body).toEqual({ closed: true })
    expect((await close()).problem.code).toBe('no_open_breaker')
    expect((await api.call('GET', '/api/v1/breakers', { key: admin })).body['items']).toEqual([])
  })
})
