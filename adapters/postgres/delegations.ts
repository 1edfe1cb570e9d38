import type { Knex } from 'knex'
import type { Delegator } from '../../domain/approvals/stand-in.ts'
import type { Principal } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { actorOf, appendEntry } from './ledger.ts'
import { fromCursor, toPage, type Page } from './pages.ts'
import { first, inTransaction, iso, isoOrNull, rows } from './sql.ts'
import { heldBindings } from './users.ts'

/** Somebody's voice for their groups, with another person for a while. Both are accounts, by their names. */
export type Delegation = {
  delegationId: string
  delegator: string
  delegate: string
  from: string
  until: string
  reason: string
  givenBy: string
  givenAt: string
  revokedBy: string | null
  revokedAt: string | null
}

export type DelegationDraft = Pick<Delegation, 'delegationId' | 'delegator' | 'delegate' | 'reason'> & { from: Date; until: Date; principal: Principal }

/** That are not over, of one person. */
const mostGiven = 20

export type DelegationRefusal =
  | 'no_such_delegator'
  | 'no_such_delegate' // or their account is disabled
  | 'overlaps' // a voice is with one person at a time
  | 'too_many'

export type Delegated = { given: true; delegation: Delegation } | { given: false; because: DelegationRefusal }

export const giveDelegation = guarded((db: Knex, draft: DelegationDraft): Promise<Delegated> =>
  inTransaction(db, async (trx): Promise<Delegated> => {
    const { delegationId, delegator, delegate, from, until, reason, principal } = draft
    const locked = await first(trx, 'select user_id from control.users where username = :delegator for no key update', { delegator })
    if (!locked) return { given: false, because: 'no_such_delegator' }
    const facts = await first<{ delegate_there: boolean; overlaps: boolean; given: number }>(trx, factsSql, { delegator, delegate, from, until })
    if (!facts?.delegate_there) return { given: false, because: 'no_such_delegate' }
    if (facts.overlaps) return { given: false, because: 'overlaps' }
    if (facts.given >= mostGiven) return { given: false, because: 'too_many' }
    const row = await first<Row>(trx, insertSql, { delegationId, delegator, delegate, from, until, reason, by: principal.id })
    if (!row) throw new Error('giving a delegation returned no row')
    const delegation = toDelegation(row)
    const { delegationId: id, from: begins, until: ends } = delegation
    await appendEntry(trx, {
      stream: 'delegations', stepKey: `given/${id}`, kind: 'delegation_given', actor: actorOf(principal),
      body: { delegationId: id, delegator, delegate, from: begins, until: ends, reason },
    })
    return { given: true, delegation }
  }),
)

const ofPeople = 'control.delegations d join control.users f on f.user_id = d.from_user join control.users t on t.user_id = d.to_user'
const columns = 'd.delegation_id, f.username as delegator, t.username as delegate, d.from_at, d.until_at, d.reason, d.given_by, d.given_at, d.revoked_by, d.revoked_at'
const isOpen = 'd.revoked_at is null and d.until_at > clock_timestamp()'

const factsSql = `
  select exists (select from control.users where username = :delegate and state = 'active') as delegate_there,
    exists (select from ${ofPeople} where f.username = :delegator and ${isOpen} and d.from_at < :until and d.until_at > :from) as overlaps,
    (select count(*)::integer from ${ofPeople} where f.username = :delegator and ${isOpen}) as given`

const insertSql = `
  with new as (
    insert into control.delegations (delegation_id, from_user, to_user, from_at, until_at, reason, given_by)
    select :delegationId, f.user_id, t.user_id, :from, :until, :reason, :by from control.users f, control.users t where f.username = :delegator and t.username = :delegate
    returning *
  )
  select ${columns} from new d join control.users f on f.user_id = d.from_user join control.users t on t.user_id = d.to_user`

/** At once, for whatever is answered from now on. False: there is none, or it was ended already. */
export const revokeDelegation = guarded((db: Knex, delegationId: string, principal: Principal): Promise<boolean> =>
  inTransaction(db, async (trx) => {
    const ended = await first(
      trx,
      `update control.delegations d set revoked_at = clock_timestamp(), revoked_by = :by where d.delegation_id = :delegationId and ${isOpen} returning d.delegation_id`,
      { delegationId, by: principal.id },
    )
    if (!ended) return false
    await appendEntry(trx, { stream: 'delegations', stepKey: `revoked/${delegationId}`, kind: 'delegation_revoked', actor: actorOf(principal), body: { delegationId } })
    return true
  }),
)

export const loadDelegation = guarded(async (db: Knex, delegationId: string): Promise<Delegation | undefined> => {
  const row = await first<Row>(db, `select ${columns} from ${ofPeople} where d.delegation_id = :delegationId`, { delegationId })
  return row && toDelegation(row)
})

/** Newest first: those that hold or are to come, or all. */
export const listDelegations = guarded(async (db: Knex, { all, limit, cursor }: { all: boolean; limit: number; cursor?: string }): Promise<Page<Delegation>> => {
  const [before = null] = fromCursor(cursor, ['id'])
  const found = await rows<Row>(
    db,
    `select ${columns} from ${ofPeople} where (:all::boolean or (${isOpen})) and (:before::uuid is null or d.delegation_id < :before::uuid)
     order by d.delegation_id desc limit least(:limit::integer, 200) + 1`,
    { all, before, limit },
  )
  return toPage(found.map(toDelegation), limit, ({ delegationId }) => [delegationId])
})

/** Whoever's voice the delegate has now, with their accounts as they stand now. More than anybody is handed in earnest are not looked at. */
export const delegatorsOf = guarded((db: Knex, delegate: string): Promise<Delegator[]> =>
  rows<Delegator>(
    db,
    `select f.username as owner, f.state, f.groups, ${heldBindings('f')} as bindings
     from ${ofPeople} where t.username = :delegate and ${isOpen} and d.from_at <= clock_timestamp() order by d.delegation_id limit 100`,
    { delegate },
  ),
)

type Row = {
  delegation_id: string
  delegator: string
  delegate: string
  from_at: Date
  until_at: Date
  reason: string
  given_by: string
  given_at: Date
  revoked_by: string | null
  revoked_at: Date | null
}

const toDelegation = (row: Row): Delegation => ({
  delegationId: row.delegation_id,
  delegator: row.delegator,
  delegate: row.delegate,
  from: iso(row.from_at),
  until: iso(row.until_at),
  reason: row.reason,
  givenBy: row.given_by,
  givenAt: iso(row.given_at),
  revokedBy: row.revoked_by,
  revokedAt: isoOrNull(row.revoked_at),
})
