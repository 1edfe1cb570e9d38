import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import type { Principal } from '../../domain/remediation.ts'
import { areasParameter, touching, type Readable } from './areas.ts'
import { guarded } from './failures.ts'
import type { FreezeScope } from '../../domain/freeze.ts'
import { actorOf, appendEntry } from './ledger.ts'
import { first, inTransaction, iso, rows } from './sql.ts'

/** A freeze known ahead. `local` and `zone` are as it was asked for; `from` and `to` are the instants that count. */
export type FreezeWindow = { windowId: string; scope: Omit<FreezeScope, 'policy'>; from: string; to: string; zone: string; localFrom: string; localTo: string; reason: string; setBy: string; setAt: string }

export type WindowDraft = Pick<FreezeWindow, 'scope' | 'zone' | 'localFrom' | 'localTo' | 'reason'> & { from: Date; to: Date; principal: Principal }

/** Those in force by the database's clock, in the columns of a freeze: a fragment. */
export const windowsInForce = `
  select window_id as freeze_id, reason, from_at as set_at, cluster, namespace, action, null::text as policy from ledger.freeze_window
  where cancelled_at is null and from_at <= clock_timestamp() and to_at > clock_timestamp()`

/** The same with those that are over, as a guard reads freezes: what is over counts as lifted. */
export const windowsBegun = `
  select window_id as freeze_id, cluster, namespace, action, null::text as policy, from_at as set_at,
    case when cancelled_at is not null or to_at <= clock_timestamp() then coalesce(cancelled_at, to_at) end as lifted_at
  from ledger.freeze_window where from_at <= clock_timestamp()`

export const scheduleFreeze = guarded((db: Knex, draft: WindowDraft): Promise<FreezeWindow> =>
  inTransaction(db, async (trx) => {
    const { scope, from, to, zone, localFrom, localTo, reason, principal } = draft
    const row = await first<WindowRow>(
      trx,
      `insert into ledger.freeze_window (window_id, cluster, namespace, action, from_at, to_at, local_from, local_to, zone, reason, set_by)
       values (:windowId, :cluster, :namespace, :action, :from, :to, :localFrom, :localTo, :zone, :reason, :setBy) returning *`,
      { windowId: randomUUID(), cluster: scope.cluster ?? null, namespace: scope.namespace ?? null, action: scope.action ?? null, from, to, localFrom, localTo, zone, reason, setBy: principal.id },
    )
    if (!row) throw new Error('scheduling a freeze gave no row')
    const window = toWindow(row)
    const { windowId, setBy: _by, setAt: _at, ...body } = window
    await appendEntry(trx, { stream: 'freeze', stepKey: `scheduled/${windowId}`, kind: 'freeze_scheduled', actor: actorOf(principal), body: { windowId, ...body } })
    return window
  }),
)

/** Also ends one that is in force. False: there is none, or it is over or cancelled already. */
export const cancelFreezeWindow = guarded((db: Knex, windowId: string, principal: Principal): Promise<boolean> =>
  inTransaction(db, async (trx) => {
    const cancelled = await first(
      trx,
      `update ledger.freeze_window set cancelled_at = now(), cancelled_by = :by
       where window_id = :windowId and cancelled_at is null and to_at > clock_timestamp() returning window_id`,
      { windowId, by: principal.id },
    )
    if (!cancelled) return false
    await appendEntry(trx, { stream: 'freeze', stepKey: `cancelled/${windowId}`, kind: 'freeze_cancelled', actor: actorOf(principal), body: { windowId } })
    return true
  }),
)

const mostListed = 1_000

/** In force and ahead, the next first; those that hold something in these areas. */
export const freezeWindows = guarded(async (db: Knex, areas: Readable = null): Promise<FreezeWindow[]> =>
  (await rows<WindowRow>(db, `select * from ledger.freeze_window w where cancelled_at is null and to_at > clock_timestamp() and ${touching('w')} order by from_at, window_id limit ${mostListed}`, areasParameter(areas))).map(toWindow),
)

type WindowRow = {
  window_id: string
  cluster: string | null
  namespace: string | null
  action: FreezeScope['action'] | null
  from_at: Date
  to_at: Date
  local_from: string
  local_to: string
  zone: string
  reason: string
  set_by: string
  set_at: Date
}

const toWindow = (row: WindowRow): FreezeWindow => ({
  windowId: row.window_id,
  scope: {
    ...(row.cluster === null ? {} : { cluster: row.cluster }),
    ...(row.namespace === null ? {} : { namespace: row.namespace }),
    ...(row.action ? { action: row.action } : {}),
  },
  from: iso(row.from_at),
  to: iso(row.to_at),
  zone: row.zone,
  localFrom: row.local_from,
  localTo: row.local_to,
  reason: row.reason,
  setBy: row.set_by,
  setAt: iso(row.set_at),
})
