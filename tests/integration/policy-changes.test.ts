import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { tmpdir } from 'node:os'
import { readStream } from '../../adapters/postgres/ledger.ts'
import { decideChange, proposeChange, type WantedChange } from '../../adapters/postgres/policy-changes.ts'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { cli } from '../helpers/cli.ts'
import { globalRole, loggedInBefore, personWith } from '../helpers/people.ts'
import { stack } from '../helpers/stack.ts'
import { freshId, openDatabase, started, times, type TestDatabase } from './postgres/database.ts'

type Who = { key: string; id: string; owner: string }

let db: TestDatabase
let api: TestApi
let [ann, bob, cleo]: Who[] = []

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null, settings: { policyFourEyes: true } })
  ann = await keyFor(db.api, ['admin'], 'ann')
  bob = await keyFor(db.api, ['approver'], 'bob')
  cleo = await keyFor(db.api, ['admin'], 'cleo')
})
afterAll(async () => {
  await api.close()
  await db.close()
})

const call = (who: Who | undefined, method: string, path: string, body?: unknown) => api.call(method, path, { key: who!.key, ...(body === undefined ? {} : { body }) })
const policy = (id: string, changes: object = {}) => ({
  apiVersion: 'aegis.dev/policy/v1', id, effect: 'allow', actions: ['pvc:resize'], resources: [`k8s:main/${id}/**`],
  when: { attr: 'request.gigabytes', op: 'lte', value: 10 }, owner: 'storage', ...changes,
})
const upTo = (value: number) => ({ when: { attr: 'request.gigabytes', op: 'lte', value } })
const ask = async (namespace: string, gigabytes: number) =>
  (await call(ann, 'POST', '/api/v1/policy/evaluate', { action: 'pvc:resize', resource: `k8s:main/${namespace}/pvc/db-0`, request: { gigabytes } })).body['allowed']
const create = (who: Who | undefined, document: object) => call(who, 'POST', '/api/v1/policy', { document, comment: 'wanted' })
const put = (who: Who | undefined, id: string, version: number, document: object) => call(who, 'PUT', `/api/v1/policy/${id}`, { document, version, comment: 'wanted' })
const seen = async (who: Who | undefined, change: unknown) => ((await call(who, 'GET', `/api/v1/policy-changes/${String(change)}`)).body['now'] ?? null) as { snapshot: string; why: string | null } | null
const settle = async (who: Who | undefined, change: unknown, verb: 'agree' | 'withdraw', snapshot?: string | null) =>
  call(who, 'POST', `/api/v1/policy-changes/${String(change)}/${verb}`, { comment: 'seen', ...(verb === 'agree' ? { snapshot: snapshot ?? (await seen(who, change))?.snapshot ?? null } : {}) })
/** In force, by two people. */
async function standing(id: string, changes: object = {}): Promise<void> {
  const { body } = await create(ann, policy(id, changes))
  expect((await settle(bob, body['changeId'], 'agree')).status).toBe(200)
}

test('a change that lets more happen is kept with a request that shows it, and is in force once another person agrees', async () => {
  const asked = await create(ann, policy('first'))
  expect(asked).toMatchObject({ status: 202, body: { why: expect.stringContaining('would be `act` instead of `deny`'), witness: { action: 'pvc:resize' }, nextStep: expect.stringContaining('AEGIS_POLICY_FOUR_EYES=off') } })
  expect(await ask('first', 5)).toBe(false)
  const { changeId } = asked.body
  expect((await call(bob, 'GET', '/api/v1/policy-changes?state=proposed')).body).toMatchObject({ items: [{ id: changeId, state: 'proposed', author: ann!.id, policies: [{ id: 'first', version: null, effect: 'allow' }] }] })
  expect((await call(bob, 'GET', `/api/v1/policy-changes/${String(changeId)}`)).body).toMatchObject({ documents: [{ id: 'first', wanted: policy('first'), inForce: null }] })

  expect(await settle(bob, changeId, 'agree')).toMatchObject({ status: 200, body: { state: 'agreed', decidedBy: bob!.id, snapshot: api.deps.policies().snapshot.hash } })
  expect(await ask('first', 5)).toBe(true)
  expect((await call(bob, 'GET', '/api/v1/policy/first')).body).toMatchObject({ version: 1, author: ann!.id, agreedBy: bob!.id, comment: 'wanted' })
  const entries = (await readStream(db.api, 'policies')).slice(-3)
  expect(entries.map(({ kind, actor }) => [kind, actor.id])).toEqual([['policy_change_proposed', ann!.id], ['policy_change_decided', bob!.id], ['policies_published', ann!.id]])
  expect(entries[2]!.body).toMatchObject({ agreedBy: bob!.id })
})

test('nobody agrees to their own change, by whatever key, in the database neither; what is settled stays so', async () => {
  const { body } = await create(ann, policy('own'))
  const other = await keyFor(db.api, ['approver'], 'ann')
  for (const who of [ann, other]) expect(await settle(who, body['changeId'], 'agree')).toMatchObject({ status: 409, problem: { code: 'own_change' } })
  await expect(db.api.raw(`update control.policy_changes set state = 'agreed', decided_by = 'x', decided_owner = 'ann', decided_at = now() where change_id = ?`, [String(body['changeId'])])).rejects.toMatchObject({ constraint: 'second_person' })
  await expect(db.owner.raw(`update control.policy_changes set wanted = '{}' where change_id = ?`, [String(body['changeId'])])).rejects.toMatchObject({ code: 'AE006' })
  await expect(db.owner.raw('delete from control.policy_changes')).rejects.toMatchObject({ code: 'AE004' })
  expect(await ask('own', 5)).toBe(false)
  expect(await settle(bob, body['changeId'], 'withdraw')).toMatchObject({ status: 403 })
  expect(await settle(cleo, body['changeId'], 'withdraw')).toMatchObject({ status: 200, body: { state: 'withdrawn', decidedBy: cleo!.id } })
  for (const verb of ['agree', 'withdraw'] as const) expect(await settle(cleo, body['changeId'], verb)).toMatchObject({ status: 409, problem: { code: 'policy_change_settled' } })
  expect(await settle(cleo, '00000000-0000-4000-8000-000000000000', 'agree')).toMatchObject({ status: 404, problem: { code: 'no_such_change' } })
})

test('what grants nothing needs one person: a deny, less of an allow, an allow taken back, and the same in other words', async () => {
  await standing('less')
  expect(await put(ann, 'less', 1, policy('less', upTo(4)))).toMatchObject({ status: 200, body: { version: 2 } })
  expect(await put(ann, 'less', 2, policy('less', { ...upTo(4), message: 'small ones', priority: 7, labels: { team: 'a' } }))).toMatchObject({ status: 200, body: { version: 3 } })
  expect(await create(ann, policy('never', { effect: 'deny', when: { cel: 'context.severity == "low"' } }))).toMatchObject({ status: 201 })
  expect(await call(ann, 'DELETE', '/api/v1/policy/less?version=3&comment=done')).toMatchObject({ status: 200, body: { version: null } })
})

test('more of an allow, a deny taken back, an older version and an expression each take two', async () => {
  await standing('more')
  expect((await put(ann, 'more', 1, policy('more', upTo(5)))).status).toBe(200)
  expect(await put(ann, 'more', 2, policy('more', upTo(50)))).toMatchObject({ status: 202, body: { witness: { request: { gigabytes: expect.any(Number) } } } })
  expect(await call(ann, 'POST', '/api/v1/policy/more/rollback', { to: 1, version: 2, comment: 'back' })).toMatchObject({ status: 202 })
  expect((await create(ann, policy('more-not', { effect: 'deny', resources: ['k8s:main/more/**'], when: { attr: 'context.severity', op: 'eq', value: 'low' } }))).status).toBe(201)
  expect(await call(ann, 'DELETE', '/api/v1/policy/more-not?version=1&comment=done')).toMatchObject({ status: 202, body: { witness: { context: { severity: 'low' } } } })
  expect(await create(ann, policy('odd', { when: { cel: 'request.gigabytes < 3.0' } }))).toMatchObject({ status: 202 })
})

test('an agreement is to what was looked at: where a version moved, or a test fails by now, nothing is published and it stays open', async () => {
  await standing('moved')
  const wider = (await put(ann, 'moved', 1, policy('moved', upTo(50)))).body['changeId']
  expect((await put(ann, 'moved', 1, policy('moved', upTo(5)))).status).toBe(200)
  expect(await settle(bob, wider, 'agree')).toMatchObject({ status: 409, problem: { code: 'version_conflict' } })
  expect((await call(bob, 'GET', `/api/v1/policy-changes/${String(wider)}`)).body).toMatchObject({ state: 'proposed' })
  expect(await ask('moved', 40)).toBe(false)

  const wide = (await put(ann, 'moved', 2, policy('moved', upTo(50)))).body['changeId']
  const closed = {
    apiVersion: 'aegis.dev/policy-test/v1', name: 'never forty', now: '2026-06-03T12:00:00Z',
    request: { action: 'pvc:resize', resource: 'k8s:main/moved/pvc/a', request: { gigabytes: 40 } }, expect: { proceed: 'deny' },
  }
  expect((await call(ann, 'POST', '/api/v1/policy', { document: policy('watched', { effect: 'deny' }), tests: [closed], comment: 'x' })).status).toBe(201)
  expect(await settle(bob, wide, 'agree')).toMatchObject({ status: 400, problem: { code: 'policy_tests_failed' } })
  expect((await call(ann, 'DELETE', '/api/v1/policy/watched?version=1&comment=x')).status).toBe(200)
})

test('an agreement is over the policies that were looked at: where a deny was taken back meanwhile the same change lets more happen', async () => {
  await create(ann, policy('guarded', { effect: 'deny', resources: ['k8s:main/guarded-prod/**'], when: { all: [] } }))
  const { body } = await create(ann, policy('wide', { resources: ['k8s:main/guarded-*/**'] }))
  const before = await seen(bob, body['changeId'])
  expect(before).toMatchObject({ snapshot: api.deps.policies().snapshot.hash, why: expect.stringContaining('would be `act` instead of `deny`'), refused: null })
  expect((await call(ann, 'DELETE', '/api/v1/policy/guarded?version=1&comment=x')).status).toBe(200)
  expect(await settle(bob, body['changeId'], 'agree', before!.snapshot)).toMatchObject({ status: 409, problem: { code: 'policies_moved', nextStep: expect.stringContaining('look at it again') } })
  expect(await ask('guarded-prod', 5)).toBe(false)
  expect((await settle(bob, body['changeId'], 'agree')).status).toBe(200)
  expect(await seen(bob, body['changeId'])).toBeNull()
})

test('agreeing takes a login of the last five minutes', async () => {
  const { changeId } = (await create(ann, policy('screen'))).body
  const snapshot = (await seen(bob, changeId))!.snapshot
  const key = await loggedInBefore(api, db.owner, (await personWith(db.api, [globalRole('approver')])).username)
  expect(await settle({ ...bob!, key }, changeId, 'agree', snapshot)).toMatchObject({ status: 401, problem: { code: 'step_up_required' } })
})

test('two people who agree at once put it in force once', async () => {
  const { body } = await create(ann, policy('once'))
  const both = await Promise.all([bob, cleo].map((who) => settle(who, body['changeId'], 'agree')))
  expect(both.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 409])
  expect((await call(ann, 'GET', '/api/v1/policy/once')).body).toMatchObject({ version: 1 })
})

test('a policy may be called as the changes are', async () => {
  await standing('policy-changes')
  await standing('changes')
  expect((await call(ann, 'GET', '/api/v1/policy/changes')).body).toMatchObject({ id: 'changes', version: 1 })
})

test('by command: what waits is listed and shown, agreed to by another person, or withdrawn', async () => {
  const [byAnn, byBob] = [ann!, bob!].map(({ key }) => cli({ url: api.url, key, directory: tmpdir() })) as [ReturnType<typeof cli>, ReturnType<typeof cli>]
  const [one, other] = [(await create(ann, policy('typed'))).body['changeId'], (await create(ann, policy('wrong'))).body['changeId']].map(String) as [string, string]
  expect((await byBob('policy', 'changes')).out).toMatch(new RegExp(`${one} +proposed +${ann!.id} +typed .*instead of`))
  expect((await byBob('policy', 'changes', one)).out).toContain('request.gigabytes')
  expect(await byAnn('policy', 'agree', one, '--comment', 'mine')).toMatchObject({ code: 1, err: expect.stringContaining('you asked for this change yourself') })
  expect(await byBob('policy', 'agree', one, '--comment', 'seen')).toMatchObject({ code: 0, out: expect.stringContaining(`change ${one} of \`typed\` is agreed`) })
  expect(await byAnn('policy', 'withdraw', other, '--comment', 'wrong')).toMatchObject({ code: 0, out: expect.stringContaining(`change ${other} of \`wrong\` is withdrawn`) })
  expect(await byBob('policy', 'agree', '00000000-0000-4000-8000-000000000000', '--comment', 'x')).toMatchObject({ code: 1 })
})

describe('files of a pipeline', () => {
  let own: TestDatabase
  let pipeline: TestApi
  beforeAll(async () => {
    own = await openDatabase()
    pipeline = await startApi({ db: own.api, temporal: stack.temporal.address, directory: null, settings: { policyFourEyes: true } })
  })
  afterAll(async () => {
    await pipeline.close()
    await own.close()
  })

  test('that grant wait whole, and stand for what Git managed when they were sent', async () => {
    const [dora, emil] = [await keyFor(own.api, ['admin'], 'dora'), await keyFor(own.api, ['approver'], 'emil')]
    const send = (who: Who, method: string, path: string, body: object) => pipeline.call(method, path, { key: who.key, body })
    const file = (id: string, gigabytes: number) => ({ name: `${id}.yaml`, text: JSON.stringify(policy(id, upTo(gigabytes))) })
    const apply = (files: object[], more: object = {}) => send(dora, 'POST', '/api/v1/policy/apply', { files, ...more })
    const agree = async ({ body }: { body: Record<string, unknown> }) => {
      const path = `/api/v1/policy-changes/${String(body['changeId'])}`
      const { now } = (await pipeline.call('GET', path, { key: emil.key })).body as { now: { snapshot: string | null } }
      return send(emil, 'POST', `${path}/agree`, { comment: 'seen', snapshot: now.snapshot })
    }

    const begun = await apply([file('a', 5), file('b', 5)])
    expect(begun).toMatchObject({ status: 202, body: { witness: { action: 'pvc:resize' } } })
    expect(await agree(begun)).toMatchObject({ status: 200, body: { policies: [{ id: 'a', version: null }, { id: 'b', version: null }] } })
    const wider = await apply([file('a', 50), file('b', 5)])
    expect(wider.status).toBe(202)
    expect(await apply([file('a', 5), file('b', 1)])).toMatchObject({ status: 200 })
    expect(await agree(wider)).toMatchObject({ status: 409, problem: { code: 'version_conflict' } })

    // More than a few are compared in a thread.
    const many = (gigabytes: number) => Array.from({ length: 150 }, (_, at) => file(`many-${at}`, at === 40 ? gigabytes : 5))
    expect(await agree(await apply(many(5)))).toMatchObject({ status: 200 })
    expect(await apply(many(4))).toMatchObject({ status: 200 })
    expect(await apply(many(6))).toMatchObject({ status: 202, body: { witness: { resource: expect.stringMatching('^k8s:main/many-40/') } } })

    // What nobody can prove allows nothing, so anything that allows lets more happen than that.
    await own.owner.raw(`alter table control.policy_snapshots disable trigger user; update control.policy_snapshots set signature = reverse(signature)`)
    const over = pipeline.deps.policies().published!.seq
    const anew = await apply([file('a', 5)], { over })
    expect(anew.status).toBe(202)
    expect(await agree(anew)).toMatchObject({ status: 200, body: { state: 'agreed', over } })
    expect(pipeline.deps.policies().published!.members).toMatchObject([{ id: 'a', agreedBy: emil.id }])
  })
})

describe('what experience took from a policy does not come back under another name by one person', () => {
  test.each([
    ['a rung', async (id: string) => expect((await call(bob, 'POST', '/api/v1/autonomy/demote', { policy: id, namespace: id, mode: 'suggest', reason: 'it made things worse' })).status).toBe(200)],
    ['a breaker', async (id: string) => {
      const remediation = await started(db)
      await db.owner.raw(`insert into ledger.breaker (breaker_id, policy_id, reason, evidence, remediation_id) values (gen_random_uuid(), ?, 'three failed', '{}', ?)`, [id, remediation])
    }],
  ])('%s', async (what, take) => {
    const id = what.replace(' ', '-')
    await standing(id)
    await take(id)
    expect((await create(ann, policy(`${id}-2`, { resources: [`k8s:main/${id}/**`] }))).status).toBe(201)
    const gone = await call(ann, 'DELETE', `/api/v1/policy/${id}?version=1&comment=x`)
    expect(gone).toMatchObject({ status: 202, body: { why: expect.stringMatching(new RegExp(`${id}. may go as far as .* after what it did`)) } })
    expect((await settle(bob, gone.body['changeId'], 'agree')).status).toBe(200)
  })
})

test('at most a hundred changes wait, so that whoever is to agree can look at all of them', async () => {
  const own = await openDatabase()
  const by = { id: 'user:ann', kind: 'person', owner: 'ann', roles: ['admin'] } as const
  const propose = (id: string) => proposeChange(own.api, { id, wanted: { cause: 'edit', comment: 'x', commit: null, over: null, edits: [] } as unknown as WantedChange, why: 'w', witness: null }, { ...by, roles: [...by.roles] })
  const ids = times(100, () => freshId())
  for (const id of ids) await propose(id)
  await expect(propose(freshId())).rejects.toMatchObject({ code: 'policy_changes_full' })
  await decideChange(own.api, { id: ids[0]!, to: 'withdrawn', comment: 'x' }, { ...by, roles: [...by.roles] })
  await propose(freshId())
  await own.close()
})
