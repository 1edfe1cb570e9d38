import type { Knex } from 'knex'
import { Failure } from '../../domain/failure.ts'
import type { LedgerActor } from '../../domain/ledger.ts'
import type { PolicyInput } from '../../domain/policy/input.ts'
import type { Principal } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { actorOf, appendEntry } from './ledger.ts'
import { fromCursor, toPage, type Page } from './pages.ts'
import type { Cause } from './policies.ts'
import { first, inTransaction, iso, isoOrNull, rows } from './sql.ts'

export const policyChangeStates = ['proposed', 'agreed', 'withdrawn'] as const
export type PolicyChangeState = (typeof policyChangeStates)[number]

/** One policy of a change. `version`: the one that was looked at; null where there was none. Without a document it is taken back. */
export type WantedEdit = { id: string; version: number | null; document: Record<string, unknown> | null; tests?: unknown[] }

/** A change of policies as it was asked for: enough to prepare it again on what is in force later. */
export type WantedChange = {
  cause: Cause
  comment: string
  edits: WantedEdit[]
  /** Where files were sent: they are the whole of what Git manages, and `edits` only shows what they change. */
  files: { name: string; text: string }[] | null
  /** And then all that Git manages, as it was looked at. */
  replaces: [id: string, version: number][]
  commit: string | null
  /** A snapshot that could not be proven any more, of which nothing is to stay. */
  over: number | null
}

export type PolicyChange = {
  id: string
  wanted: WantedChange
  why: string
  witness: PolicyInput | null
  author: LedgerActor
  proposedAt: string
  state: PolicyChangeState
  decidedBy: string | null
  decidedAt: string | null
}

type Row = {
  change_id: string
  wanted: string
  why: string
  witness: string | null
  author: string
  author_kind: LedgerActor['kind']
  owner: string
  proposed_at: Date
  state: PolicyChangeState
  decided_by: string | null
  decided_at: Date | null
}

/** Who is to agree has to be able to look at all of them. */
const mostOpen = 100
/** A ledger entry is short. */
const mostEditsTold = 100

/** Throws `Failure('limited', 'policy_changes_full')` where too many wait already. */
export const proposeChange = guarded((db: Knex, { id, wanted, why, witness }: Pick<PolicyChange, 'id' | 'wanted' | 'why' | 'witness'>, by: Principal): Promise<void> =>
  db.transaction(async (trx) => {
    await rows(trx, `select pg_advisory_xact_lock(hashtextextended('control.policy_changes', 0))`)
    const open = await first<{ count: number }>(trx, `select count(*)::integer as count from control.policy_changes where state = 'proposed'`)
    if ((open?.count ?? 0) >= mostOpen) throw new Failure('limited', 'policy_changes_full', `${mostOpen} changes of policies wait for a second person: agree to some or withdraw them, as \`aegis policy changes\` lists them`)
    await rows(
      trx,
      `insert into control.policy_changes (change_id, wanted, why, witness, author, author_kind, owner)
       values (:id, :wanted, :why, :witness, :author, :kind, :owner)`,
      { id, wanted: JSON.stringify(wanted), why, witness: witness && JSON.stringify(witness), author: by.id, kind: by.kind, owner: by.owner },
    )
    const { cause, comment, commit, over, edits } = wanted
    const told = edits.slice(0, mostEditsTold).map(({ id: policy, version, document }) => ({ id: policy, version, takenBack: document === null }))
    await appendEntry(trx, { stream: 'policies', stepKey: `change/${id}`, kind: 'policy_change_proposed', actor: actorOf(by), body: { id, cause, comment, commit, over, why, edits: told, editCount: edits.length } })
  }),
)

/** Throws `Failure('conflict', 'policy_change_settled')` when it is settled already. */
export const decideChange = guarded((db: Knex, { id, to, comment }: { id: string; to: 'agreed' | 'withdrawn'; comment: string }, by: Principal): Promise<void> =>
  inTransaction(db, async (trx) => {
    const row = await first(
      trx,
      `update control.policy_changes set state = :to, decided_by = :by, decided_owner = :owner, decided_at = now()
       where change_id = :id and state = 'proposed' returning change_id`,
      { id, to, by: by.id, owner: by.owner },
    )
    if (!row) throw new Failure('conflict', 'policy_change_settled', `change \`${id}\` was settled meanwhile: look at it again`)
    await appendEntry(trx, { stream: 'policies', stepKey: `change/${id}/${to}`, kind: 'policy_change_decided', actor: actorOf(by), body: { id, state: to, comment } })
  }),
)

export const loadChange = guarded(async (db: Knex, id: string): Promise<PolicyChange | undefined> => {
  const row = await first<Row>(db, 'select * from control.policy_changes where change_id = :id', { id })
  return row && toChange(row)
})

/** Newest first; of one state, or of all. */
export const listChanges = guarded(async (db: Knex, { state, limit, cursor }: { state?: PolicyChangeState; limit: number; cursor?: string }): Promise<Page<PolicyChange>> => {
  const [before] = fromCursor(cursor, ['id'])
  const found = await rows<Row>(
    db,
    `select * from control.policy_changes where (:state::text is null or state = :state) and (:before::text is null or change_id::text collate "C" < :before)
     order by change_id desc limit :limit`,
    { state: state ?? null, before: before ?? null, limit: limit + 1 },
  )
  return toPage(found.map(toChange), limit, ({ id }) => [id])
})

const toChange = (row: Row): PolicyChange => ({
  id: row.change_id,
  wanted: JSON.parse(row.wanted) as WantedChange,
  why: row.why,
  witness: row.witness === null ? null : (JSON.parse(row.witness) as PolicyInput),
  author: { id: row.author, kind: row.author_kind, owner: row.owner },
  proposedAt: iso(row.proposed_at),
  state: row.state,
  decidedBy: row.decided_by,
  decidedAt: isoOrNull(row.decided_at),
})
