import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { decide } from '../../domain/policy/decide.ts'
import type { PolicyInput } from '../../domain/policy/input.ts'
import { loadSnapshotByHash } from '../../adapters/postgres/policies.ts'
import { proven } from '../../adapters/policies/published.ts'
import { tmpdir } from 'node:os'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { cli } from '../helpers/cli.ts'
import { stack } from '../helpers/stack.ts'
import { openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let admin: { key: string; id: string }
let service: { key: string; id: string }
let user: { key: string; id: string; owner: string }

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address })
  admin = await keyFor(db.api, ['admin'], 'ann')
  service = await keyFor(db.api, ['service'])
  user = await keyFor(db.api, ['user'])
})
afterAll(async () => {
  await api.close()
  await db.close()
})

const policy = (id: string, changes: object = {}) => ({
  apiVersion: 'aegis.dev/policy/v1', id, effect: 'allow', actions: ['pvc:resize'], resources: ['k8s:main/data/**'],
  when: { attr: 'request.gigabytes', op: 'lte', value: 10 }, message: 'small volumes', owner: 'storage', ...changes,
})
const call = (method: string, path: string, body?: unknown, key = admin.key) => api.call(method, path, { key, ...(body === undefined ? {} : { body }) })
const ask = (gigabytes: number | undefined, key = user.key) => call('POST', '/api/v1/policy/evaluate', { action: 'pvc:resize', resource: 'k8s:main/data/pvc/db-0', request: gigabytes === undefined ? {} : { gigabytes } }, key)

function deepCondition(levels: number): object {
  return levels === 0 ? { attr: 'context.severity', op: 'exists' } : { not: deepCondition(levels - 1) }
}

const failing = {
  apiVersion: 'aegis.dev/policy-test/v1', name: 'large ones too', now: '2026-06-03T12:00:00Z',
  request: { action: 'pvc:resize', resource: 'k8s:main/data/pvc/a', request: { gigabytes: 50 } }, expect: { proceed: 'act' },
}

describe('a policy made through the API', () => {
  test('is in force when the answer comes, changes by versions, rolls back and is taken back', async () => {
    expect((await ask(5)).body).toMatchObject({ allowed: false, code: 'no_policy_matched' })
    const created = await call('POST', '/api/v1/policy', { document: policy('resize'), comment: 'volumes may grow' })
    expect([created.status, created.body]).toEqual([201, expect.objectContaining({ id: 'resize', version: 1, changed: true })])
    expect((await ask(5)).body).toMatchObject({ allowed: true, snapshot: created.body['snapshot'] })
    expect((await ask(undefined)).body).toMatchObject({ allowed: false })

    const tighter = policy('resize', { when: { attr: 'request.gigabytes', op: 'lte', value: 1 } })
    expect((await call('PUT', '/api/v1/policy/resize', { document: tighter, version: 1, comment: 'less' })).body).toMatchObject({ version: 2 })
    expect((await ask(5)).body).toMatchObject({ allowed: false })
    expect(await call('PUT', '/api/v1/policy/resize', { document: tighter, version: 1, comment: 'late' })).toMatchObject({ status: 409, problem: { code: 'version_conflict' } })
    expect((await call('PUT', '/api/v1/policy/resize', { document: tighter, version: 2, comment: 'same' })).body).toMatchObject({ version: 2, changed: false })

    expect((await call('POST', '/api/v1/policy/resize/rollback', { to: 1, version: 2, comment: 'back' })).body).toMatchObject({ version: 3 })
    expect(await call('POST', '/api/v1/policy/resize/rollback', { to: 2, version: 2, comment: 'late' })).toMatchObject({ status: 409, problem: { code: 'version_conflict' } })
    expect(await call('DELETE', '/api/v1/policy/resize?version=2&comment=late')).toMatchObject({ status: 409, problem: { code: 'version_conflict' } })
    expect((await ask(5)).body).toMatchObject({ allowed: true })
    const shown = (await call('GET', '/api/v1/policy/resize')).body as { version: number; versions: { items: { version: number; comment: string }[] } }
    expect([shown.version, shown.versions.items.map(({ version, comment }) => [version, comment])]).toEqual([3, [[3, 'back'], [2, 'less'], [1, 'volumes may grow']]])

    expect((await call('DELETE', '/api/v1/policy/resize?version=3&comment=done')).body).toMatchObject({ version: null, changed: true })
    expect((await ask(5)).body).toMatchObject({ allowed: false })
    expect((await call('GET', '/api/v1/policy/resize')).status).toBe(404)
    expect((await call('POST', '/api/v1/policy', { document: policy('resize'), comment: 'again' })).body).toMatchObject({ version: 5 })
    const snapshots = (await call('GET', '/api/v1/policy/audit/snapshots')).body['items'] as { cause: string; author: string }[]
    expect(snapshots.slice(0, 5).map(({ cause, author }) => [cause, author])).toEqual([['edit', admin.id], ['edit', admin.id], ['rollback', admin.id], ['edit', admin.id], ['edit', admin.id]])
  })

  test.each([
    ['is one already', { document: policy('resize'), comment: 'x' }, 409, 'policy_exists', ''],
    ['names an unknown field', { document: policy('odd', { efect: 'deny' }), comment: 'x' }, 400, 'policy_invalid', 'document.efect'],
    ['reaches for a prototype', { document: policy('odd', { when: { attr: 'context.constructor.name', op: 'exists' } }), comment: 'x' }, 400, 'policy_invalid', 'document.when.attr'],
    ['is nested too deep', { document: policy('odd', { when: deepCondition(12) }), comment: 'x' }, 400, 'policy_invalid', 'document.when'],
    ['has a huge list', { document: policy('odd', { when: { attr: 'context.severity', op: 'in', value: Array.from({ length: 300 }, (_, at) => `${at}`) } }), comment: 'x' }, 400, 'policy_invalid', 'document.when.value'],
    ['asks for a regular expression', { document: policy('odd', { when: { attr: 'context.severity', op: 'matches', value: '(a+)+$' } }), comment: 'x' }, 400, 'policy_invalid', 'document.when.op'],
    ['holds what PostgreSQL cannot keep', { document: policy('odd', { message: 'a\u0007b' }), comment: 'x' }, 400, 'policy_invalid', 'document.message'],
    ['has no reason given', { document: policy('odd') }, 400, 'bad_request', 'comment'],
    ['comes with a test it fails', { document: policy('odd'), comment: 'x', tests: [failing] }, 400, 'policy_tests_failed', 'test `large ones too`'],
  ])('is refused when it %s, with the place and the reason, and the running snapshot stays', async (_what, body, status, code, field) => {
    const before = api.deps.policies().snapshot.hash
    const { status: got, problem } = await call('POST', '/api/v1/policy', body)
    expect([got, problem.code, (problem.errors[0]?.field ?? '').slice(0, field.length)]).toEqual([status, code, field])
    await api.deps.refreshPolicies()
    expect(api.deps.policies().snapshot.hash).toBe(before)
  })

  test('may not change what comes from Git', async () => {
    const listed = (await call('GET', '/api/v1/policy')).body['items'] as { id: string; managedBy: string; version: number }[]
    const { id, version } = listed.find(({ managedBy }) => managedBy === 'git')!
    expect(await call('PUT', `/api/v1/policy/${id}`, { document: policy(id), version, comment: 'mine' })).toMatchObject({ status: 409, problem: { code: 'managed_by_git' } })
    expect(await call('DELETE', `/api/v1/policy/${id}?version=${version}&comment=mine`)).toMatchObject({ status: 409, problem: { code: 'managed_by_git' } })
    expect(await call('POST', '/api/v1/policy/apply', { files: [] })).toMatchObject({ status: 409, problem: { code: 'directory_synced' } })
  })

  test('drift between the files and what is in force is shown', async () => {
    expect((await call('GET', '/api/v1/policy/audit/sync')).body).toMatchObject({ error: null, drift: [] })
  })
})

test('an answer is a yes only where nothing is left to be asked: the mode and the bounds of policies count', async () => {
  const modest = policy('modest', { actions: ['pvc:scale'], when: { all: [] }, mode: 'approve', obligations: { maxReplicas: 5 } })
  await call('POST', '/api/v1/policy', { document: modest, comment: 'x' })
  const ask = async (replicas: number) => (await call('POST', '/api/v1/policy/evaluate', { action: 'pvc:scale', resource: 'k8s:main/data/pvc/db-0', request: { replicas } })).body
  expect(await ask(4)).toMatchObject({ allowed: false, effect: 'allow', code: 'mode_approve', reason: expect.stringContaining('a person is asked first') })
  expect(await ask(9)).toMatchObject({ allowed: false, effect: 'allow', code: 'obligation_unmet', message: 'at most 5 replicas allowed, 9 asked for' })
  const logs = (await call('GET', '/api/v1/policy/audit/logs?limit=2')).body as { items: object[] }
  expect(logs.items).toMatchObject([{ allowed: false, code: 'obligation_unmet' }, { allowed: false, code: 'mode_approve' }])
  await call('DELETE', '/api/v1/policy/modest?version=1&comment=x')
})

test.each([['observe', 'observe', 1], ['suggest', 'suggest', 1], ['approve', 'require_approval', 0], ['auto', 'allow', 0]])('by command, a policy of mode `%s` is no more than it says: %s', async (mode, word, code) => {
  const version = (await call('POST', '/api/v1/policy', { document: policy('told', { actions: ['pvc:scale'], when: { all: [] }, unless: undefined, mode }), comment: 'x' })).body['version']
  expect(await cli({ url: api.url, key: admin.key, directory: tmpdir() })('policy', 'explain', 'pvc:scale', 'k8s:main/data/pvc/db-0')).toMatchObject({ code, out: expect.stringMatching(`^${word} \\(${mode === 'auto' ? 'allowed' : `mode_${mode}`}\\)`) })
  await call('DELETE', `/api/v1/policy/told?version=${String(version)}&comment=x`)
})

describe('files published by a pipeline', () => {
  test('are the whole of what Git manages, at their commit', async () => {
    const alone = await openDatabase()
    const pipeline = await startApi({ db: alone.api, temporal: stack.temporal.address, directory: null })
    const { key } = await keyFor(alone.api, ['admin'])
    const commit = 'b'.repeat(40)
    const file = (...ids: string[]) => ({ key, body: { files: [{ name: 'a.yaml', text: ids.map((each) => JSON.stringify(policy(each))).join('\n---\n') }], commit } })
    expect((await pipeline.call('POST', '/api/v1/policy/apply', file('one', 'two'))).body).toMatchObject({ commit })
    await pipeline.call('POST', '/api/v1/policy', { key, body: { document: policy('byhand'), comment: 'x' } })
    await pipeline.call('POST', '/api/v1/policy/apply', file('two'))
    expect(pipeline.deps.policies().snapshot.policies.map(({ document }) => document.id)).toEqual(['byhand', 'two'])
    expect(await pipeline.call('POST', '/api/v1/policy/apply', { key, body: { files: [{ name: 'a.yaml', text: 'id: x\nid: y\n' }] } })).toMatchObject({ status: 400, problem: { code: 'policy_invalid', errors: [{ field: 'a.yaml:2' }] } })
    await pipeline.close()
    await alone.close()
  })
})

describe('the audit log of policies', () => {
  test('has a question before its answer is heard, and the decision can be made again from it, bit for bit', async () => {
    const { body: answer } = await ask(3, admin.key)
    const { items } = (await call('GET', `/api/v1/policy/audit/logs?userId=${admin.id}&limit=1`)).body as { items: { input: PolicyInput; snapshot: string; result: string; code: string }[] }
    expect(items).toMatchObject([{ result: answer['effect'], code: answer['code'], snapshot: answer['snapshot'] }])
    const stored = await loadSnapshotByHash(db.reader, items[0]!.snapshot)
    expect(JSON.parse(JSON.stringify(decide(proven(stored!, api.deps.publisher.verify).snapshot, items[0]!.input)))).toEqual(answer['decision'])
  })

  test('gives no answer that it could not put on record', async () => {
    await db.owner.raw('alter table control.policy_audit_logs rename to away')
    expect((await ask(3)).status).toBe(503)
    await db.owner.raw('alter table control.away rename to policy_audit_logs')
    expect((await ask(3)).status).toBe(200)
  })

  test('knows policies that could not be confirmed: nothing is allowed by them', async () => {
    const { policies } = api.deps
    Object.assign(api.deps, { policies: () => ({ ...policies(), stale: true, error: 'away' }) })
    expect((await ask(3)).body).toMatchObject({ allowed: false, code: 'policy_stale', message: expect.stringContaining('away') })
    Object.assign(api.deps, { policies })
  })

  test('is filtered by who, what and how it came out', async () => {
    await ask(3)
    await call('POST', '/api/v1/policy/evaluate', { action: 'pod:restart', resource: 'k8s:main/kube-system/pod/dns' }, user.key)
    const of = async (query: string) => ((await call('GET', `/api/v1/policy/audit/logs?${query}`)).body['items'] as { action: string; userId: string; result: string }[])
    expect(new Set((await of(`userId=${user.id}`)).map(({ userId }) => userId))).toEqual(new Set([user.id]))
    expect((await of('action=pod:restart&result=deny')).length).toBeGreaterThan(0)
    expect(await of('action=pod:restart&result=allow')).toEqual([])
    expect(await of('to=2020-01-01T00:00:00Z')).toEqual([])
  })
})

describe('the AuthZEN door', () => {
  const question = (changes: object = {}) => ({
    subject: { type: 'user', id: user.owner }, action: { name: 'pvc:resize', properties: { gigabytes: 3 } }, resource: { type: 'pvc', id: 'k8s:main/data/pvc/db-0' }, ...changes,
  })

  test('gives the same answer as the other', async () => {
    expect((await call('POST', '/access/v1/evaluation', question(), user.key)).body).toMatchObject({ decision: true, context: { code: 'allowed' } })
    expect((await call('POST', '/access/v1/evaluation', question({ action: { name: 'pvc:resize' } }), user.key)).body).toMatchObject({ decision: false })
  })

  test('lets a service ask for others, on record, and nobody else', async () => {
    const other = question({ subject: { type: 'user', id: 'carol', properties: { roles: ['approver'] } } })
    expect(await call('POST', '/access/v1/evaluation', other, user.key)).toMatchObject({ status: 403, problem: { code: 'other_subject' } })
    expect((await call('POST', '/access/v1/evaluation', other, service.key)).body).toMatchObject({ decision: true })
    const { items } = (await call('GET', `/api/v1/policy/audit/logs?userId=${service.id}&limit=1`)).body as { items: { input: PolicyInput }[] }
    expect(items[0]?.input.principal).toEqual({ id: 'carol', kind: 'person', owner: 'carol', roles: ['approver'] })
  })

  test.each([
    ['execute_all', [true, false, true]],
    ['deny_on_first_deny', [true, false]],
    ['permit_on_first_permit', [true]],
  ])('answers many with what they share said once, by %s', async (semantic, decisions) => {
    const { subject, action, resource } = question()
    const evaluations = [{}, { action: { name: 'pvc:delete' } }, { context: { severity: 'high' } }]
    const { body } = await call('POST', '/access/v1/evaluations', { subject, action, resource, evaluations, options: { evaluations_semantic: semantic } }, user.key)
    expect((body['evaluations'] as { decision: boolean }[]).map(({ decision }) => decision)).toEqual(decisions)
  })

  test('what is shared counts in each that does not say otherwise, and alone it is one question', async () => {
    const held = policy('legal-hold', { effect: 'deny', when: { attr: 'context.labels.hold', op: 'exists' }, unless: undefined })
    for (const document of [policy('asked-together'), held]) expect((await call('POST', '/api/v1/policy', { document, comment: 'x' })).status).toBe(201)
    const { subject, action, resource } = question()
    const shared = { subject, action, resource, context: { labels: { hold: 'yes' } } }
    expect((await call('POST', '/access/v1/evaluations', { ...shared, evaluations: [{ resource }, { context: { labels: {} } }] }, user.key)).body).toMatchObject({ evaluations: [{ decision: false, context: { code: 'explicit_deny' } }, { decision: true }] })
    for (const evaluations of [undefined, []]) expect((await call('POST', '/access/v1/evaluations', { ...shared, evaluations }, user.key)).body).toMatchObject({ decision: false, context: { code: 'explicit_deny' } })
    for (const id of ['legal-hold', 'asked-together']) await call('DELETE', `/api/v1/policy/${id}?version=1&comment=x`)
  })

  test('names the question that is not whole', async () => {
    const { subject, resource } = question()
    expect((await call('POST', '/access/v1/evaluations', { subject, resource, evaluations: [{}] }, user.key)).problem).toMatchObject({ code: 'bad_request', errors: [{ field: 'evaluations[0].action' }] })
  })
})
