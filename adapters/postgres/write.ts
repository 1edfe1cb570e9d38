import type { Knex } from 'knex'
import { appendCall, appendParameters, appendSql, type NewEntry } from './ledger.ts'
import { rows } from './sql.ts'
import { stepEntry, type StepRecord } from './steps.ts'

export type Write = {
  /** The common table expressions that change rows. */
  changes: string
  parameters: Record<string, unknown>
  entry: NewEntry
  /** The expression whose row the entry is about: no row, no entry. Left out: there always is an entry. */
  of?: string
  /** The attempt that ends with this write: its entry comes behind the other one. */
  step: StepRecord | undefined
  /** Without a row the attempt is not over. Otherwise it is, and is recorded: what it wanted was there already. */
  stepNeedsRow?: boolean
}

/** Changes rows and says so in the ledger, in one statement. False: there was nothing to change. */
export async function write(db: Knex, { changes, parameters, entry, of, step, stepNeedsRow = false }: Write): Promise<boolean> {
  const sql = `with ${changes}, told as (select e.seq from ${of === undefined ? '' : `${of}, lateral `}${appendSql} e)
    select t.entries > 0 as told from (select count(*) as entries from told) t`
  const behind = `, lateral ${appendCall('s', 'case when t.entries >= 0 then :s_stream::text end')} s`
  const [row] = await rows<{ told: boolean }>(
    db,
    step ? `${sql}${behind}${stepNeedsRow ? ' where t.entries > 0' : ''}` : sql,
    { ...parameters, ...appendParameters(entry), ...(step && appendParameters(stepEntry(step), 's')) },
  )
  return row?.told ?? false
}

export type LookAndWrite = Omit<Write, 'stepNeedsRow'> & {
  /** The table expression, of one row, that says what was looked at. */
  seen: string
  /** The one that has a row where something is to be changed. */
  of: string
}

/**
 * Looks, changes rows where what was seen allows it, and then says so in the ledger: in one statement, since whoever
 * waits for our locks waits for each. Its `changes` hold the look, and have to ask `of` themselves. Without a row
 * in `of` nothing is told, the step neither.
 */
export async function lookAndWrite<Seen>(db: Knex, { seen, changes, parameters, entry, of, step }: LookAndWrite): Promise<(Seen & { told: boolean }) | undefined> {
  const sql = `with ${changes}, told as (select e.seq from ${of}, lateral ${appendSql} e)
    ${step ? `, stepped as (select s.seq from (select count(*) as entries from told having count(*) > 0) t, lateral ${appendCall('s', 'case when t.entries > 0 then :s_stream::text end')} s)` : ''}
    select ${seen}.*, (select count(*) from told) > 0 as told ${step ? ', (select count(*) from stepped) as stepped' : ''} from ${seen}`
  const [row] = await rows<Seen & { told: boolean }>(db, sql, { ...parameters, ...appendParameters(entry), ...(step && appendParameters(stepEntry(step), 's')) })
  return row
}
