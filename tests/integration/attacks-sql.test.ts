/** W4: values that would be SQL, at every parameter of every route that reads by one. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import type { z } from 'zod'
import { routes } from '../../api/routes.ts'
import type { Route } from '../../api/route.ts'
import { keyFor, startApi, type Got, type TestApi } from '../helpers/api.ts'
import { globalRole, personWith } from '../helpers/people.ts'
import { stack } from '../helpers/stack.ts'
import { stallLimitMs, stallOf } from '../helpers/stall.ts'
import { openDatabase, started, times, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let key: string

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address })
  key = (await keyFor(db.api, ['admin'])).key
  await Promise.all(times(3, () => started(db)))
  await Promise.all(times(3, () => personWith(db.api, [globalRole('user')])))
  for (const _ of times(3, () => 0)) await api.call('POST', '/api/v1/policy/evaluate', { key, body: { action: 'deployment:scale', resource: 'k8s:main/shop/deployment/cart' } })
})
afterAll(async () => {
  await api.close()
  await db.close()
})

const cursor = (...words: string[]) => Buffer.from(JSON.stringify(words)).toString('base64url')

const values = [
  "'", "''", '"', "' or '1'='1", "' or 1=1 --", "') or ('1'='1", "' or 1=1#", "admin'--", "1' or '1' = '1' /*", "'; drop table ledger.request; --", "'; select pg_sleep(5); --", "' || pg_sleep(5) || '",
  "1 or pg_sleep(5) is null", "1; select pg_sleep(5)", "' and 1=(select count(*) from pg_user) --", "' union select null,null,null --", "' union select key_hash from control.api_key --", "x' and 1=cast((select version()) as int) --",
  "' and extractvalue(1,concat(0x7e,version())) --", "%' or '%'='", '%', '_', '\\', "\\'; select 1; --", "$$; select 1; $$", '$1', ':limit', '?', "'::text", "e'\\x27 or 1=1'", 'null', 'NULL); --', '{"$gt":""}', "＇ or 1=1", 'ʼ or 1=1', '\u0000', "a\u0000' or 1=1", '0x27206f72', '1e309', '-1', "1,(select 1)", 'id desc; drop table x', '\ud800',
]
const cursors = [
  cursor("' or 1=1 --"), cursor('1', '2'), cursor('2026-01-01T00:00:00.000Z', 'x'), cursor('x', 'x'), cursor('not-a-uuid'), cursor('99999999999999999999'), cursor('-1'), cursor('1.5'), cursor('1e3'), cursor(''), cursor('::text'),
  cursor('infinity'), cursor('NaN'), cursor('2026-99-99T99:99:99.999Z', randomUUID()), cursor('0000-00-00', randomUUID()), cursor('2147483648'), cursor('0'), cursor(randomUUID(), randomUUID(), randomUUID()), 'null', '%5B%5D', 'W10', 'e30', 'InMi',
]
const instants = ['0000-01-01T00:00:00Z', '0001-01-01T00:00:00Z', '1969-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999999999Z', '2026-02-30T00:00:00Z', '+010000-01-01T00:00:00Z', '2026-01-01T00:00:00+23:59', '2026-01-01T24:00:00Z', 'infinity', 'now()', 'epoch', "2026-01-01T00:00:00Z'--"]

const named = ({ path }: Route) => path.replace(/:\w+/g, randomUUID())
const members = (schema: z.ZodObject | null): string[] => Object.keys(schema?.shape ?? {})

/** Every query parameter of every route that takes any. */
const filters = routes.flatMap((route) => members(route.query).map((parameter) => [route.method.toUpperCase(), route.path, parameter, route] as const))
const places = routes.flatMap((route) => members(route.params).map((parameter) => [route.method.toUpperCase(), route.path, parameter, route] as const))

/** What is in the tables that somebody would be after, or would drop. */
const tables = ['ledger.request', 'control.users', 'control.policies', 'control.policy_snapshots', 'control.api_key', 'control.user_roles']
const counts = async () => (await db.owner.raw(`select ${tables.map((table, at) => `(select count(*)::integer from ${table}) as t${at}`).join(', ')}`)).rows[0] as Record<string, number>

/** A value is one that is asked for, or none that may be: never part of what asks. */
function holdHarmless(got: Got, what: string, tookMs: number): void {
  if (got.status >= 500 || tookMs > 4_000) throw new Error(`${what} answered ${got.status} after ${Math.round(tookMs)} ms: ${JSON.stringify(got.body)}`)
  expect(JSON.stringify(got.body)).not.toMatch(/syntax error|SQLSTATE|PostgreSQL \d|pg_catalog|relation "/)
}

/** Eight at a time. */
async function inTurns(all: readonly string[], ask: (value: string) => Promise<void>): Promise<void> {
  for (let at = 0; at < all.length; at += 8) await Promise.all(all.slice(at, at + 8).map(ask))
}

const text = ['stream', 'userId', 'action', 'resource', 'comment']

test(`${values.length} values, ${cursors.length} cursors, ${instants.length} times and ${filters.length} parameters`, () => {
  expect(values.length).toBeGreaterThanOrEqual(30)
  expect(filters.length).toBeGreaterThan(40)
})

describe('is a value and no SQL', () => {
  test.each(filters)('%s %s?%s', async (method, _path, parameter, route) => {
    const before = await counts()
    const all = [...values, ...(parameter === 'cursor' ? cursors : []), ...(parameter === 'from' || parameter === 'to' ? instants : [])]
    const { stallMs } = await stallOf(async () => {
      await inTurns(all, async (value) => {
        const begun = performance.now()
        const got = await api.call(method, `${named(route)}?${new URLSearchParams({ [parameter]: value }).toString()}`, { key })
        holdHarmless(got, `${parameter}=${JSON.stringify(value)}`, performance.now() - begun)
        // Where any text may be asked for, none of these is the name of anything: a list that is not empty was made so by SQL.
        if (got.status === 200 && text.includes(parameter)) expect([value, got.body['items'] ?? []]).toEqual([value, []])
      })
    })
    expect(stallMs).toBeLessThan(stallLimitMs)
    expect(await counts()).toEqual(before)
  })

  test.each(places)('%s %s as %s', async (method, path, parameter) => {
    const before = await counts()
    const { stallMs } = await stallOf(async () => {
      await inTurns(values, async (value) => {
        const begun = performance.now()
        const body = method === 'POST' || method === 'PUT' ? { body: {} } : {}
        const asked = path.replace(`:${parameter}`, encodeURIComponent(value.isWellFormed() ? value : 'lone')).replace(/:\w+/g, randomUUID())
        const got = await api.call(method, asked, { key, ...body })
        holdHarmless(got, asked, performance.now() - begun)
        // Some of them are names as good as any, such as `null`.
        expect(/^[a-z0-9]+$/.test(value) || !value.isWellFormed() ? [200, 400, 404] : [400, 404, 405]).toContain(got.status)
      })
    })
    expect(stallMs).toBeLessThan(stallLimitMs)
    expect(await counts()).toEqual(before)
  })

  test('in a body: what is stored is what was sent, letter by letter', async () => {
    for (const value of values.filter((one) => !one.includes('\u0000') && one.isWellFormed())) {
      const target = { namespace: 'shop', kind: 'Pod', name: `p-${randomUUID().slice(0, 8)}` }
      const got = await api.call('POST', '/api/v1/remediations', { key, body: { action: 'restart_pod', target, reason: value } })
      const shown = await api.call('GET', String(got.body['url']), { key })
      expect([value, shown.body['requestReason']]).toEqual([value, value.trim()])
    }
  })
})
