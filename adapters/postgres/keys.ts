import type { Knex } from 'knex'
import { Failure } from '../../domain/failure.ts'
import type { Binding, Principal, Role } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { actorOf, appendEntry, systemActor } from './ledger.ts'
import type { LedgerActor } from '../../domain/ledger.ts'
import { first, iso, isoOrNull, rows } from './sql.ts'

export type ApiKeyDraft = {
  keyId: string
  name: string
  roles: Role[]
  /** Where the roles hold; null: everywhere. */
  bindings: Binding[] | null
  /** The person behind the key: four-eyes compares owners. */
  owner: string
  /** SHA-256 of the key, hex. The key itself is never stored. */
  hash: string
  /** The part of the key that may be shown. */
  prefix: string
  expiresAt: Date | null
}

export type ApiKey = Omit<ApiKeyDraft, 'hash' | 'expiresAt'> & {
  createdBy: string
  createdAt: string
  expiresAt: string | null
  revokedAt: string | null
  /** To the minute. */
  lastUsedAt: string | null
}

type KeyRow = {
  key_id: string
  name: string
  roles: Role[]
  bindings: Binding[] | null
  owner: string
  prefix: string
  created_by: string
  created_at: Date
  expires_at: Date | null
  revoked_at: Date | null
  last_used_at: Date | null
}

const columns = 'key_id, name, roles, bindings, owner, prefix, created_by, created_at, expires_at, revoked_at, last_used_at'

export const createApiKey = guarded((db: Knex, draft: ApiKeyDraft, by: Principal): Promise<ApiKey> =>
  db.transaction((trx) => insertKey(trx, draft, actorOf(by))),
)

/** The first key of an installation. False when any key exists, however many processes ask at once. */
export const createFirstApiKey = guarded((db: Knex, draft: ApiKeyDraft): Promise<boolean> =>
  db.transaction(async (trx) => {
    await rows(trx, `select pg_advisory_xact_lock(hashtextextended('control.first_key', 0))`)
    if ((await countApiKeys(trx)) > 0) return false
    await insertKey(trx, draft, systemActor)
    return true
  }),
)

async function insertKey(trx: Knex, draft: ApiKeyDraft, actor: LedgerActor): Promise<ApiKey> {
  const row = await first<KeyRow>(
    trx,
    `insert into control.api_key (key_id, name, roles, bindings, owner, prefix, hash, expires_at, created_by)
     values (:keyId, :name, :roles, :bindings, :owner, :prefix, :hash, :expiresAt, :createdBy) on conflict do nothing returning ${columns}`,
    { ...draft, bindings: draft.bindings && JSON.stringify(draft.bindings), createdBy: actor.id },
  )
  if (!row) throw new Failure('conflict', 'key_exists', `an API key \`${draft.prefix}\` exists already: make a new one`)
  const { keyId, name, roles, bindings, owner, prefix } = draft
  const body = { keyId, name, roles, bindings, owner, prefix, expiresAt: isoOrNull(draft.expiresAt) }
  await appendEntry(trx, { stream: 'keys', stepKey: `created/${keyId}`, kind: 'key_created', actor, body })
  return toKey(row)
}

/** In the order of the hashes, those that are neither revoked nor expired, by database time, nor of a person who is disabled. */
export const findApiKeys = guarded(async (db: Knex, hashes: readonly string[]): Promise<(ApiKey | undefined)[]> => {
  const found = await rows<KeyRow & { hash: string }>(
    db,
    `select ${columns}, hash from control.api_key k where hash = any(:hashes::text[]) and revoked_at is null and (expires_at is null or expires_at > now())
       and not exists (select from control.users u where u.username = lower(k.owner) and u.state = 'disabled')`,
    { hashes },
  )
  const keys = new Map(found.map((row) => [row.hash, toKey(row)]))
  return hashes.map((hash) => keys.get(hash))
})

/** Says of each key, at most once a minute, that it was used. */
export const touchApiKeys = guarded(async (db: Knex, keyIds: readonly string[]): Promise<void> => {
  await rows(
    db,
    `update control.api_key set last_used_at = now() where key_id = any(:keyIds::uuid[]) and (last_used_at is null or last_used_at < now() - interval '1 minute')`,
    { keyIds },
  )
})

/** All of them, revoked ones too, newest first; at most 1,000. */
export const listApiKeys = guarded(async (db: Knex): Promise<ApiKey[]> =>
  (await rows<KeyRow>(db, `select ${columns} from control.api_key order by created_at desc, key_id limit 1000`)).map(toKey),
)

/** Effective with the commit. False: there is no such key, or it is revoked already. */
export const revokeApiKey = guarded((db: Knex, keyId: string, by: Principal): Promise<boolean> =>
  db.transaction(async (trx) => {
    const row = await first(trx, 'update control.api_key set revoked_at = now() where key_id = :keyId and revoked_at is null returning key_id', { keyId })
    if (!row) return false
    await appendEntry(trx, { stream: 'keys', stepKey: `revoked/${keyId}`, kind: 'key_revoked', actor: actorOf(by), body: { keyId } })
    return true
  }),
)

export const countApiKeys = guarded(async (db: Knex): Promise<number> =>
  (await first<{ count: number }>(db, 'select count(*)::integer as count from control.api_key'))?.count ?? 0,
)

const toKey = (row: KeyRow): ApiKey => ({
  keyId: row.key_id,
  name: row.name,
  roles: row.roles,
  bindings: row.bindings,
  owner: row.owner,
  prefix: row.prefix,
  createdBy: row.created_by,
  createdAt: iso(row.created_at),
  expiresAt: isoOrNull(row.expires_at),
  revokedAt: isoOrNull(row.revoked_at),
  lastUsedAt: isoOrNull(row.last_used_at),
})
