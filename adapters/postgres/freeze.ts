import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import type { FreezeScope } from '../../domain/freeze.ts'
import type { ActionName, Principal } from '../../domain/remediation.ts'
import { areasParameter, touching, type Readable } from './areas.ts'
import { asFailure, guarded } from './failures.ts'
import { windowsInForce } from './freeze-windows.ts'
import { actorOf, appendEntry } from './ledger.ts'
import { freezeLock } from './request-rows.ts'
import { first, iso, isoOrNull, rows } from './sql.ts'

export type Freeze = {
  freezeId: string
  scope: FreezeScope
  reason: string
  setBy: string
  setAt: string
  /** Null while in force. One that is lifted is told of until every cluster admits again. */
  liftedAt: string | null
  /** What the guards say: when a cluster began to refuse by itself, and when it stopped. */
  applied: Applied[]
}
export type Applied = { cluster: string; frozenAt: string | null; liftedAt: string | null }

type FreezeRow = {
  freeze_id: string
  cluster: string | null
  namespace: string | null
  action: ActionName | null
  policy: string | null
  reason: string
  set_by: string
  set_at: Date
  lifted_at: Date | null
  applied: Applied[] | null
}

/** `decision` is a decision's row: whether the policy of freeze `f` is among those it rests on. */
export const restsOnFrozen = (decision: string): string => `${decision}.decision::jsonb -> 'binding' @> jsonb_build_array(jsonb_build_object('id', f.policy))`

/**
 * The freeze that covers a target, set or known ahead, if any: a fragment to select from, with `:cluster`, `:namespace`, `:action`, and the
 * decision that lets it act as a subquery. One that names a policy covers what that policy is behind.
 */
export const coveringFreeze = (decisionId: string): string => `
  (select freeze_id, reason, set_at, cluster, namespace, action, policy from ledger.freeze where lifted_at is null union all ${windowsInForce}) f
  where coalesce(f.cluster, :cluster) = :cluster and coalesce(f.namespace, :namespace) = :namespace and coalesce(f.action, :action) = :action
    and (f.policy is null or exists (select from ledger.decision b where b.decision_id = (${decisionId}) and ${restsOnFrozen('b')}))`

export const latestDecisionId = 'select l.decision_id from ledger.decision l where l.id = :id order by l.ordinal desc limit 1'

/** Long enough for any honest check; a stalled one must not hold up the kill switch. */
const checksWaitMs = 500

type FreezeDraft = { scope: FreezeScope; reason: string; principal: Principal }

/** In force once this returns. The same scope frozen twice is one freeze: `known` gives the one that stands. */
export const setFreeze = guarded((db: Knex, draft: FreezeDraft): Promise<Freeze & { known: boolean }> =>
  db.transaction(async (trx) => {
    await waitForChecks(trx)
    const scope = scopeColumns(draft.scope)
    const added = await first<FreezeRow>(
      trx,
      `insert into ledger.freeze (freeze_id, cluster, namespace, action, policy, reason, set_by)
       values (:freezeId, :cluster, :namespace, :action, :policy, :reason, :setBy) on conflict do nothing returning *`,
      { freezeId: randomUUID(), ...scope, reason: draft.reason, setBy: draft.principal.id },
    )
    if (!added) return { ...(await standing(trx, scope)), known: true }
    await appendEntry(trx, {
      stream: 'freeze',
      stepKey: `set/${added.freeze_id}`,
      kind: 'freeze_set',
      actor: actorOf(draft.principal),
      body: { freezeId: added.freeze_id, scope: draft.scope, reason: draft.reason },
    })
    return { ...toFreeze(added), known: false }
  }),
)

async function waitForChecks(trx: Knex.Transaction): Promise<void> {
  await trx.raw(`set local lock_timeout = ${checksWaitMs}`)
  await trx.raw('savepoint waiting')
  try {
    await trx.raw(`select pg_advisory_xact_lock(${freezeLock})`)
  } catch (error) {
    const failure = asFailure(error)
    if ((failure as { code?: string }).code !== 'lock_timeout') throw error
    await trx.raw('rollback to savepoint waiting')
  }
  await trx.raw('set local lock_timeout to default')
}

const scopeColumns = ({ cluster, namespace, action, policy }: FreezeScope) => ({
  cluster: cluster ?? null,
  namespace: namespace ?? null,
  action: action ?? null,
  policy: policy ?? null,
})

const columns = `f.*, (
  select jsonb_agg(jsonb_build_object('cluster', a.cluster, 'frozenAt', a.frozen_at, 'liftedAt', a.lifted_at) order by a.cluster)
  from ledger.freeze_applied a where a.freeze_id = f.freeze_id) as applied`

async function standing(trx: Knex, scope: ReturnType<typeof scopeColumns>): Promise<Freeze> {
  const row = await first<FreezeRow>(
    trx,
    `select ${columns} from ledger.freeze f where lifted_at is null and cluster is not distinct from :cluster
       and namespace is not distinct from :namespace and action is not distinct from :action and policy is not distinct from :policy`,
    scope,
  )
  if (!row) throw new Error('a freeze could be neither stored nor found')
  return toFreeze(row)
}

/** The freeze as it is lifted; undefined: there is no such freeze, or it is lifted already. */
export const liftFreeze = guarded((db: Knex, freezeId: string, principal: Principal): Promise<Freeze | undefined> =>
  db.transaction(async (trx) => {
    const lifted = (await liftStanding(trx, freezeId, principal)) ?? (await liftKept(trx, freezeId, principal))
    if (!lifted) return undefined
    await appendEntry(trx, {
      stream: 'freeze',
      stepKey: `lifted/${freezeId}`,
      kind: 'freeze_lifted',
      actor: actorOf(principal),
      body: { freezeId },
    })
    return toFreeze(lifted)
  }),
)

const liftStanding = (trx: Knex, freezeId: string, { id: by }: Principal) =>
  first<FreezeRow>(trx, `update ledger.freeze f set lifted_at = now(), lifted_by = :by where freeze_id = :freezeId and lifted_at is null returning ${columns}`, { freezeId, by })

/** What a cluster holds and this database has lost is lifted by a row that says so; guards believe nothing else. */
const liftKept = (trx: Knex, freezeId: string, { id: by }: Principal) =>
  first<FreezeRow>(
    trx,
    `insert into ledger.freeze as f (freeze_id, reason, set_by, lifted_by, lifted_at)
     select k.freeze_id, 'lost by the database, kept by the clusters', 'unknown', :by, now() from ledger.freeze_applied k
     where k.freeze_id = :freezeId and k.kept_at is not null and k.lifted_at is null limit 1 on conflict do nothing returning ${columns}`,
    { freezeId, by },
  )

/** Those in force, and those that are lifted while a cluster still refuses, that hold something in these areas. */
export const activeFreezes = guarded(async (db: Knex, areas: Readable = null): Promise<Freeze[]> =>
  (
    await rows<FreezeRow>(
      db,
      `select ${columns} from ledger.freeze f where (f.lifted_at is null
         or exists (select from ledger.freeze_applied a where a.freeze_id = f.freeze_id and a.lifted_at is null)) and ${touching('f')} order by f.set_at`,
      areasParameter(areas),
    )
  ).map(toFreeze),
)

/** A freeze that a cluster holds although this database does not know it: in force there until it is lifted by its id. */
export type Kept = { freezeId: string; cluster: string; keys: string[]; since: string }

export const keptFreezes = guarded(async (db: Knex): Promise<Kept[]> => {
  const found = await rows<{ freeze_id: string; cluster: string; kept_keys: string[]; kept_at: Date }>(
    db,
    `select k.freeze_id, k.cluster, k.kept_keys, k.kept_at from ledger.freeze_applied k where k.kept_at is not null and k.lifted_at is null
       and not exists (select from ledger.freeze f where f.freeze_id = k.freeze_id) order by k.kept_at`,
  )
  return found.map((row) => ({ freezeId: row.freeze_id, cluster: row.cluster, keys: row.kept_keys, since: iso(row.kept_at) }))
})

const toFreeze = (row: FreezeRow): Freeze => ({
  freezeId: row.freeze_id,
  scope: {
    ...(row.cluster === null ? {} : { cluster: row.cluster }),
    ...(row.namespace === null ? {} : { namespace: row.namespace }),
    ...(row.action === null ? {} : { action: row.action }),
    ...(row.policy === null ? {} : { policy: row.policy }),
  },
  reason: row.reason,
  setBy: row.set_by,
  setAt: iso(row.set_at),
  liftedAt: isoOrNull(row.lifted_at),
  applied: row.applied ?? [],
})
