import type { Knex } from 'knex'
import { Failure } from '../../domain/failure.ts'
import type { LedgerActor } from '../../domain/ledger.ts'
import type { ExceptionDocument } from '../../domain/policy/exception.ts'
import { guarded } from './failures.ts'
import { appendEntry } from './ledger.ts'
import { fromCursor, toPage, type Page } from './pages.ts'
import { first, iso, rows } from './sql.ts'

export type ManagedBy = 'api' | 'git'
export type Cause = 'edit' | 'rollback' | 'sync'

/** A policy as it stands in a snapshot. `document` is canonical JSON, of which `hash` is the digest; `since` is when this content was first published. */
export type PolicyMember = { id: string; version: number; hash: string; document: string; tests: unknown[]; managedBy: ManagedBy; author: string; comment: string; at: string; since: string; agreedBy: string | null }

/** An exception as it stands in a snapshot. */
export type StoredException = { managedBy: ManagedBy; document: ExceptionDocument }

/** What is in force, as stored: nothing in here is proven before its signature is. */
export type StoredSnapshot = {
  seq: number
  hash: string
  statement: string
  keyId: string
  signature: string
  members: PolicyMember[]
  /** Tests of policies that come from files. */
  tests: unknown[]
  exceptions: StoredException[]
}

/** One edit of one policy; without a document it is taken back. */
export type PolicyEdit = { id: string; document: { text: string; hash: string } | null; tests: unknown[] }

export type Publication = {
  /** The snapshot this one was made of; 0 for none. Another one in force by now is a conflict. */
  onto: number
  /** Nothing of that one stays: it could not be proven any more. */
  replaces: boolean
  edits: PolicyEdit[]
  managedBy: ManagedBy
  cause: Cause
  author: LedgerActor
  comment: string
  /** Who agreed to it besides its author; left out where nobody had to. */
  agreedBy?: LedgerActor
  commit: string | null
  /** Of the files it is made of; null for an edit. */
  filesDigest: string | null
  hash: string
  statement: string
  keyId: string
  signature: string
  tests: unknown[]
  exceptions: StoredException[]
  /** More that is true from the same moment on. What it throws undoes the publication. */
  also?: (trx: Knex) => Promise<void>
}

type SnapshotRow = { seq: number; hash: string; statement: string; key_id: string; signature: string; tests: string; exceptions: string; members: string }

const snapshotColumns = 'seq, hash, statement, key_id, signature, tests, exceptions, members'

type Known = Pick<StoredSnapshot, 'seq' | 'statement'>

/** What is in force. Undefined: nothing was ever published. */
export const loadSnapshot = guarded(async (db: Knex): Promise<StoredSnapshot | undefined> => {
  const row = await first<SnapshotRow>(db, `select ${snapshotColumns} from control.policy_snapshots order by seq desc limit 1`)
  return row && toSnapshot(db, row)
})

/** Whether what is in force is, by number and word for word, what the caller has. */
export const isNewest = guarded(async (db: Knex, { seq, statement }: Known): Promise<boolean> => {
  const newest = await first<Known>(db, 'select seq, statement from control.policy_snapshots order by seq desc limit 1')
  return newest?.seq === seq && newest.statement === statement
})

/** Whether these files were in force once, and others have been since. */
export const filesReplaced = guarded(async (db: Knex, filesDigest: string): Promise<boolean> => {
  const row = await first<{ newest: string | null; known: boolean }>(
    db,
    `select (select files_digest from control.policy_snapshots where files_digest is not null order by seq desc limit 1) as newest,
       exists (select from control.policy_snapshots where files_digest = :filesDigest) as known`,
    { filesDigest },
  )
  return row?.known === true && row.newest !== filesDigest
})

/** The snapshot that decisions name by this hash, the newest where it came back. */
export const loadSnapshotByHash = guarded(async (db: Knex, hash: string): Promise<StoredSnapshot | undefined> => {
  const row = await first<SnapshotRow>(db, `select ${snapshotColumns} from control.policy_snapshots where hash = :hash order by seq desc limit 1`, { hash })
  return row && toSnapshot(db, row)
})

async function toSnapshot(db: Knex, { seq, hash, statement, key_id: keyId, signature, tests, exceptions, members }: SnapshotRow): Promise<StoredSnapshot> {
  const found = await rows<VersionRow>(
    db,
    `select ${versionColumns} from jsonb_array_elements(:members::jsonb) with ordinality m(pair, place)
     join control.policy_versions v on v.policy_id = m.pair->>0 and v.version = (m.pair->>1)::integer order by m.place`,
    { members },
  )
  return { seq, hash, statement, keyId, signature, tests: JSON.parse(tests) as unknown[], exceptions: JSON.parse(exceptions) as StoredException[], members: found.flatMap((row) => toMember(row) ?? []) }
}

type VersionRow = {
  policy_id: string
  version: number
  content_hash: string | null
  document: string | null
  tests: string
  managed_by: ManagedBy
  author: string
  comment: string
  at: Date
  since: Date
  agreed_by: string | null
}

const versionColumns = 'v.policy_id, v.version, v.content_hash, v.document, v.tests, v.managed_by, v.author, v.comment, v.at, v.agreed_by, (select min(o.at) from control.policy_versions o where o.policy_id = v.policy_id and o.content_hash = v.content_hash) as since'

function toMember(row: VersionRow): PolicyMember | undefined {
  const { policy_id: id, version, content_hash: hash, document, tests, managed_by: managedBy, author, comment, at, since, agreed_by: agreedBy } = row
  if (hash === null || document === null) return undefined
  return { id, version, hash, document, tests: JSON.parse(tests) as unknown[], managedBy, author, comment, at: iso(at), since: iso(since), agreedBy }
}

/**
 * Adds the versions and the snapshot, says so in the ledger and tells whoever listens, in one transaction.
 * Throws `Failure('conflict', 'policies_moved')` when another snapshot is in force than the one this was made of.
 */
export const publishPolicies = guarded((db: Knex, publication: Publication): Promise<{ seq: number; versions: Record<string, number> }> =>
  db.transaction(async (trx) => {
    await rows(trx, `select pg_advisory_xact_lock(hashtextextended('control.policies', 0))`)
    const before = await first<{ seq: number; members: string }>(trx, 'select seq, members from control.policy_snapshots order by seq desc limit 1')
    if ((before?.seq ?? 0) !== publication.onto) throw new Failure('conflict', 'policies_moved', 'the policies were changed meanwhile: look at them again, then repeat the change')
    const versions: Record<string, number> = {}
    for (const edit of publication.edits) versions[edit.id] = await addVersion(trx, edit, publication)
    const seq = publication.onto + 1
    const standing = before && !publication.replaces ? (JSON.parse(before.members) as Member[]) : []
    const members = membersAfter(standing, publication.edits, versions)
    await addSnapshot(trx, seq, members, publication)
    await publication.also?.(trx)
    await tell(trx, seq, versions, publication)
    return { seq, versions }
  }),
)

type Member = [id: string, version: number]

function membersAfter(before: Member[], edits: PolicyEdit[], versions: Record<string, number>): Member[] {
  const members = new Map(before)
  for (const { id, document } of edits) {
    if (document === null) members.delete(id)
    else members.set(id, versions[id]!)
  }
  return [...members].sort(([a], [b]) => (a < b ? -1 : 1))
}

async function addVersion(trx: Knex, { id, document, tests }: PolicyEdit, { managedBy, author, comment, agreedBy }: Publication): Promise<number> {
  const row = await first<{ version: number }>(
    trx,
    `insert into control.policy_versions (policy_id, version, content_hash, document, tests, managed_by, author, comment, agreed_by)
     select :id, coalesce(max(v.version), 0) + 1, :hash, :document, :tests, :managedBy, :author, :comment, :agreedBy
     from control.policy_versions v where v.policy_id = :id returning version`,
    { id, hash: document?.hash ?? null, document: document?.text ?? null, tests: JSON.stringify(tests), managedBy, author: author.id, comment, agreedBy: agreedBy?.id ?? null },
  )
  if (!row) throw new Error('adding a policy version returned no row')
  return row.version
}

const addSnapshot = (trx: Knex, seq: number, members: Member[], { hash, tests, exceptions, statement, keyId, signature, cause, author, comment, commit, filesDigest }: Publication) =>
  rows(
    trx,
    `insert into control.policy_snapshots (seq, hash, members, tests, exceptions, statement, key_id, signature, cause, author, comment, commit, files_digest)
     values (:seq, :hash, :members, :tests, :exceptions, :statement, :keyId, :signature, :cause, :author, :comment, :commit, :filesDigest)`,
    { seq, hash, members: JSON.stringify(members), tests: JSON.stringify(tests), exceptions: JSON.stringify(exceptions), statement, keyId, signature, cause, author: author.id, comment, commit, filesDigest },
  )

/** A ledger entry is short; more edits than this are told by their number and the snapshot's hash, which covers them. */
const mostEditsTold = 100

async function tell(trx: Knex, seq: number, versions: Record<string, number>, { edits, hash, cause, author, comment, commit, keyId, exceptions, replaces, agreedBy }: Publication): Promise<void> {
  const told = edits.slice(0, mostEditsTold).map(({ id, document }) => ({ id, version: versions[id]!, hash: document?.hash ?? null }))
  const body = { seq, snapshot: hash, cause, replaces, comment, commit, keyId, edits: told, editCount: edits.length, exceptions: exceptions.slice(0, mostEditsTold).map(({ document }) => document.id), ...(agreedBy && { agreedBy: agreedBy.id }) }
  await appendEntry(trx, { stream: 'policies', stepKey: `published/${seq}`, kind: 'policies_published', actor: author, body })
  await rows(trx, `select pg_notify('aegis_policy', :seq::text)`, { seq })
}

export type PolicyVersion = { version: number; hash: string | null; managedBy: ManagedBy; author: string; comment: string; at: string; agreedBy: string | null }

/** Newest first, withdrawals among them. */
export const listVersions = guarded(async (db: Knex, id: string, { limit, cursor }: { limit: number; cursor?: string }): Promise<Page<PolicyVersion>> => {
  const [before] = fromCursor(cursor, ['number'])
  const found = await rows<VersionRow>(
    db,
    `select ${versionColumns} from control.policy_versions v where v.policy_id = :id and v.version < coalesce(:before::integer, 2147483647)
     order by v.version desc limit :limit`,
    { id, before: before ?? null, limit: limit + 1 },
  )
  const items = found.map(({ version, content_hash: hash, managed_by: managedBy, author, comment, at, agreed_by: agreedBy }) => ({ version, hash, managedBy, author, comment, at: iso(at), agreedBy }))
  return toPage(items, limit, ({ version }) => [`${version}`])
})

/** One version with its document; undefined when there is none, or it was a withdrawal. */
export const loadVersion = guarded(async (db: Knex, id: string, version: number): Promise<PolicyMember | undefined> => {
  const row = await first<VersionRow>(db, `select ${versionColumns} from control.policy_versions v where v.policy_id = :id and v.version = :version`, { id, version })
  return row && toMember(row)
})

export type SnapshotRecord = { seq: number; hash: string; cause: Cause; author: string; comment: string; commit: string | null; at: string; keyId: string; statement: string; signature: string; policies: number }

/** Every snapshot that was ever in force, newest first. */
export const listSnapshots = guarded(async (db: Knex, { limit, cursor }: { limit: number; cursor?: string }): Promise<Page<SnapshotRecord>> => {
  const [before] = fromCursor(cursor, ['number'])
  const found = await rows<Omit<SnapshotRecord, 'at' | 'keyId'> & { at: Date; key_id: string }>(
    db,
    `select seq, hash, cause, author, comment, commit, at, key_id, statement, signature, jsonb_array_length(members::jsonb) as policies
     from control.policy_snapshots where seq < coalesce(:before::integer, 2147483647) order by seq desc limit :limit`,
    { before: before ?? null, limit: limit + 1 },
  )
  return toPage(found.map(({ at, key_id: keyId, ...rest }) => ({ ...rest, at: iso(at), keyId })), limit, ({ seq }) => [`${seq}`])
})
