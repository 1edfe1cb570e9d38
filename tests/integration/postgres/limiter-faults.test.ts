import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectDatabase } from '../../../adapters/postgres/connect.ts'
import { reserve, type Reservation, type Reserved } from '../../../adapters/postgres/reserve.ts'
import type { LimitRule } from '../../../domain/limits.ts'
import { openDatabase, reservationOf, started, times, workload, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const limits: LimitRule[] = [{ key: 'scale', action: 'scale_deployment', scope: 'namespace', limit: 5, windowMs: 60_000 }]
const wantedIn = (namespace: string) => (id: string): Reservation => reservationOf(id, { workload: workload(randomUUID(), namespace), limits, undo: false })
const takenIn = async (namespace: string): Promise<number> =>
  Number((await db.owner.raw('select count(distinct id) from ledger.reservation where key like ?', [`%${namespace}%`])).rows[0].count)

/** Asks until there is an answer, as Temporal would; a bound, for a bug must not hang the test. */
async function untilAnswered(ask: () => Promise<Reserved>): Promise<{ answer: Reserved; tries: number }> {
  for (let tries = 1; tries <= 200; tries++) {
    try {
      return { answer: await ask(), tries }
    } catch (failure) {
      // Under jest the network's own errors are of another realm, and come through as they are.
      expect(failure).toMatchObject({ code: expect.stringMatching(/^(ECONN|EPIPE|database_|pool_exhausted|lock_timeout|try_again)/) })
      await sleep(20)
    }
  }
  throw new Error('no answer after 200 tries')
}

/** Whoever asks has to come through in the end. */
const mostKilled = 40

test('sixty at once at a limit of five, retried while their connections are killed: exactly five', async () => {
  const namespace = randomUUID()
  const ids = await Promise.all(times(60, () => started(db)))
  const wanted = ids.map(wantedIn(namespace))
  const pools = [db.decision, db.connect('decision')]
  let done = false
  let killed = 0
  const killer = (async () => {
    while (!done && killed < mostKilled) {
      const { rows } = await db.owner.raw(`select count(pg_terminate_backend(pid))::integer as killed from (
        select pid from pg_stat_activity where datname = current_database() and usename = 'aegis_decision_login' and state <> 'idle' order by random() limit 1) victims`)
      killed += rows[0].killed as number
      await sleep(25)
    }
  })()
  const asking = [...wanted, ...wanted, ...wanted].map((each, index) => untilAnswered(() => reserve(pools[index % 2]!, each)))
  const answers = await Promise.all(asking).finally(() => (done = true))
  await killer
  const admitted = new Set(answers.flatMap(({ answer }, index) => (answer.reserved ? [ids[index % 60]] : [])))
  expect(admitted.size).toBe(5)
  expect(await takenIn(namespace)).toBe(5)
  expect(killed).toBeGreaterThan(0)
}, 120_000)

describe('when the limiter cannot answer, nothing is reserved', () => {
  test('a key that another transaction holds: refused after two seconds, not waited for', async () => {
    const namespace = randomUUID()
    const id = await started(db)
    const holder = await db.owner.transaction()
    try {
      await holder.raw('select pg_advisory_xact_lock(hashtextextended(?, 0))', [`ledger.limit:scale_deployment:namespace:main/${namespace}:60000`])
      const begun = performance.now()
      await expect(reserve(db.decision, wantedIn(namespace)(id))).rejects.toMatchObject({ kind: 'unavailable', code: 'lock_timeout' })
      expect(performance.now() - begun).toBeLessThan(4_500)
    } finally {
      await holder.rollback()
    }
    expect(await takenIn(namespace)).toBe(0)
    expect((await db.owner.raw(`select from ledger.claim where holder = ?`, [id])).rows).toEqual([])
  })

  test.each([
    ['the log of reservations', 'ledger.reservation'],
    ['breakers', 'ledger.breaker'],
    ['freezes known ahead', 'ledger.freeze_window'],
    ['what was done before', 'ledger.intent'],
  ])('%s cannot be read', async (_what, table) => {
    const namespace = randomUUID()
    const id = await started(db)
    await db.owner.raw(`revoke select on ${table} from aegis_decision`)
    try {
      await expect(reserve(db.connect('decision', 1), wantedIn(namespace)(id))).rejects.toMatchObject({ kind: 'forbidden' })
    } finally {
      await db.owner.raw(`grant select on ${table} to aegis_decision`)
    }
    expect(await takenIn(namespace)).toBe(0)
  })

  test('the database is away', async () => {
    const url = new URL(db.urlOf('decision'))
    url.port = '1'
    const away = connectDatabase({ url: url.href, applicationName: 'aegis-test', poolMax: 1 })
    const namespace = randomUUID()
    await expect(reserve(away, wantedIn(namespace)(await started(db)))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(await takenIn(namespace)).toBe(0)
    await away.destroy()
  })
})
