import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { tmpdir } from 'node:os'
import { readStream } from '../../adapters/postgres/ledger.ts'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { cli } from '../helpers/cli.ts'
import { globalRole, loggedInBefore, personWith } from '../helpers/people.ts'
import { stack } from '../helpers/stack.ts'
import { openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let ann: { key: string; id: string }
let bob: { key: string; id: string }

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null })
  ann = await keyFor(db.api, ['admin'], 'ann')
  bob = await keyFor(db.api, ['approver'], 'bob')
  const common = { apiVersion: 'aegis.dev/policy/v1', actions: ['*'], resources: ['k8s:**'], owner: 'tests' }
  for (const document of [{ ...common, id: 'all', effect: 'allow' }, { ...common, id: 'closed', effect: 'deny', message: 'closed for the season' }]) {
    expect((await api.call('POST', '/api/v1/policy', { key: ann.key, body: { document, comment: 'x' } })).status).toBe(201)
  }
})
afterAll(async () => {
  await api.close()
  await db.close()
})

const days = (count: number) => new Date(Date.now() + count * 86_400_000).toISOString()
const call = (who: { key: string }, method: string, path: string, body?: unknown) => api.call(method, path, { key: who.key, ...(body === undefined ? {} : { body }) })
const wish = (changes: object = {}) => ({ actions: ['pod:restart'], resources: ['k8s:main/shop/**'], expiresAt: days(2), reason: 'the shop hangs', ...changes })
const looked = async (who: { key: string }, id: string) => ((await call(who, 'GET', `/api/v1/policy-exceptions/${id}`)).body['now'] ?? { snapshot: null, why: null }) as { snapshot: string | null; why: string | null }
const approve = async (who: { key: string }, id: string, comment: string, snapshot?: string | null) =>
  call(who, 'POST', `/api/v1/policy/exceptions/${id}/approve`, { comment, snapshot: snapshot === undefined ? (await looked(who, id)).snapshot : snapshot })
const propose = async (changes: object = {}) => (await call(ann, 'POST', '/api/v1/policy/closed/exceptions', wish(changes))).body as { id: string }
const ask = async (resource = 'k8s:main/shop/pod/a', context = {}) =>
  (await call(ann, 'POST', '/api/v1/policy/evaluate', { action: 'pod:restart', resource, context })).body as { allowed: boolean; code: string; decision: { excepted: object[]; validUntil: number } }

test('an exception holds once another person agrees, is named in what it opens, and ends when one person says so', async () => {
  const { id } = await propose()
  expect(await ask()).toMatchObject({ allowed: false, code: 'explicit_deny' })
  expect(await approve(ann, id, 'mine')).toMatchObject({ status: 409, problem: { code: 'own_exception' } })
  expect((await approve(bob, id, 'agreed')).body).toMatchObject({ state: 'approved', decidedBy: bob.id })

  const opened = await ask()
  expect(opened).toMatchObject({ allowed: true, decision: { excepted: [{ id, policy: 'closed', author: 'ann', approvedBy: 'bob', reason: 'the shop hangs' }] } })
  expect(opened.decision.validUntil).toBeLessThanOrEqual(Date.now() + 2 * 86_400_000)
  expect(await ask('k8s:main/bank/pod/a')).toMatchObject({ allowed: false, decision: { excepted: [] } })

  expect((await call(bob, 'POST', `/api/v1/policy/exceptions/${id}/revoke`, { comment: 'over' })).body).toMatchObject({ state: 'revoked' })
  expect(await ask()).toMatchObject({ allowed: false })
  expect(await approve(bob, id, 'again')).toMatchObject({ status: 409, problem: { code: 'exception_settled' } })
  expect((await readStream(db.api, 'policies')).map(({ kind }) => kind).slice(-5)).toEqual(['exception_proposed', 'exception_decided', 'policies_published', 'exception_decided', 'policies_published'])
})

test('an exception that a test counts on is revoked all the same, and is then no more in force', async () => {
  const { id } = await propose()
  await approve(bob, id, 'agreed')
  const counting = {
    apiVersion: 'aegis.dev/policy-test/v1', name: 'the door is open', now: new Date(Date.now() + 3_600_000).toISOString(),
    request: { action: 'pod:restart', resource: 'k8s:main/shop/pod/a' }, expect: { proceed: 'act' },
  }
  const { version, document } = (await call(ann, 'GET', '/api/v1/policy/all')).body as { version: number; document: object }
  const { status } = await call(ann, 'PUT', '/api/v1/policy/all', { document, tests: [counting], version, comment: 'x' })
  expect(status).toBe(200)
  expect(await call(bob, 'POST', `/api/v1/policy/exceptions/${id}/revoke`, { comment: 'over' })).toMatchObject({ status: 200, body: { state: 'revoked' } })
  expect(await ask()).toMatchObject({ allowed: false })
  await call(ann, 'PUT', '/api/v1/policy/all', { document, tests: [], version: version + 1, comment: 'x' })
})

test('a revocation that cannot be published is none, and may be asked for again', async () => {
  const { id } = await propose()
  await approve(bob, id, 'agreed')
  const signature = (from: string) => db.owner.raw(`alter table control.policy_snapshots disable trigger user; update control.policy_snapshots set signature = ${from} where seq = (select max(seq) from control.policy_snapshots)`)
  await signature('reverse(signature)')
  expect(await call(bob, 'POST', `/api/v1/policy/exceptions/${id}/revoke`, { comment: 'over' })).toMatchObject({ status: 409, problem: { code: 'policies_unproven' } })
  await signature('reverse(signature)')
  expect(await call(bob, 'POST', `/api/v1/policy/exceptions/${id}/revoke`, { comment: 'over' })).toMatchObject({ status: 200, body: { state: 'revoked' } })
  expect(await ask()).toMatchObject({ allowed: false })
})

test('by command: asked for, agreed to by another, listed with the policies, revoked', async () => {
  const [byAnn, byBob] = [ann, bob].map(({ key }) => cli({ url: api.url, key, directory: tmpdir() }))
  const asked = await byAnn!('policy', 'except', 'closed', '--resources', 'k8s:main/shop/**', '--actions', 'pod:restart', '--until', days(2), '--reason', 'the sale')
  const [, id = ''] = /^(\S+) is asked for/.exec(asked.out) ?? []
  expect(await byAnn!('policy', 'agree', id, '--comment', 'mine')).toMatchObject({ code: 1, err: expect.stringContaining('you asked for this exception yourself') })
  expect(await byBob!('policy', 'agree', id, '--comment', 'agreed')).toMatchObject({ code: 0, out: `exception ${id} from \`closed\` is approved\n` })
  expect((await byBob!('policy', 'list')).out).toMatch(new RegExp(`exceptions:\n.*\n${id} +closed +k8s:main/shop/\\*\\* .* ann +bob +the sale`))
  expect((await byBob!('policy', 'except', 'closed')).out).toMatch(new RegExp(`${id} +approved `))
  expect(await byBob!('policy', 'revoke', id, '--comment', 'over')).toMatchObject({ code: 0 })
  expect(await ask()).toMatchObject({ allowed: false })
  expect((await byAnn!('policy', 'except', 'closed', '--resources', 'k8s:**')).code).toBe(2)
})

test('an exception is approved over the policies that were looked at: where a deny was taken back meanwhile it would open more', async () => {
  const common = { apiVersion: 'aegis.dev/policy/v1', effect: 'deny', actions: ['*'], resources: ['k8s:main/night/**'], owner: 'tests' }
  const [late, low] = [{ attr: 'context.fault', op: 'eq', value: 'late' }, { attr: 'context.severity', op: 'eq', value: 'low' }]
  for (const document of [{ ...common, id: 'late', when: late }, { ...common, id: 'low', when: low }]) await call(ann, 'POST', '/api/v1/policy', { document, comment: 'x' })
  const { id } = (await call(ann, 'POST', '/api/v1/policy/late/exceptions', wish({ resources: ['k8s:main/night/**'] }))).body as { id: string }
  const before = await looked(bob, id)
  expect(before).toMatchObject({ snapshot: api.deps.policies().snapshot.hash, why: null }) // `closed` denies it all the same
  expect((await call(ann, 'PUT', '/api/v1/policy/late', { document: { ...common, id: 'late', when: { any: [late, low] } }, version: 1, comment: 'x' })).status).toBe(200)
  expect((await call(ann, 'DELETE', '/api/v1/policy/low?version=1&comment=x')).status).toBe(200)
  expect(await approve(bob, id, 'agreed', before.snapshot)).toMatchObject({ status: 409, problem: { code: 'policies_moved' } })
  expect(await looked(bob, id)).toMatchObject({ snapshot: api.deps.policies().snapshot.hash })
  expect((await approve(bob, id, 'agreed')).body).toMatchObject({ state: 'approved' })
  await call(ann, 'POST', `/api/v1/policy/exceptions/${id}/revoke`, { comment: 'over' })
  await call(ann, 'DELETE', '/api/v1/policy/late?version=2&comment=x')
})

test('an exception that opens something says what, before it is approved', async () => {
  const { id } = await propose()
  expect((await looked(bob, id)).why).toMatch(/would be `act` instead of `deny`/)
  expect((await call(bob, 'POST', `/api/v1/policy/exceptions/${id}/approve`, { comment: 'x' })).status).toBe(400)
  await call(ann, 'POST', `/api/v1/policy/exceptions/${id}/revoke`, { comment: 'over' })
  expect(await call(bob, 'GET', `/api/v1/policy-exceptions/${id}`)).toMatchObject({ status: 200, body: { state: 'revoked', now: null } })
})

test('approving takes a login of the last five minutes', async () => {
  const { id } = await propose()
  const key = await loggedInBefore(api, db.owner, (await personWith(db.api, [globalRole('approver')])).username)
  expect(await approve({ key }, id, 'agreed')).toMatchObject({ status: 401, problem: { code: 'step_up_required' } })
  await call(ann, 'POST', `/api/v1/policy/exceptions/${id}/revoke`, { comment: 'over' })
})

test('two people who agree at once agree once, and what the row says is in force', async () => {
  const carl = await keyFor(db.api, ['approver'], 'carl')
  const { id } = await propose()
  const both = await Promise.all([bob, carl].map((who) => approve(who, id, 'agreed')))
  expect(both.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 409])
  expect(await ask()).toMatchObject({ allowed: true, decision: { excepted: [{ id }] } })
  await call(ann, 'POST', `/api/v1/policy/exceptions/${id}/revoke`, { comment: 'over' })
})

test('an exception whose condition cannot be answered opens nothing', async () => {
  const { id } = await propose({ when: { attr: 'context.severity', op: 'gte', value: 'high' } })
  await approve(bob, id, 'agreed')
  expect(await ask()).toMatchObject({ allowed: false, code: 'deny_indeterminate' })
  expect(await ask(undefined, { severity: 'low' })).toMatchObject({ allowed: false, code: 'explicit_deny' })
  expect(await ask(undefined, { severity: 'high' })).toMatchObject({ allowed: true })
  await call(ann, 'POST', `/api/v1/policy/exceptions/${id}/revoke`, { comment: 'over' })
})

test('what is signed covers exceptions: one that was put in by hand is not taken', async () => {
  const { id } = await propose()
  await approve(bob, id, 'agreed')
  await db.owner.raw(`alter table control.policy_snapshots disable trigger user`)
  await db.owner.raw(`update control.policy_snapshots set exceptions = replace(exceptions, 'k8s:main/shop/**', 'k8s:**') where seq = (select max(seq) from control.policy_snapshots)`)
  await expect(call(ann, 'POST', '/api/v1/policy', { document: { apiVersion: 'aegis.dev/policy/v1', id: 'more', effect: 'deny', actions: ['*'], resources: ['**'] }, comment: 'x' })).resolves.toMatchObject({ status: 409, problem: { code: 'policies_unproven' } })
  await db.owner.raw(`update control.policy_snapshots set exceptions = replace(exceptions, 'k8s:**', 'k8s:main/shop/**') where seq = (select max(seq) from control.policy_snapshots)`)
  await call(ann, 'POST', `/api/v1/policy/exceptions/${id}/revoke`, { comment: 'over' })
})

test.each([
  ['from an allow', 'all', {}, 'exception_misplaced', 'id'],
  ['for longer than a month', 'closed', { expiresAt: days(31) }, 'exception_invalid', 'expiresAt'],
  ['that is over already', 'closed', { expiresAt: days(-1) }, 'exception_invalid', 'expiresAt'],
  ['for what is no resource', 'closed', { resources: ['shop'] }, 'exception_invalid', 'resources[0]'],
  ['under a condition that is none', 'closed', { when: { attr: 'x', op: 'exists' } }, 'exception_invalid', 'when.attr'],
])('an exception %s is refused with the place', async (_what, policy, changes, code, field) => {
  expect((await call(ann, 'POST', `/api/v1/policy/${policy}/exceptions`, wish(changes))).problem).toMatchObject({ code, errors: [expect.objectContaining({ field })] })
})

test('an exception from a policy that is not there is refused', async () => {
  expect((await call(ann, 'POST', '/api/v1/policy/nothing/exceptions', wish())).status).toBe(404)
})
