import { Failure, type FailureKind } from '../domain/failure.ts'
import { fieldProblem, HttpProblem, problemDocument, problemOf } from './problems.ts'

test.each([
  ['invalid', 400],
  ['forbidden', 403],
  ['missing', 404],
  ['conflict', 409],
  ['limited', 429],
  ['unavailable', 503],
] as const)('a failure of kind %s is a %i with a next step', (kind: FailureKind, status) => {
  const parts = problemOf(new Failure(kind, 'some_code', 'what happened'))
  expect(parts).toMatchObject({ status, code: 'some_code' })
  expect(parts.nextStep).not.toBe('')
})

test('what a dependency says when it is away stays in the log', () => {
  const parts = problemOf(new Failure('unavailable', 'database_unavailable', 'connect ECONNREFUSED db.internal:5432 as aegis_api_login'))
  expect(parts.detail).not.toContain('db.internal')
  expect(parts.headers).toEqual({ 'Retry-After': '5' })
})

test('a bug is a 500 that gives nothing away', () => {
  const parts = problemOf(new TypeError('cannot read properties of undefined (reading secret)'))
  expect(parts).toMatchObject({ status: 500, code: 'internal' })
  expect(JSON.stringify(parts)).not.toContain('secret')
})

test('a field problem names each field and counts the rest in its detail', () => {
  const { parts } = fieldProblem('bad_request', [{ field: 'a', message: 'is wrong' }, { field: 'b', message: 'is too' }])
  expect(parts.detail).toBe('`a`: is wrong (and 1 more)')
  expect(parts.errors.map(({ field }) => field)).toEqual(['a', 'b'])
})

test('a document has every member of RFC 9457 and ours', () => {
  const { parts } = new HttpProblem({ status: 410, code: 'gone', detail: 'd', nextStep: 'n' })
  expect(problemDocument(parts, '/here', 'r-1')).toEqual({
    type: 'urn:aegis:problem:gone', title: 'Gone', status: 410, detail: 'd', instance: '/here', code: 'gone', requestId: 'r-1', errors: [], nextStep: 'n',
  })
})
