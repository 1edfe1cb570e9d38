import type { Knex } from 'knex'
import type { LedgerActor } from '../../domain/ledger.ts'
import type { Binding } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { appendEntry } from './ledger.ts'
import { first, inTransaction, iso, rows } from './sql.ts'

/** Absolute life of a login, and how long it may lie idle. */
export const sessionLifeMs = 7 * 86_400_000
export const idleLifeMs = 86_400_000
/** How long the reply to a refresh may have been lost. */
export const graceMs = 10_000

export type Ended = 'logout' | 'revoked' | 'reuse' | 'password' | 'disabled'

export type SessionDraft = {
  sessionId: string
  userId: string
  sessionVersion: number
  /** SHA-256 of what tells one client from another. */
  clientHash: string
  /** For people: what they see in the list of their sessions. */
  client: string
  refresh: { hash: string; salt: string }
  deviceHash: string
}

/** A login. Its entry says who and how, never with what. */
export const openSession = guarded((db: Knex, draft: SessionDraft, { actor, how }: { actor: LedgerActor; how: 'password' | 'oidc' }): Promise<void> =>
  inTransaction(db, async (trx) => {
    const { sessionId, userId, sessionVersion, clientHash, client, refresh, deviceHash } = draft
    await rows(trx, oldSessionsSql, { userId })
    await rows(
      trx,
      `insert into control.session_cache (session_id, user_id, session_version, client_hash, client, expires_at)
       values (:sessionId, :userId, :sessionVersion, :clientHash, :client, now() + ${sessionLifeMs} * interval '1 ms')`,
      { sessionId, userId, sessionVersion, clientHash, client },
    )
    await addRefresh(trx, sessionId, refresh)
    await rows(
      trx,
      `insert into control.known_devices (hash, user_id) values (:deviceHash, :userId) on conflict (hash, user_id) do update set last_used_at = now()`,
      { deviceHash, userId },
    )
    await appendEntry(trx, { stream: 'logins', stepKey: `login/${sessionId}`, kind: 'login', actor, body: { sessionId, how, client } })
  }),
)

/** What ended a while ago is of no use but in the ledger. */
const oldSessionsSql = `
  delete from control.session_cache where session_id in (
    select session_id from control.session_cache where user_id = :userId and expires_at < now() - interval '7 days' limit 100)`

const addRefresh = (trx: Knex, sessionId: string, { hash, salt }: { hash: string; salt: string }) =>
  rows(trx, 'insert into control.refresh_tokens (hash, session_id, salt) values (:hash, :sessionId, :salt)', { hash, sessionId, salt })

export type RefreshRefusal = 'refresh_unknown' | 'refresh_reused' | 'session_ended' | 'session_expired' | 'session_idle' | 'account_disabled'
/** `salt`: what the successor is derived with. `sessionId`, `userId`: whose it was, where it was anybody's. */
export type Refreshed =
  | { refreshed: true; sessionId: string; userId: string; username: string; authTimeMs: number; salt: string }
  | { refreshed: false; because: RefreshRefusal; userId: string | null; username: string | null }

type RefreshRow = {
  session_id: string
  user_id: string
  username: string
  state: 'active' | 'disabled'
  user_version: number
  session_version: number
  auth_time: Date
  salt: string
  client_hash: string
  ended: boolean
  expired: boolean
  idle: boolean
  used: boolean
  in_grace: boolean
  successor_used: boolean
}

export type RefreshAsked = {
  hash: string
  clientHash: string
  /** Hash and salt of the successor, from the salt of the presented token. */
  successorOf: (salt: string) => { hash: string; salt: string }
}

/**
 * One use of a refresh token. Whoever presents it a second time within 10 s, as the same client and before the
 * successor was used, hears the same successor: the first reply was lost. Any other second use is theft of one of the
 * two, and ends the session for both.
 */
export const refreshSession = guarded((db: Knex, { hash, clientHash, successorOf }: RefreshAsked): Promise<Refreshed> =>
  inTransaction(db, async (trx): Promise<Refreshed> => {
    await rows(trx, lockFamily, { hash })
    const row = await first<RefreshRow>(trx, refreshSql, { hash })
    if (!row) return { refreshed: false, because: 'refresh_unknown', userId: null, username: null }
    const { session_id: sessionId, user_id: userId, username, salt } = row
    const because = refusalOf(row, clientHash)
    if (because === 'refresh_reused') {
      const actor: LedgerActor = { id: `user:${userId}`, kind: 'person', owner: username }
      await endSessions(trx, { userId, only: sessionId, because: 'reuse', by: actor })
      const again = await first<{ id: string }>(trx, 'select gen_random_uuid()::text as id')
      await appendEntry(trx, { stream: 'logins', stepKey: `reused/${sessionId}/${again?.id}`, kind: 'refresh_reused', actor, body: { sessionId, userId } })
    }
    if (because) return { refreshed: false, because, userId, username }
    if (!row.used) {
      const successor = successorOf(salt)
      await rows(trx, 'update control.refresh_tokens set used_at = now(), successor = :successor where hash = :hash', { hash, successor: successor.hash })
      await addRefresh(trx, sessionId, successor)
    }
    return { refreshed: true, sessionId, userId, username, authTimeMs: row.auth_time.getTime(), salt }
  }),
)

// The session's row is the lock, and what it protects is read in a statement of its own behind it.
const lockFamily = `select session_id from control.session_cache where session_id = (select session_id from control.refresh_tokens where hash = :hash) for update`

const refreshSql = `
  select s.session_id, s.user_id, u.username, u.state, u.session_version as user_version, s.session_version, s.auth_time, t.salt, s.client_hash,
    s.ended_at is not null as ended, s.expires_at <= clock_timestamp() as expired,
    t.issued_at <= clock_timestamp() - ${idleLifeMs} * interval '1 ms' as idle, t.used_at is not null as used,
    coalesce(t.used_at > clock_timestamp() - ${graceMs} * interval '1 ms', false) as in_grace,
    exists (select from control.refresh_tokens n where n.hash = t.successor and n.used_at is not null) as successor_used
  from control.refresh_tokens t join control.session_cache s using (session_id) join control.users u using (user_id) where t.hash = :hash`

function refusalOf(row: RefreshRow, clientHash: string): RefreshRefusal | null {
  if (row.state === 'disabled') return 'account_disabled'
  if (row.ended || row.session_version !== row.user_version) return 'session_ended'
  if (row.expired) return 'session_expired'
  if (row.used) return row.in_grace && row.client_hash === clientHash && !row.successor_used ? null : 'refresh_reused'
  return row.idle ? 'session_idle' : null
}

export type EndWhich = { userId: string; because: Ended; by: LedgerActor; /** This one alone. */ only?: string; /** All but this one. */ keep?: string }

/** Access tokens of what ended are refused within 5 s, refresh tokens at once. Returns how many ended. */
export const endSessions = guarded((db: Knex, { userId, because, by, only, keep }: EndWhich): Promise<number> =>
  inTransaction(db, async (trx) => {
    // A login that is under way meanwhile was judged by what held before: its session is over before it begins.
    if (only === undefined) await rows(trx, raiseVersion, { userId, keep: keep ?? null })
    const ended = await rows<{ session_id: string }>(
      trx,
      `update control.session_cache set ended_at = clock_timestamp(), ended_because = :because
       where user_id = :userId and ended_at is null and (:only::uuid is null or session_id = :only::uuid) and (:keep::uuid is null or session_id <> :keep::uuid)
       returning session_id`,
      { userId, because, only: only ?? null, keep: keep ?? null },
    )
    for (const { session_id: sessionId } of ended) {
      await appendEntry(trx, { stream: 'logins', stepKey: `ended/${sessionId}`, kind: 'session_ended', actor: by, body: { sessionId, userId, because } })
    }
    return ended.length
  }),
)

const raiseVersion = `
  with raised as (update control.users set session_version = session_version + 1 where user_id = :userId returning session_version)
  update control.session_cache s set session_version = raised.session_version from raised where s.session_id = :keep::uuid and s.ended_at is null`

export type SessionView = { sessionId: string; client: string; createdAt: string; lastUsedAt: string; expiresAt: string }

/** Those that still open something, newest first; at most 100. */
export const listSessions = guarded(async (db: Knex, userId: string): Promise<SessionView[]> => {
  const found = await rows<{ session_id: string; client: string; created_at: Date; last_used_at: Date; expires_at: Date }>(
    db,
    `select s.session_id, s.client, s.created_at, s.expires_at, coalesce((select max(t.issued_at) from control.refresh_tokens t where t.session_id = s.session_id), s.created_at) as last_used_at
     from control.session_cache s where s.user_id = :userId and s.ended_at is null and s.expires_at > now() order by s.created_at desc limit 100`,
    { userId },
  )
  return found.map((row) => ({ sessionId: row.session_id, client: row.client, createdAt: iso(row.created_at), lastUsedAt: iso(row.last_used_at), expiresAt: iso(row.expires_at) }))
})

/** How a session stands, and what its user may do now. */
export type Standing = { userId: string; username: string; state: 'active' | 'disabled'; ended: boolean; bindings: Binding[]; groups: string[] }

/** In the order of the ids. Undefined: there is no such session. */
export const findSessions = guarded(async (db: Knex, sessionIds: readonly string[]): Promise<(Standing | undefined)[]> => {
  const found = await rows<Standing & { sessionId: string }>(
    db,
    `select s.session_id as "sessionId", u.user_id as "userId", u.username, u.state, u.groups,
       (s.ended_at is not null or s.expires_at <= clock_timestamp() or s.session_version <> u.session_version) as ended,
       coalesce((select jsonb_agg(distinct jsonb_build_object('role', b.role, 'cluster', b.cluster, 'namespace', b.namespace))
         from control.user_roles b where b.user_id = u.user_id), '[]') as bindings
     from control.session_cache s join control.users u using (user_id) where s.session_id = any(:sessionIds::uuid[])`,
    { sessionIds },
  )
  const byId = new Map(found.map(({ sessionId, ...standing }) => [sessionId, standing]))
  return sessionIds.map((id) => byId.get(id))
})
