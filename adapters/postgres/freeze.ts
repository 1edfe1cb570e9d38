import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import type { ActionName, Principal } from '../../domain/remediation.ts'
import { areasParameter, touching, type Readable } from './areas.ts'
import { asFailure, guarded } from './failures.ts'
import { actorOf, appendEntry } from './ledger.ts'
import { freezeLock } from './request-rows.ts'
import { first, iso, rows } from './sql.ts'

/** What a freeze covers; nothing given means everything. */
export type FreezeScope = { cluster?: string; namespace?: string; action?: ActionName }
export type Freeze = { freezeId: string; scope: FreezeScope; reason: string; setBy: string; setAt: string }

type FreezeRow = {
  freeze_id: string
  cluster: string | null
  namespace: string | null
  action: ActionName | null
  reason: string
  set_by: string
  set_at: Date
}

/** The freeze that covers a target, if any: a fragment to select from, with `:cluster`, `:namespace`, `:action`. */
export const coveringFreeze = `
  ledger.freeze f where f.lifted_at is null and coalesce(f.cluster, :cluster) = :cluster
    and coalesce(f.namespace, :namespace) = :namespace and coalesce(f.action, :action) = :action`

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
      `insert into ledger.freeze (freeze_id, cluster, namespace, action, reason, set_by)
       values (:freezeId, :cluster, :namespace, :action, :reason, :setBy) on conflict do nothing returning *`,
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

const scopeColumns = ({ cluster, namespace, action }: FreezeScope) => ({
  cluster: cluster ?? null,
  namespace: namespace ?? null,
  action: action ?? null,
})

async function standing(trx: Knex, scope: ReturnType<typeof scopeColumns>): Promise<Freeze> {
  const row = await first<FreezeRow>(
    trx,
    `select * from ledger.freeze where lifted_at is null and cluster is not distinct from :cluster
       and namespace is not distinct from :namespace and action is not distinct from :action`,
    scope,
  )
  if (!row) throw new Error('a freeze could be neither stored nor found')
  return toFreeze(row)
}

/** False: there is no such freeze, or it is lifted already. */
export const liftFreeze = guarded((db: Knex, freezeId: string, principal: Principal): Promise<boolean> =>
  db.transaction(async (trx) => {
    const lifted = await first(
      trx,
      'update ledger.freeze set lifted_at = now(), lifted_by = :by where freeze_id = :freezeId and lifted_at is null returning freeze_id',
      { freezeId, by: principal.id },
    )
    if (!lifted) return false
    await appendEntry(trx, {
      stream: 'freeze',
      stepKey: `lifted/${freezeId}`,
      kind: 'freeze_lifted',
      actor: actorOf(principal),
      body: { freezeId },
    })
    return true
  }),
)

/** Those that hold something in these areas. */
export const activeFreezes = guarded(async (db: Knex, areas: Readable = null): Promise<Freeze[]> =>
  (await rows<FreezeRow>(db, `select * from ledger.freeze f where f.lifted_at is null and ${touching('f')} order by set_at`, areasParameter(areas))).map(toFreeze),
)

const toFreeze = (row: FreezeRow): Freeze => ({
  freezeId: row.freeze_id,
  scope: {
    ...(row.cluster === null ? {} : { cluster: row.cluster }),
    ...(row.namespace === null ? {} : { namespace: row.namespace }),
    ...(row.action === null ? {} : { action: row.action }),
  },
  reason: row.reason,
  setBy: row.set_by,
  setAt: iso(row.set_at),
})
