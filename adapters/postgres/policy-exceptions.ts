import type { Knex } from 'knex'
import type { Condition } from '../../domain/policy/document.ts'
import { Failure } from '../../domain/failure.ts'
import type { Principal } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { actorOf, appendEntry } from './ledger.ts'
import { first, inTransaction, iso, isoOrNull, rows } from './sql.ts'

export type ExceptionState = 'proposed' | 'approved' | 'revoked'

export type ExceptionDraft = { id: string; policy: string; actions: string[]; resources: string[]; when: Condition; reason: string; expiresAt: string }

export type ExceptionProposal = ExceptionDraft & {
  author: string
  /** The person behind the author: nobody approves what they asked for themselves. */
  owner: string
  proposedAt: string
  state: ExceptionState
  decidedBy: string | null
  decidedAt: string | null
}

type Row = {
  exception_id: string
  policy_id: string
  actions: string[]
  resources: string[]
  condition: Condition
  reason: string
  expires_at: Date
  author: string
  owner: string
  proposed_at: Date
  state: ExceptionState
  decided_by: string | null
  decided_at: Date | null
}

export const proposeException = guarded((db: Knex, draft: ExceptionDraft, by: Principal): Promise<ExceptionProposal> =>
  db.transaction(async (trx) => {
    const { id, policy, actions, resources, when, reason, expiresAt } = draft
    const row = await first<Row>(
      trx,
      `insert into control.policy_exceptions (exception_id, policy_id, actions, resources, condition, reason, expires_at, author, owner)
       values (:id, :policy, :actions, :resources, :when, :reason, :expiresAt, :author, :owner) returning *`,
      { id, policy, actions: JSON.stringify(actions), resources: JSON.stringify(resources), when: JSON.stringify(when), reason, expiresAt, author: by.id, owner: by.owner },
    )
    if (!row) throw new Error('proposing an exception returned no row')
    await appendEntry(trx, { stream: 'policies', stepKey: `exception/${id}`, kind: 'exception_proposed', actor: actorOf(by), body: { ...draft } })
    return toProposal(row)
  }),
)

/** Throws `Failure('conflict', 'exception_settled')` when it does not stand at `from` any more. */
export const decideException = guarded((db: Knex, { id, from, to, comment }: { id: string; from: ExceptionState; to: ExceptionState; comment: string }, by: Principal): Promise<void> =>
  inTransaction(db, async (trx) => {
    const row = await first(
      trx,
      `update control.policy_exceptions set state = :to, decided_by = :by, decided_at = now() where exception_id = :id and state = :from returning exception_id`,
      { id, from, to, by: by.id },
    )
    if (!row) throw new Failure('conflict', 'exception_settled', `exception \`${id}\` was decided meanwhile: look at it again`)
    await appendEntry(trx, { stream: 'policies', stepKey: `exception/${id}/${to}`, kind: 'exception_decided', actor: actorOf(by), body: { id, state: to, comment } })
  }),
)

export const loadException = guarded(async (db: Knex, id: string): Promise<ExceptionProposal | undefined> => {
  const row = await first<Row>(db, 'select * from control.policy_exceptions where exception_id = :id', { id })
  return row && toProposal(row)
})

/** Of one policy, the newest first; at most 200. */
export const listExceptions = guarded(async (db: Knex, policy: string): Promise<ExceptionProposal[]> =>
  (await rows<Row>(db, 'select * from control.policy_exceptions where policy_id = :policy order by proposed_at desc, exception_id limit 200', { policy })).map(toProposal),
)

const toProposal = (row: Row): ExceptionProposal => ({
  id: row.exception_id,
  policy: row.policy_id,
  actions: row.actions,
  resources: row.resources,
  when: row.condition,
  reason: row.reason,
  expiresAt: iso(row.expires_at),
  author: row.author,
  owner: row.owner,
  proposedAt: iso(row.proposed_at),
  state: row.state,
  decidedBy: row.decided_by,
  decidedAt: isoOrNull(row.decided_at),
})
