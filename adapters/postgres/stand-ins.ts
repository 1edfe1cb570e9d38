import type { Knex } from 'knex'
import { standInsOf, type StandIn } from '../../domain/approvals/stand-in.ts'
import type { Principal } from '../../domain/remediation.ts'
import { delegatorsOf } from './delegations.ts'
import { waitingOf } from './escalations.ts'
import type { RequestRow } from './request-rows.ts'

/**
 * For whom somebody who approves now speaks besides themself: by the accounts, delegations and rules of this moment, and
 * the database's clock. Asked in two statements, since accounts may come to live on a server of their own.
 */
export async function standInsNow(trx: Knex, { id, owner, cluster, namespace }: RequestRow, giver: Principal, planDigest: string): Promise<StandIn[]> {
  const delegators = await delegatorsOf(trx, giver.owner)
  const waiting = await waitingOf(trx, id, planDigest)
  return standInsOf(giver, { owner }, { cluster, namespace }, { delegators, ...waiting })
}
