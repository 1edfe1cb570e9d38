import type { Knex } from 'knex'
import { guarded } from './failures.ts'
import { rows } from './sql.ts'

/**
 * Makes the months of the ledger that are missing: last month, this one and `monthsAhead` (0 to 24)
 * more. Returns those made now, such as `2026_01`. Runs at every migration, and daily in a worker.
 */
export const ensurePartitions = guarded(async (db: Knex, monthsAhead: number): Promise<string[]> => {
  const made = await rows<{ month: string }>(db, 'select ledger.ensure_partitions(:monthsAhead) as month', { monthsAhead })
  return made.map(({ month }) => month)
})
