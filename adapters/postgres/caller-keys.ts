import type { Knex } from 'knex'
import { Failure } from '../../domain/failure.ts'
import type { LedgerActor } from '../../domain/ledger.ts'
import type { ActionName, Principal, Role } from '../../domain/remediation.ts'
import type { CallerKeyState, SignatureAlgorithm } from '../../domain/request-signature/signature.ts'
import { isUuidV7 } from '../../domain/uuid.ts'
import { guarded } from './failures.ts'
import { actorOf, appendEntry, type NewEntry } from './ledger.ts'
import { first, iso, isoOrNull, rows } from './sql.ts'

/** What proves a signature: a sealed secret, or a public key (SPKI, DER). */
export type CallerMaterial = { algorithm: 'hmac-sha256'; box: Buffer; sealedBy: string } | { algorithm: 'ed25519'; publicKey: Buffer }

export type CallerKeyDraft = {
  keyId: string
  /** Whose keys these are: a caller keeps its name, and its idempotency keys, when its key is rotated. */
  caller: string
  /** The person behind the caller: four-eyes compares owners. */
  owner: string
  roles: Role[]
  actions: ActionName[]
  namespaces: string[]
  maxReplicas: number
  audiences: string[]
  material: CallerMaterial
}

/** What may be shown of a key. Times are ISO 8601, UTC. */
export type CallerKey = Omit<CallerKeyDraft, 'material'> & {
  algorithm: SignatureAlgorithm
  /** Which sealing key holds the secret; null for a public key. */
  sealedBy: string | null
  /** `retired`: retiring, and its overlap is over. */
  state: CallerKeyState | 'retired'
  createdBy: string
  createdAt: string
  activatedAt: string | null
  retiresAt: string | null
  revokedAt: string | null
}

/** For judging a signature. `nowMs` is the database's clock when it was asked. */
export type CallerCredential = Omit<CallerKeyDraft, 'material'> & { material: CallerMaterial; state: CallerKeyState; retiresAtMs: number | null; nowMs: number }

type KeyRow = {
  key_id: string
  caller: string
  owner: string
  roles: Role[]
  algorithm: SignatureAlgorithm
  sealed_by: string | null
  actions: ActionName[]
  namespaces: string[]
  max_replicas: number
  audiences: string[]
  state: CallerKeyState
  created_by: string
  created_at: Date
  activated_at: Date | null
  retires_at: Date | null
  revoked_at: Date | null
  over: boolean
}

const columns = `key_id, caller, owner, roles, algorithm, sealed_by, actions, namespaces, max_replicas, audiences, state, created_by, created_at,
  activated_at, retires_at, revoked_at, coalesce(state = 'retiring' and retires_at <= clock_timestamp(), false) as over`

/**
 * Pending: it signs nothing that is taken until it is activated. Throws `Failure('conflict', 'caller_of_another')` where
 * the caller's other keys have another owner.
 */
export const createCallerKey = guarded((db: Knex, draft: CallerKeyDraft, by: Principal): Promise<CallerKey> =>
  db.transaction(async (trx) => {
    const { material, ...shown } = draft
    const row = await first<KeyRow>(
      trx,
      `insert into control.caller_key (key_id, caller, owner, roles, algorithm, sealed_secret, sealed_by, public_key, actions, namespaces, max_replicas, audiences, created_by)
       select :keyId::uuid, :caller, :owner, :roles::text[], :algorithm, :box::bytea, :sealedBy, :publicKey::bytea, :actions::text[], :namespaces::text[],
         :maxReplicas::integer, :audiences::text[], :createdBy
       where not exists (select from control.caller_key where caller = :caller and owner <> :owner) returning ${columns}`,
      { ...shown, ...materialColumns(material), createdBy: by.id },
    )
    if (!row) throw new Failure('conflict', 'caller_of_another', `the caller \`${draft.caller}\` has another owner: choose another name`)
    await record(trx, draft.keyId, 'caller_key_created', by, { ...shown, algorithm: material.algorithm })
    return toKey(row)
  }),
)

const materialColumns = (material: CallerMaterial) => {
  const { algorithm } = material
  if (algorithm === 'ed25519') return { algorithm, box: null, sealedBy: null, publicKey: material.publicKey }
  return { algorithm, box: material.box, sealedBy: material.sealedBy, publicKey: null }
}

/** All of them, revoked ones too, by caller, newest first; at most 1,000. */
export const listCallerKeys = guarded(async (db: Knex): Promise<CallerKey[]> =>
  (await rows<KeyRow>(db, `select ${columns} from control.caller_key order by caller, created_at desc, key_id limit 1000`)).map(toKey),
)

type CredentialRow = Pick<KeyRow, 'key_id' | 'caller' | 'owner' | 'roles' | 'algorithm' | 'sealed_by' | 'actions' | 'namespaces' | 'max_replicas' | 'audiences' | 'state' | 'retires_at'> & {
  sealed_secret: Buffer | null
  public_key: Buffer | null
  now: Date
}

/** In the order of `keyIds`, which may be anything a caller claims; undefined for what is no key of ours. Whose owner's account is disabled counts as revoked. */
export const findCallerKeys = guarded(async (db: Knex, keyIds: readonly string[]): Promise<(CallerCredential | undefined)[]> => {
  const found = await rows<CredentialRow>(db, findSql, { keyIds: keyIds.filter(isUuidV7) })
  const keys = new Map(found.map((row) => [row.key_id, toCredential(row)]))
  return keyIds.map((keyId) => keys.get(keyId))
})

const findSql = `
  select key_id, caller, owner, roles, algorithm, sealed_secret, sealed_by, public_key, actions, namespaces, max_replicas, audiences,
    case when exists (select from control.users u where u.username = k.owner and u.state = 'disabled') then 'revoked' else k.state end as state,
    retires_at, clock_timestamp() as now
  from control.caller_key k where key_id = any(:keyIds::uuid[])`

function toCredential(row: CredentialRow): CallerCredential {
  return { ...shownOf(row), material: materialOf(row), state: row.state, retiresAtMs: row.retires_at?.getTime() ?? null, nowMs: row.now.getTime() }
}

function materialOf({ key_id: keyId, sealed_secret: box, sealed_by: sealedBy, public_key: publicKey }: CredentialRow): CallerMaterial {
  if (publicKey) return { algorithm: 'ed25519', publicKey }
  if (box && sealedBy !== null) return { algorithm: 'hmac-sha256', box, sealedBy }
  throw new Error(`caller key ${keyId} has neither a secret nor a public key`)
}

/** Effective with the commit, like each of these. Undefined: there is no such key, or it is past that state. */
export const activateCallerKey = guarded((db: Knex, keyId: string, by: Principal): Promise<CallerKey | undefined> =>
  db.transaction(async (trx) => {
    const row = await first<KeyRow>(trx, `update control.caller_key set state = 'active', activated_at = clock_timestamp() where key_id = :keyId and state = 'pending' returning ${columns}`, { keyId })
    if (row) await record(trx, keyId, 'caller_key_activated', by, {})
    return row && toKey(row)
  }),
)

/** Good for `overlapS` seconds more, so that its caller can change over. An overlap that runs can only be cut short. */
export const retireCallerKey = guarded((db: Knex, keyId: string, overlapS: number, by: Principal): Promise<CallerKey | undefined> =>
  db.transaction(async (trx) => {
    const row = await first<KeyRow>(
      trx,
      `update control.caller_key set state = 'retiring', retires_at = least(retires_at, clock_timestamp() + :overlapS::integer * interval '1 second')
       where key_id = :keyId and state in ('active', 'retiring') returning ${columns}`,
      { keyId, overlapS },
    )
    if (row) await record(trx, keyId, 'caller_key_retiring', by, { retiresAt: isoOrNull(row.retires_at) })
    return row && toKey(row)
  }),
)

export const revokeCallerKey = guarded((db: Knex, keyId: string, by: Principal): Promise<CallerKey | undefined> =>
  db.transaction(async (trx) => {
    const row = await first<KeyRow>(trx, `update control.caller_key set state = 'revoked', revoked_at = clock_timestamp() where key_id = :keyId and state <> 'revoked' returning ${columns}`, { keyId })
    if (row) await record(trx, keyId, 'caller_key_revoked', by, {})
    return row && toKey(row)
  }),
)

type Change = 'caller_key_created' | 'caller_key_activated' | 'caller_key_retiring' | 'caller_key_revoked'

const record = (trx: Knex, keyId: string, kind: Change, by: Principal, body: Record<string, unknown>) => recordKeyEntry(trx, { stepKey: `${kind}/${keyId}`, kind, actor: actorOf(by), body: { keyId, ...body } })

/** Keys of callers have a stream of their own. */
export const recordKeyEntry = (db: Knex, entry: Pick<NewEntry, 'stepKey' | 'kind' | 'body'> & { actor: LedgerActor }) => appendEntry(db, { stream: 'caller-keys', ...entry })

const shownOf = (row: Pick<KeyRow, 'key_id' | 'caller' | 'owner' | 'roles' | 'actions' | 'namespaces' | 'max_replicas' | 'audiences'>) => ({
  keyId: row.key_id,
  caller: row.caller,
  owner: row.owner,
  roles: row.roles,
  actions: row.actions,
  namespaces: row.namespaces,
  maxReplicas: row.max_replicas,
  audiences: row.audiences,
})

const toKey = (row: KeyRow): CallerKey => ({
  ...shownOf(row),
  algorithm: row.algorithm,
  sealedBy: row.sealed_by,
  state: row.over ? 'retired' : row.state,
  createdBy: row.created_by,
  createdAt: iso(row.created_at),
  activatedAt: isoOrNull(row.activated_at),
  retiresAt: isoOrNull(row.retires_at),
  revokedAt: isoOrNull(row.revoked_at),
})
