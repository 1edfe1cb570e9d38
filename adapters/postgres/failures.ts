import { Failure, type FailureKind } from '../../domain/failure.ts'

type Mapped = [kind: FailureKind, code: string, message: string]

const down = 'the database did not answer: try again in a moment'

/** By SQLSTATE, or by its class of two characters. What is in neither table is a bug and stays one. */
const byState: Record<string, Mapped> = {
  '08': ['unavailable', 'database_down', down],
  '53': ['unavailable', 'database_exhausted', 'the database has run out of connections, memory or disk: free some, then try again'],
  '58': ['unavailable', 'database_down', 'the database reports a system error: see its log'],
  '57P01': ['unavailable', 'database_down', down],
  '57P02': ['unavailable', 'database_down', down],
  '57P03': ['unavailable', 'database_down', 'the database is starting or stopping: try again in a moment'],
  '57P05': ['unavailable', 'database_down', down],
  '57014': ['unavailable', 'statement_timeout', 'the database took longer than 5 s for one statement: try again in a moment'],
  '55P03': ['unavailable', 'lock_timeout', 'another transaction held a lock for longer than 2 s: try again in a moment'],
  '25P03': ['unavailable', 'transaction_timeout', 'the transaction stood idle for too long and was ended: try again'],
  '25006': ['unavailable', 'database_read_only', 'the database is read-only: check whether DATABASE_URL names a standby'],
  '40001': ['unavailable', 'try_again', 'another transaction got in the way: try again'],
  '40P01': ['unavailable', 'try_again', 'another transaction got in the way: try again'],
  '28': ['unavailable', 'database_login_refused', 'the database refused the login: check the user and password in DATABASE_URL'],
  '3D000': ['unavailable', 'database_missing', 'the database named in DATABASE_URL does not exist: create it, then migrate'],
  '42P01': ['unavailable', 'not_migrated', 'the database has no Aegis tables: run the migrations first'],
  '3F000': ['unavailable', 'not_migrated', 'the database has no Aegis tables: run the migrations first'],
  '42883': ['unavailable', 'not_migrated', 'the database lacks a function of this version: run the migrations first'],
  '42501': ['forbidden', 'database_rights', 'the database role lacks a right: use the URL of the role that belongs to this process'],
  '23514': ['invalid', 'refused_by_database', 'the database refused a value: see its log'],
  AE001: ['conflict', 'ledger_conflict', 'the ledger holds this step already, and says something else'],
  AE002: ['invalid', 'too_old', 'this remediation began more than 30 days ago: start a new one'],
  AE003: ['unavailable', 'clock_ahead', 'the clock of this machine is more than 5 min ahead of the database: set it right'],
  AE004: ['forbidden', 'append_only', 'the ledger only grows: nothing in it can be changed'],
  AE005: ['forbidden', 'database_rights', 'the database role may not write this kind of ledger entry'],
  AE007: ['missing', 'remediation_missing', 'there is no such remediation'],
  AE006: ['invalid', 'refused_by_database', 'the database refused a value: see its log'],
  AE019: ['forbidden', 'signature_expired', 'the signature has expired: sign the request anew'],
}

/** A prepared statement whose columns a migration has changed since. By the server's routine: its message comes in many languages. */
export const isOutdatedPlan = (error: Error): boolean => codeOf(error) === '0A000' && (error as { routine?: unknown }).routine === 'RevalidateCachedQuery'

const network = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNABORTED',
])

const lostConnection = /connection terminated|connection ended|query read timeout|timeout expired|client has encountered a connection error|not queryable|client was closed|socket hang up|self.signed certificate|certificate has expired/i

/**
 * What a caller of this room sees. Messages of the driver may hold statements and row values, so none
 * of them comes along; the SQLSTATE does.
 */
export function asFailure(error: unknown): unknown {
  if (error instanceof Failure || !(error instanceof Error)) return error
  const code = codeOf(error)
  if (error.name === 'KnexTimeoutError') {
    return new Failure('unavailable', 'pool_exhausted', 'every database connection of this process is busy: try again in a moment')
  }
  if (network.has(code) || lostConnection.test(error.message)) return new Failure('unavailable', 'database_down', down)
  if (isOutdatedPlan(error)) return new Failure('unavailable', 'migrated_meanwhile', 'the tables were migrated meanwhile: try again')
  if (/no partition of relation/.test(error.message)) {
    return new Failure('unavailable', 'partition_missing', 'the ledger has no partition for this month: run the migrations again')
  }
  const mapped = byState[code] ?? byState[code.slice(0, 2)]
  return mapped ? new Failure(...mapped, { cause: new Error(`SQLSTATE ${code}`) }) : error
}

function codeOf(error: Error): string {
  const { code } = error as { code?: unknown }
  if (typeof code === 'string') return code
  // Several addresses of one host, all refused.
  if (error instanceof AggregateError) return error.errors.map((inner) => codeOf(inner as Error)).find((inner) => inner !== '') ?? ''
  return ''
}

/** Wraps an exported function of this room, so that each of them fails in the same words. */
export const guarded =
  <Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>): ((...args: Args) => Promise<Result>) =>
  async (...args) => {
    try {
      return await work(...args)
    } catch (error) {
      throw asFailure(error)
    }
  }
