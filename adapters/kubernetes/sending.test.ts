import { deploymentSample } from '../../domain/actions/fixtures/deployment.ts'
import { rollbackDeployment } from '../../domain/actions/rollback_deployment.ts'
import { scaleDeployment } from '../../domain/actions/scale_deployment.ts'
import type { Plan } from '../../domain/plan.ts'
import type { Answer, Connection } from './connection.ts'
import { failureOf, unavailable } from './errors.ts'
import { sendResult } from './sending.ts'

const connection = { cluster: 'main' } as Connection
const scale = scaleDeployment.plan(deploymentSample, { replicas: 5 }, null) as Plan
const rollback = rollbackDeployment.plan(deploymentSample, {}, null) as Plan

const secret = 'hunter2'
const answer = (status: number, body: object = {}, retryAfterMs: number | null = null): Answer => ({ status, body: { message: `the object: {"env":"${secret}"}`, ...body }, retryAfterMs })
const causes = (...list: object[]) => ({ details: { causes: list } })

test.each<[string, Plan, Answer, object]>([
  ['200', scale, answer(200, { metadata: { resourceVersion: '12' } }), { sent: 'applied', resourceVersion: '12' }],
  ['409, stale', scale, answer(409, { reason: 'Conflict' }), { sent: 'conflict' }],
  ['404, gone meanwhile', scale, answer(404, { reason: 'NotFound' }), { sent: 'conflict' }],
  ['422 on the UID', scale, answer(422, causes({ field: 'metadata.uid' })), { sent: 'other_object' }],
  ['422 of a failed test in a JSON Patch', rollback, answer(422, { details: {} }), { sent: 'conflict' }],
  ['422 of bad content', scale, answer(422, { reason: 'Invalid', ...causes({ field: 'spec.replicas', reason: 'FieldValueInvalid', message: secret }) }), { sent: 'refused', code: 'invalid', retryable: false }],
  ['403', scale, answer(403, { reason: 'Forbidden' }), { sent: 'refused', code: 'forbidden', retryable: false }],
  ['422 by an admission policy', rollback, answer(422, { reason: 'Invalid', details: {}, message: `ValidatingAdmissionPolicy 'aegis-freeze' with binding 'all' denied request: ${secret}` }), { sent: 'refused', code: 'admission_denied', message: expect.stringContaining('`aegis-freeze`') }],
  ['403 by a webhook', scale, answer(403, { message: `admission webhook "check.corp.example" denied the request: ${secret}` }), { sent: 'refused', code: 'admission_denied', message: expect.stringContaining('`check.corp.example`') }],
  ['429 of a budget', scale, answer(429, causes({ reason: 'DisruptionBudget' })), { sent: 'refused', code: 'pdb_exhausted', retryable: true, retryAfterMs: null }],
  ['429 of the server itself', scale, answer(429, {}, 2_000), { sent: 'refused', code: 'throttled', retryable: true, retryAfterMs: 2_000 }],
  ['500 for two budgets', scale, answer(500, { message: 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.' }), { sent: 'refused', code: 'pdb_ambiguous', retryable: false }],
  ['400', scale, answer(400, { reason: 'BadRequest' }), { sent: 'refused', code: 'invalid' }],
])('%s', (_what, plan, given, expected) => {
  const result = sendResult(connection, plan, given)
  expect(result).toMatchObject(expected)
  expect(JSON.stringify(result)).not.toContain(secret)
})

test.each([500, 502, 503, 504, 401])('%d leaves open whether it landed', (status) => {
  expect(() => sendResult(connection, scale, answer(status))).toThrow(expect.objectContaining({ name: 'Failure', kind: 'unavailable' }))
})

test.each([
  [403, 'forbidden'],
  [401, 'unavailable'],
  [404, 'missing'],
  [409, 'conflict'],
  [429, 'unavailable'],
  [503, 'unavailable'],
  [422, 'invalid'],
])('a read answered %d is `%s`, and quotes nothing', (status, kind) => {
  const failure = failureOf('main', 'read `pods/cart`', answer(status, { reason: 'SomeReason' }))
  expect(failure.kind).toBe(kind)
  expect(`${failure.message}${JSON.stringify(failure)}`).not.toContain(secret)
})

test.each<[string, unknown, string]>([
  ['a timeout', new DOMException(`the body ${secret}`, 'TimeoutError'), 'cluster `main` did not answer in time'],
  ['a refused connection', new TypeError('fetch failed', { cause: Object.assign(new Error(secret), { code: 'ECONNREFUSED' }) }), 'cluster `main` cannot be reached (ECONNREFUSED)'],
  ['anything else', new Error(secret), 'cluster `main` cannot be reached'],
])('%s is said without its text', (_what, cause, message) => {
  const failure = unavailable('main', cause)
  expect(failure).toMatchObject({ kind: 'unavailable', message })
  expect(failure.cause).toBeUndefined()
})
