import type { Knex } from 'knex'
import type { LedgerActor } from '../../domain/ledger.ts'
import type { Binding, Role } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { actorOf, appendEntry } from './ledger.ts'
import { fromCursor, toPage, type Page } from './pages.ts'
import { endSessions } from './sessions.ts'
import { first, inTransaction, iso, orNull, rows } from './sql.ts'

export type UserState = 'active' | 'disabled'

export type User = {
  userId: string
  username: string
  displayName: string
  state: UserState
  /** Whether there is a way in by password, and by OpenID Connect. */
  hasPassword: boolean
  oidc: { issuer: string; sub: string } | null
  bindings: Binding[]
  groups: string[]
  createdBy: string
  createdAt: string
  changedAt: string
}

/** What only a login needs to see. */
export type Credentials = { userId: string; username: string; state: UserState; passwordHash: string | null; sessionVersion: number }

export type UserDraft = {
  userId: string
  username: string
  displayName: string
  passwordHash: string | null
  oidc: { issuer: string; sub: string } | null
  groups: string[]
  bindings: Binding[]
}

type UserRow = {
  user_id: string
  username: string
  display_name: string
  state: UserState
  has_password: boolean
  oidc_issuer: string | null
  oidc_sub: string | null
  groups: string[]
  bindings: Binding[]
  created_by: string
  created_at: Date
  changed_at: Date
}

/** As a list without doubles, in one order. */
export const heldBindings = (of: string): string => `coalesce((
  select jsonb_agg(distinct jsonb_build_object('role', b.role, 'cluster', b.cluster, 'namespace', b.namespace)) from control.user_roles b where b.user_id = ${of}.user_id), '[]')`

const columns = `u.user_id, u.username, u.display_name, u.state, u.password_hash is not null as has_password, u.oidc_issuer, u.oidc_sub, u.groups,
  ${heldBindings('u')} as bindings, u.created_by, u.created_at, u.changed_at`

export type Created = { created: true; user: User } | { created: false; because: 'username_taken' }

/** Names are compared without regard to case: the caller gives them in lower case. */
export const createUser = guarded((db: Knex, draft: UserDraft, by: LedgerActor, source: 'admin' | 'oidc' = 'admin'): Promise<Created> =>
  inTransaction(db, async (trx): Promise<Created> => {
    const { userId, username, displayName, passwordHash, oidc, groups, bindings } = draft
    const made = await first(
      trx,
      `insert into control.users (user_id, username, display_name, password_hash, oidc_issuer, oidc_sub, groups, created_by)
       values (:userId, :username, :displayName, :passwordHash, :issuer, :sub, :groups, :by) on conflict do nothing returning user_id`,
      { userId, username, displayName, passwordHash, issuer: oidc?.issuer ?? null, sub: oidc?.sub ?? null, groups, by: by.id },
    )
    if (!made) return { created: false, because: 'username_taken' }
    await bind(trx, userId, bindings, source, by)
    const body = { userId, username, displayName, oidc, groups, bindings, hasLocalLogin: passwordHash !== null }
    await appendEntry(trx, { stream: 'users', stepKey: `created/${userId}`, kind: 'user_created', actor: by, body })
    return { created: true, user: (await loadUser(trx, userId))! }
  }),
)

async function bind(trx: Knex, userId: string, bindings: readonly Binding[], source: 'admin' | 'oidc', by: LedgerActor): Promise<void> {
  await rows(trx, 'delete from control.user_roles where user_id = :userId and source = :source', { userId, source })
  await rows(
    trx,
    `insert into control.user_roles (user_id, role, cluster, namespace, source, granted_by)
     select :userId, b.role, b.cluster, b.namespace, :source, :by from jsonb_to_recordset(:bindings::jsonb) b(role text, cluster text, namespace text)
     on conflict do nothing`,
    { userId, source, by: by.id, bindings: JSON.stringify(bindings) },
  )
}

export const loadUser = guarded(async (db: Knex, userId: string): Promise<User | undefined> => {
  const row = await first<UserRow>(db, `select ${columns} from control.users u where u.user_id = :userId`, { userId })
  return row && toUser(row)
})

export const findCredentials = guarded(async (db: Knex, username: string): Promise<Credentials | undefined> =>
  first<Credentials>(
    db,
    `select user_id as "userId", username, state, password_hash as "passwordHash", session_version as "sessionVersion" from control.users where username = :username`,
    { username },
  ),
)

/** The key is (issuer, sub): addresses and names may be given to somebody else one day. */
export const findByOidc = guarded(async (db: Knex, oidc: { issuer: string; sub: string }): Promise<User | undefined> => {
  const row = await first<UserRow>(db, `select ${columns} from control.users u where u.oidc_issuer = :issuer and u.oidc_sub = :sub`, oidc)
  return row && toUser(row)
})

export const countUsers = guarded(async (db: Knex): Promise<number> =>
  (await first<{ count: number }>(db, 'select count(*)::integer as count from control.users'))?.count ?? 0,
)

/** By name. `limit`: 1 to 200. */
export const listUsers = guarded(async (db: Knex, { limit, cursor }: { limit: number; cursor?: string }): Promise<Page<User>> => {
  const [after = null] = fromCursor(cursor, ['id'])
  const found = await rows<UserRow>(
    db,
    `select ${columns} from control.users u
     where :after::uuid is null or u.username > (select username from control.users where user_id = :after::uuid)
     order by u.username limit least(:limit::integer, 200) + 1`,
    { after, limit },
  )
  return toPage(found.map(toUser), limit, ({ userId }) => [userId])
})

export type UserChange = { displayName?: string; groups?: string[]; bindings?: Binding[]; state?: UserState }

/**
 * In force for every session within 5 s. A disabled user loses all sessions with the commit. Undefined: there is no
 * such user. The last admin who may act everywhere stays one: `last_admin`.
 */
export const changeUser = guarded((db: Knex, userId: string, change: UserChange, by: LedgerActor, source: 'admin' | 'oidc' = 'admin'): Promise<User | 'last_admin' | undefined> =>
  inTransaction(db, async (trx) => {
    await rows(trx, `select pg_advisory_xact_lock(hashtextextended('control.admins', 0))`)
    const before = await loadUser(trx, userId)
    if (!before) return undefined
    const { displayName, groups, state, bindings } = change
    await rows(
      trx,
      `update control.users set display_name = coalesce(:displayName, display_name), groups = coalesce(:groups::text[], groups),
         state = coalesce(:state, state), changed_at = now() where user_id = :userId`,
      orNull({ userId, displayName, groups, state }),
    )
    if (bindings) await bind(trx, userId, bindings, source, by)
    if (isAdmin(before) && source === 'admin' && !(await anyAdminLeft(trx))) throw new LastAdmin()
    if (state === 'disabled' && before.state === 'active') await endSessions(trx, { userId, because: 'disabled', by })
    const after = (await loadUser(trx, userId))!
    const body = { userId, username: after.username, changed: { ...change }, before: { state: before.state, groups: before.groups, bindings: before.bindings } }
    await appendEntry(trx, { stream: 'users', stepKey: `changed/${userId}/${await stamp(trx)}`, kind: 'user_changed', actor: by, body })
    return after
  }).catch((failure: unknown) => {
    if (failure instanceof LastAdmin) return 'last_admin' as const
    throw failure
  }),
)

/** Rolls the change back. */
class LastAdmin extends Error {}

const isAdmin = ({ state, bindings }: User): boolean => state === 'active' && bindings.some(isGlobalAdmin)
const isGlobalAdmin = ({ role, cluster, namespace }: Binding): boolean => role === 'admin' && cluster === null && namespace === null

/** Keys count too: whoever holds one can make a person an admin again. */
async function anyAdminLeft(trx: Knex): Promise<boolean> {
  const row = await first<{ left: boolean }>(
    trx,
    `select exists (select from control.users u join control.user_roles r using (user_id)
       where u.state = 'active' and r.role = 'admin' and r.cluster is null and r.namespace is null)
     or exists (select from control.api_key k where k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
       and 'admin' = any(k.roles) and k.bindings is null) as left`,
  )
  return row?.left ?? false
}

/** Entries of one stream need keys of their own. */
const stamp = async (trx: Knex): Promise<string> => (await first<{ id: string }>(trx, 'select gen_random_uuid()::text as id'))!.id

/** A new password ends every other session; `keep`: the one in which it was set. */
export const setPassword = guarded((db: Knex, userId: string, passwordHash: string, by: LedgerActor, keep: string | null = null): Promise<void> =>
  inTransaction(db, async (trx) => {
    await rows(trx, 'update control.users set password_hash = :passwordHash, changed_at = now() where user_id = :userId', { userId, passwordHash })
    await endSessions(trx, { userId, because: 'password', by, ...(keep === null ? {} : { keep }) })
    await appendEntry(trx, { stream: 'users', stepKey: `password/${userId}/${await stamp(trx)}`, kind: 'password_changed', actor: by, body: { userId } })
  }),
)

/** The same password under better parameters: nothing that anybody would notice. */
export const upgradePasswordHash = guarded(async (db: Knex, userId: string, from: string, to: string): Promise<void> => {
  await rows(db, 'update control.users set password_hash = :to where user_id = :userId and password_hash = :from', { userId, from, to })
})

export type OneTimeToken = { hash: string; purpose: 'bootstrap' | 'password'; userId: string | null; lifeMs: number }

/** For one use; what was issued to the same user before is void. */
export const issueOneTime = guarded((db: Knex, { hash, purpose, userId, lifeMs }: OneTimeToken, by: LedgerActor): Promise<void> =>
  inTransaction(db, async (trx) => {
    await rows(trx, 'update control.one_time_tokens set used_at = now() where used_at is null and purpose = :purpose and user_id is not distinct from :userId::uuid', { purpose, userId })
    await rows(
      trx,
      `insert into control.one_time_tokens (hash, purpose, user_id, created_by, expires_at)
       values (:hash, :purpose, :userId, :by, now() + :lifeMs * interval '1 ms')`,
      { hash, purpose, userId, lifeMs, by: by.id },
    )
    await appendEntry(trx, { stream: 'users', stepKey: `issued/${await stamp(trx)}`, kind: 'token_issued', actor: by, body: { purpose, userId } })
  }),
)

/** Whether it may be spent now. */
export const isOneTime = guarded(async (db: Knex, hash: string, purpose: OneTimeToken['purpose']): Promise<boolean> =>
  (await first(db, 'select 1 from control.one_time_tokens where hash = :hash and purpose = :purpose and used_at is null and expires_at > now()', { hash, purpose })) !== undefined,
)

/** Spends it. Undefined: there is none, it was used, or it has expired. */
export const spendOneTime = guarded(async (db: Knex, hash: string, purpose: OneTimeToken['purpose']): Promise<{ userId: string | null } | undefined> =>
  first<{ userId: string | null }>(
    db,
    `update control.one_time_tokens set used_at = now() where hash = :hash and purpose = :purpose and used_at is null and expires_at > now() returning user_id as "userId"`,
    { hash, purpose },
  ),
)

const toUser = (row: UserRow): User => ({
  userId: row.user_id,
  username: row.username,
  displayName: row.display_name,
  state: row.state,
  hasPassword: row.has_password,
  oidc: row.oidc_issuer !== null && row.oidc_sub !== null ? { issuer: row.oidc_issuer, sub: row.oidc_sub } : null,
  bindings: row.bindings.map(({ role, cluster, namespace }): Binding => ({ role: role as Role, cluster, namespace })),
  groups: row.groups,
  createdBy: row.created_by,
  createdAt: iso(row.created_at),
  changedAt: iso(row.changed_at),
})

export const actorOfUser = (user: Pick<User, 'userId' | 'username'>): LedgerActor =>
  actorOf({ id: `user:${user.userId}`, kind: 'person', owner: user.username, roles: [] })

/** False: there are accounts, or a token that still holds. However many processes ask at once, one is made. */
export const firstBootstrap = guarded((db: Knex, token: OneTimeToken, by: LedgerActor): Promise<boolean> =>
  inTransaction(db, async (trx) => {
    await rows(trx, `select pg_advisory_xact_lock(hashtextextended('control.bootstrap', 0))`)
    if ((await countUsers(trx)) > 0) return false
    if (await first(trx, `select 1 from control.one_time_tokens where purpose = 'bootstrap' and used_at is null and expires_at > now()`)) return false
    await issueOneTime(trx, token, by)
    return true
  }),
)
