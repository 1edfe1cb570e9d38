import { readdir } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { join } from 'node:path'
import createKnex, { type Knex } from 'knex'
import { asFailure, guarded, isOutdatedPlan } from './failures.ts'
import { first } from './sql.ts'

export type DatabaseOptions = { url: string; applicationName: string; poolMax: number }

const statementTimeoutMs = 5_000
const lockTimeoutMs = 2_000
const idleInTransactionMs = 5_000
/** Longer than any statement may take: past it the server or the way to it is gone. */
const queryTimeoutMs = 8_000
const connectTimeoutMs = 3_000
const poolWaitMs = 5_000
const oldestServer = '15'

/** TLS and everything else that libpq knows come with the URL (`?sslmode=verify-full&sslrootcert=…`). */
export function connectDatabase({ url, applicationName, poolMax }: DatabaseOptions): Knex {
  const connection = {
    connectionString: url,
    application_name: applicationName,
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: idleInTransactionMs,
    query_timeout: queryTimeoutMs,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
  }
  return createKnex({
    client: 'pg',
    version: oldestServer, // saves asking on connect
    connection,
    pool: { min: 0, max: poolMax, afterCreate: dropWhenUseless },
    acquireConnectionTimeout: poolWaitMs,
    compileSqlOnError: false, // or error messages would hold the values of the statement
    log: silent,
  })
}

/** Failures reach the caller in our own words; the query builder need not print the driver's as well. */
const silent = { warn() {}, error() {}, deprecate() {}, debug() {} }

type PgConnection = {
  __knex__disposed?: Error
  query(...args: unknown[]): unknown
  connection: { stream: { destroy(): void } }
}

/**
 * A server that is frozen or cut off never answers, and the driver would hand the same dead connection
 * to the next caller; and after a migration a connection may hold plans for columns that were. In both
 * cases the connection is torn down instead.
 */
function dropWhenUseless(connection: PgConnection, done: (error: null, connection: PgConnection) => void): void {
  const send = connection.query.bind(connection)
  connection.query = (...args) => {
    const reply = args.at(-1)
    if (typeof reply !== 'function') return send(...args)
    return send(...args.slice(0, -1), (error: unknown, result: unknown) => {
      if (error instanceof Error && (error.message === 'Query read timeout' || isOutdatedPlan(error))) {
        connection.__knex__disposed = error // what the pool asks before it lends a connection again
        connection.connection.stream.destroy()
      }
      reply(error, result)
    })
  }
  done(null, connection)
}

/** Runs several functions of this room in one transaction: all of it commits, or none. */
export const together = guarded(<Result>(db: Knex, work: (trx: Knex.Transaction) => Promise<Result>) => db.transaction(work)) as <Result>(
  db: Knex,
  work: (trx: Knex.Transaction) => Promise<Result>,
) => Promise<Result>

const migrationsDirectory = fileURLToPath(new URL('../../migrations', import.meta.url))
/** How long one migrating process waits for another to be done. */
const migrationTurnMs = 60_000

/** Brings the schema up to date; any number of processes may ask at once. Returns the names applied now. */
export async function migrate(ownerUrl: string): Promise<string[]> {
  const connection = {
    connectionString: ownerUrl,
    application_name: 'aegis-migrate',
    lock_timeout: lockTimeoutMs, // a migration that waits for a lock makes everybody behind it wait too
    connectionTimeoutMillis: connectTimeoutMs,
  }
  const db = createKnex({ client: 'pg', connection, pool: { min: 0, max: 3 }, compileSqlOnError: false, log: silent })
  try {
    return await db.transaction(async (trx) => {
      await trx.raw(`set local lock_timeout = ${migrationTurnMs}`)
      await trx.raw(`select pg_advisory_xact_lock(hashtextextended('aegis.migrate', 0))`)
      return await migrateLocked(db)
    })
  } catch (error) {
    throw asFailure(error)
  } finally {
    await db.destroy()
  }
}

async function migrateLocked(db: Knex): Promise<string[]> {
  await db.raw('create schema if not exists ledger')
  const migrator = db.migrate
  const config = { migrationSource, schemaName: 'ledger', tableName: 'migrations' }
  await migrator.forceFreeMigrationsLock(config) // ours is the lock that counts, and it dies with its holder
  const [, applied] = (await migrator.latest(config)) as [number, string[]]
  await db.raw('select ledger.ensure_partitions(3)')
  return applied
}

type Migration = { up(knex: Knex): Promise<void>; down(knex: Knex): Promise<void> }

const migrationSource: Knex.MigrationSource<string> = {
  getMigrations: async () => (await readdir(migrationsDirectory)).filter((name) => /^\d{4}_\w+\.ts$/.test(name)).sort(),
  getMigrationName: (name) => name.replace(/\.ts$/, ''),
  getMigration: (name) => import(pathToFileURL(join(migrationsDirectory, name)).href) as Promise<Migration>,
}

export type Readiness = { ok: true } | { ok: false; reason: string }

type ReadyRow = { migrated: boolean; partition: boolean; superuser: boolean; owner: boolean; writes: boolean; role: string }

/**
 * Ready to work: reachable, migrated, with a partition for today, and under a role that could not
 * change the ledger if it tried. Never throws.
 */
export async function databaseReady(db: Knex): Promise<Readiness> {
  try {
    const row = await first<ReadyRow>(db, readySql)
    const reason = row && reasonAgainst(row)
    return reason === null ? { ok: true } : { ok: false, reason: reason ?? 'the database gave no answer' }
  } catch (error) {
    const failure = asFailure(error)
    return { ok: false, reason: failure instanceof Error ? failure.message : 'the database did not answer' }
  }
}

const readySql = `
  select current_user as role, t.oid is not null as migrated,
    to_regclass('ledger.audit_event_' || to_char(now() at time zone 'UTC', 'YYYY_MM')) is not null as partition,
    (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as superuser,
    coalesce(pg_has_role(current_user, t.relowner, 'member'), false) as owner,
    coalesce(has_any_column_privilege(t.oid, 'insert, update') or has_table_privilege(t.oid, 'update, delete, truncate, trigger'), false) as writes
  from (select to_regclass('ledger.audit_event') as oid) r
  left join pg_class t on t.oid = r.oid`

function reasonAgainst({ migrated, partition, superuser, owner, writes, role }: ReadyRow): string | null {
  if (!migrated) return 'the database has no Aegis tables: run the migrations first'
  if (superuser || owner) return `the database role \`${role}\` owns the ledger or is a superuser: use a role made for this process`
  if (writes) return `the database role \`${role}\` could write to the ledger directly: revoke its rights on ledger.audit_event`
  if (!partition) return 'the ledger has no partition for this month: run the migrations again'
  return null
}
