import { createHash } from 'node:crypto'
import type { Knex } from 'knex'

/** Rows of one statement, with `:name` parameters. */
export async function rows<Row>(db: Knex, sql: string, parameters: Record<string, unknown> = {}): Promise<Row[]> {
  const result = (await db.raw(sql, parameters as Record<string, Knex.RawBinding>).options(prepared(sql))) as { rows: Row[] }
  return result.rows
}

/** Far above the statements there are: what is put together from filters must not fill a connection's memory. */
const preparedLimit = 500
const preparedNames = new Map<string, string>()

/** The database parses and plans each statement once a connection: these are short, and planning was most of their cost. */
function prepared(sql: string): { name?: string } {
  const known = preparedNames.get(sql)
  if (known !== undefined) return { name: known }
  if (preparedNames.size >= preparedLimit) return {}
  const name = `aegis_${createHash('sha256').update(sql).digest('hex').slice(0, 24)}`
  preparedNames.set(sql, name)
  return { name }
}

export const first = async <Row>(db: Knex, sql: string, parameters: Record<string, unknown> = {}): Promise<Row | undefined> =>
  (await rows<Row>(db, sql, parameters))[0]

/** One transaction: the caller's when there is one, a new one otherwise. */
export const inTransaction = <Result>(db: Knex, work: (trx: Knex) => Promise<Result>): Promise<Result> =>
  db.isTransaction ? work(db) : db.transaction(work)

/** PostgreSQL knows null; a filter that is left out is undefined. */
export const orNull = (parameters: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, value ?? null]))

export const iso = (time: Date): string => time.toISOString()
export const isoOrNull = (time: Date | null): string | null => time?.toISOString() ?? null
