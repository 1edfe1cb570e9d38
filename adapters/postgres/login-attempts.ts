import type { Knex } from 'knex'
import { guarded } from './failures.ts'
import { first, inTransaction, rows } from './sql.ts'

/** At most `limit` failures under `key` in `windowMs`. */
export type AttemptRule = { key: string; limit: number; windowMs: number }

export type Taken = { taken: true } | { taken: false; retryAfterMs: number }

/**
 * Takes a place under every rule, or none: whoever tries at the same time as others is counted with them before
 * anybody's password is looked at. A try that succeeds gives its place back.
 */
export const takeAttempt = guarded((db: Knex, attemptId: string, rules: readonly AttemptRule[]): Promise<Taken> =>
  inTransaction(db, async (trx): Promise<Taken> => {
    const keys = rules.map(({ key }) => key)
    await rows(trx, lockSql, { keys })
    const windows = rules.map(({ windowMs }) => windowMs)
    const limits = rules.map(({ limit }) => limit)
    const full = await first<{ retry_ms: number }>(trx, fullSql, { keys, windows, limits })
    if (full) return { taken: false, retryAfterMs: Math.max(1_000, Math.ceil(full.retry_ms)) }
    await rows(trx, 'insert into control.login_attempts (attempt_id, key) select :attemptId::uuid, key from unnest(:keys::text[]) key', { attemptId, keys })
    await rows(trx, `delete from control.login_attempts where ctid = any(array(select ctid from control.login_attempts where at < now() - ${keepMs} * interval '1 ms' order by at limit 20))`)
    return { taken: true }
  }),
)

/** Longer than any window. */
const keepMs = 2 * 3_600_000

const lockSql = `
  select pg_advisory_xact_lock(hash) from (
    select distinct hashtextextended('control.login:' || key, 0) as hash from unnest(:keys::text[]) key order by hash offset 0
  ) sorted`

// Of the rules that are full, the longest wait: room comes when so many have left the window that one fits.
const fullSql = `
  select extract(epoch from max(tries.at) + r.window_ms * interval '1 ms' - clock_timestamp())::float8 * 1000 as retry_ms
  from unnest(:keys::text[], :windows::bigint[], :limits::integer[]) r(key, window_ms, most),
    lateral (
      select a.at, row_number() over (order by a.at desc) as place from control.login_attempts a
      where a.key = r.key and a.at > clock_timestamp() - r.window_ms * interval '1 ms' order by a.at desc limit r.most
    ) tries
  where tries.place = r.most group by r.key, r.window_ms order by retry_ms desc limit 1`

export const giveBackAttempt = guarded(async (db: Knex, attemptId: string): Promise<void> => {
  await rows(db, 'delete from control.login_attempts where attempt_id = :attemptId', { attemptId })
})

/** Whether somebody has logged in to this account from the device before. */
export const isKnownDevice = guarded(async (db: Knex, deviceHash: string, username: string): Promise<boolean> =>
  (await first<{ known: boolean }>(
    db,
    `select exists (select from control.known_devices d join control.users u using (user_id) where d.hash = :deviceHash and u.username = :username) as known`,
    { deviceHash, username },
  ))?.known ?? false,
)
