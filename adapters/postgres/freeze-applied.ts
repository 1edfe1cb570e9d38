import type { Knex } from 'knex'
import type { ClusterFreeze, KeptFreeze } from '../../domain/freeze.ts'
import type { ActionName } from '../../domain/remediation.ts'
import { guarded } from './failures.ts'
import { windowsBegun } from './freeze-windows.ts'
import { restsOnFrozen } from './freeze.ts'
import { appendEntry, systemActor } from './ledger.ts'
import { first, rows } from './sql.ts'

/** What a guard reads and says of its cluster. */

export type GuardFacts = {
  inForce: ClusterFreeze[]
  /** Of the freezes asked about and of those told of, the ones that are known to be lifted. */
  lifted: ClusterFreeze[]
  /** Those the guard has told of and not taken back. */
  told: string[]
}

type Row = { freeze_id: string; namespace: string | null; action: ActionName | null; policy: string | null; lifted: boolean; held: string[] | null }

/** More calls than this are never under way at once. */
const heldLimit = 1_000

// A call can only land late when it was `sent` before the freeze; what is settled has landed or never will.
const factsSql = `
  select f.freeze_id, f.namespace, f.action, f.policy, f.lifted_at is not null as lifted,
    case when f.policy is not null and f.lifted_at is null then array(
      select i.id::text from ledger.intent i join ledger.warrant w using (warrant_id) join ledger.decision b on b.decision_id = w.decision_id
      where i.cluster = :cluster and i.state in ('sent', 'fencing') and coalesce(f.namespace, i.namespace) = i.namespace
        and coalesce(f.action, i.action) = i.action and ${restsOnFrozen('b')} order by i.id limit ${heldLimit}) end as held
  from (select freeze_id, cluster, namespace, action, policy, set_at, lifted_at from ledger.freeze union all ${windowsBegun}) f
  where (f.lifted_at is null and coalesce(f.cluster, :cluster) = :cluster)
    or (f.lifted_at is not null and (f.freeze_id::text = any(:standing::text[])
      or exists (select from ledger.freeze_applied a where a.freeze_id = f.freeze_id and a.cluster = :cluster and a.lifted_at is null)))
  order by f.set_at`

/** `standing`: the freezes that the cluster holds now. */
export const guardFacts = guarded(async (db: Knex, cluster: string, standing: readonly string[]): Promise<GuardFacts> => {
  const [found, told] = await Promise.all([
    rows<Row>(db, factsSql, { cluster, standing: [...standing] }),
    rows<{ freeze_id: string }>(db, 'select freeze_id from ledger.freeze_applied where cluster = :cluster and lifted_at is null', { cluster }),
  ])
  const freezes = found.map((row) => ({ lifted: row.lifted, freeze: toClusterFreeze(row) }))
  return {
    inForce: freezes.filter(({ lifted }) => !lifted).map(({ freeze }) => freeze),
    lifted: freezes.filter(({ lifted }) => lifted).map(({ freeze }) => freeze),
    told: told.map((row) => row.freeze_id),
  }
})

const toClusterFreeze = ({ freeze_id: freezeId, namespace, action, policy, held }: Row): ClusterFreeze => ({
  freezeId,
  scope: { ...(namespace === null ? {} : { namespace }), ...(action === null ? {} : { action }), ...(policy === null ? {} : { policy }) },
  held: held ?? [],
})

/** The cluster refuses by itself from here on. */
export const markFrozen = guarded((db: Knex, cluster: string, freezeId: string): Promise<void> =>
  tell(db, 'freeze_applied', { cluster, freezeId }, {
    sql: `insert into ledger.freeze_applied as a (freeze_id, cluster, frozen_at) values (:freezeId, :cluster, clock_timestamp())
      on conflict (freeze_id, cluster) do update set frozen_at = clock_timestamp() where a.frozen_at is null returning freeze_id`,
  }),
)

/** It admits again. */
export const markThawed = guarded((db: Knex, cluster: string, freezeId: string): Promise<void> =>
  tell(db, 'freeze_thawed', { cluster, freezeId }, {
    sql: 'update ledger.freeze_applied set lifted_at = clock_timestamp() where freeze_id = :freezeId and cluster = :cluster and lifted_at is null returning freeze_id',
  }),
)

/** It holds a freeze that this database does not know. */
export const markKept = guarded((db: Knex, cluster: string, { freezeId, keys }: KeptFreeze): Promise<void> =>
  tell(db, 'freeze_kept', { cluster, freezeId, keys }, {
    sql: `insert into ledger.freeze_applied as a (freeze_id, cluster, kept_at, kept_keys) values (:freezeId, :cluster, clock_timestamp(), :keys)
      on conflict (freeze_id, cluster) do update set kept_at = clock_timestamp(), kept_keys = excluded.kept_keys where a.kept_at is null returning freeze_id`,
  }),
)

type Told = { cluster: string; freezeId: string; keys?: readonly string[] }

/** A row and its entry, or neither: said again, it is said already. */
const tell = (db: Knex, kind: string, told: Told, { sql }: { sql: string }): Promise<void> =>
  db.transaction(async (trx) => {
    if (!(await first(trx, sql, { ...told, ...(told.keys && { keys: [...told.keys] }) }))) return
    await appendEntry(trx, { stream: 'freeze', stepKey: `${kind}/${told.cluster}/${told.freezeId}`, kind, actor: systemActor, body: told })
  })
