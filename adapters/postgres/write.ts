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
