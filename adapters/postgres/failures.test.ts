import { describe, expect, test } from '@jest/globals'
import { Failure } from '../../domain/failure.ts'
import { asFailure, guarded } from './failures.ts'

const driverError = (code: string, message = 'insert into secrets - something') => Object.assign(new Error(message), { code })

describe('what stopped the database is told in one vocabulary', () => {
  test.each([
    ['08006', 'unavailable', 'database_down'],
    ['53300', 'unavailable', 'database_exhausted'],
    ['53100', 'unavailable', 'database_exhausted'],
    ['57P01', 'unavailable', 'database_down'],
    ['57014', 'unavailable', 'statement_timeout'],
    ['55P03', 'unavailable', 'lock_timeout'],
    ['25006', 'unavailable', 'database_read_only'],
    ['40001', 'unavailable', 'try_again'],
    ['40P01', 'unavailable', 'try_again'],
    ['28P01', 'unavailable', 'database_login_refused'],
    ['42P01', 'unavailable', 'not_migrated'],
    ['42501', 'forbidden', 'database_rights'],
    ['ECONNREFUSED', 'unavailable', 'database_down'],
    ['EAI_AGAIN', 'unavailable', 'database_down'],
    ['AE001', 'conflict', 'ledger_conflict'],
  ])('%s', (code, kind, told) => {
    const failure = asFailure(driverError(code)) as Failure
    expect(failure).toMatchObject({ name: 'Failure', kind, code: told })
    expect(`${failure.message} ${String(failure.cause)}`).not.toContain('secrets')
  })

  test.each([
    ['a refusal by every address of a host', new AggregateError([driverError('ECONNREFUSED'), driverError('ECONNREFUSED')])],
    ['a server that fell silent', new Error('Query read timeout')],
    ['a connection that was cut', new Error('Connection terminated unexpectedly')],
  ])('%s', (_what, error) => expect(asFailure(error)).toMatchObject({ kind: 'unavailable', code: 'database_down' }))
})

test('a bug stays a bug, and a failure stays itself', async () => {
  const bug = new TypeError('x is not a function')
  expect(asFailure(bug)).toBe(bug)
  expect(asFailure(driverError('23505'))).not.toBeInstanceOf(Failure)
  const failure = new Failure('missing', 'm', 'gone')
  await expect(guarded(() => Promise.reject(failure))()).rejects.toBe(failure)
})
