import { compiling } from '../adapters/policies/means.ts'
import type { Reviewed } from '../adapters/policies/publish.ts'
import { exceptionApiVersion, type ExceptionDocument } from '../domain/policy/exception.ts'
import { compileSnapshot } from '../domain/policy/snapshot.ts'
import { read } from '../domain/policy/testing/arbitraries.ts'
import { grantOf } from './policy-review.ts'

/** So many that they are compared in a thread. */
const documents = [
  read({ apiVersion: 'aegis.dev/policy/v1', effect: 'allow', actions: ['pod:restart'], resources: ['k8s:main/shop/**'] }, 'restart'),
  read({ apiVersion: 'aegis.dev/policy/v1', effect: 'deny', actions: ['*'], resources: ['k8s:main/shop/**'] }, 'closed'),
  ...Array.from({ length: 200 }, (_, at) => read({ apiVersion: 'aegis.dev/policy/v1', effect: 'deny', actions: ['*'], resources: [`k8s:edge/team-${at}/**`], message: 'x'.repeat(200) }, `team-${at}`)),
]
const exception: ExceptionDocument = {
  apiVersion: exceptionApiVersion, id: 'sale', policy: 'closed', actions: ['*:*'], resources: ['k8s:main/shop/**'], when: { all: [] },
  notBefore: new Date(Date.now() - 1_000).toISOString(), expiresAt: new Date(Date.now() + 86_400_000).toISOString(), reason: 'r', author: 'ann', approvedBy: 'bob',
}
const compiled = (exceptions: ExceptionDocument[]) => compileSnapshot(documents, { ...compiling, exceptions })
const before = { documents, members: compiled([]).policies.map(({ document: { id }, hash }) => ({ id, hash })), exceptions: [], snapshot: compiled([]) } as unknown as NonNullable<Reviewed['before']>
const nobody = {
  raw() {
    throw new Error('nothing is asked of the database')
  },
} as never

test('an exception that is put in lets more happen, also in a large set', async () => {
  expect(JSON.stringify(documents).length).toBeGreaterThan(64 * 1024)
  const grant = await grantOf(nobody, { before, after: compiled([exception]), documents, edits: [] })
  expect(grant).toMatchObject({ witness: { action: 'pod:restart' }, why: expect.stringContaining('would be `act` instead of `deny`') })
}, 30_000)
