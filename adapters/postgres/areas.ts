import type { Knex } from 'knex'
import type { Area } from '../../domain/identity.ts'
import { guarded } from './failures.ts'
import { first } from './sql.ts'

/** Where somebody may look: null for everywhere, an empty list for nowhere. */
export type Readable = readonly Area[] | null

/** A condition for rows with a cluster and a namespace; `:areas` comes from `areasParameter`. */
export const within = (of: string): string => `(:areas::jsonb is null or exists (
  select from jsonb_to_recordset(:areas::jsonb) a(cluster text, namespace text)
  where (a.cluster is null or a.cluster = ${of}.cluster) and (a.namespace is null or a.namespace = ${of}.namespace)))`

/** The same for rows where null means all: they concern everybody who may look at some part of it. */
export const touching = (of: string): string => `(:areas::jsonb is null or exists (
  select from jsonb_to_recordset(:areas::jsonb) a(cluster text, namespace text)
  where (a.cluster is null or ${of}.cluster is null or a.cluster = ${of}.cluster)
    and (a.namespace is null or ${of}.namespace is null or a.namespace = ${of}.namespace)))`

export const areasParameter = (areas: Readable): { areas: string | null } => ({ areas: areas === null ? null : JSON.stringify(areas) })

/** Undefined: there is no such remediation. */
export const areaOfRemediation = guarded(async (db: Knex, id: string): Promise<Area | undefined> =>
  first<Area>(db, 'select cluster, namespace from ledger.request where id = :id', { id }),
)

/** What the freeze covers, lifted or not. Undefined: there is no such freeze. */
export const areaOfFreeze = guarded(async (db: Knex, freezeId: string): Promise<Area | undefined> =>
  first<Area>(db, 'select cluster, namespace from ledger.freeze where freeze_id = :freezeId', { freezeId }),
)

export const areaOfFreezeWindow = guarded(async (db: Knex, windowId: string): Promise<Area | undefined> =>
  first<Area>(db, 'select cluster, namespace from ledger.freeze_window where window_id = :windowId', { windowId }),
)
