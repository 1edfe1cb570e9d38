import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canonicalJson } from '../../domain/canonical.ts'
import type { PolicyInput } from '../../domain/policy/input.ts'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { cli, type Runner } from '../helpers/cli.ts'
import { decided, openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let auditor: { key: string }
let directory: string
let firstId: string

const scale = (replicas: number, change: Partial<PolicyInput> = {}): PolicyInput => ({
  principal: { id: 'alertmanager', kind: 'key', owner: 'alertmanager', roles: ['service'] },
  action: 'deployment:scale', resource: 'k8s:main/shop/deployment/web', type: 'self_healing',
  context: { severity: 'high', cluster: 'main', namespace: 'shop' }, request: { replicas, deltaReplicas: 2, undo: 'planned', percentOfReady: 0 },
  target: {}, history: { sinceLastActionMs: null }, approvals: [], now: Date.UTC(2026, 5, 3, 12), tzdata: 'test', ...change,
})

/** More than a page of the history. */
const copies = 700

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: '127.0.0.1:1' })
  auditor = await keyFor(db.api, ['auditor'])
  firstId = (await decided(db, { input: scale(4) })).id
  await db.owner.raw(
    `insert into ledger.decision (decision_id, id, plan_digest, input, decision, proceed, decided_at)
     select gen_random_uuid(), id, plan_digest, ?, decision, proceed, now() - n * interval '1 minute' from ledger.decision, generate_series(1, ?::integer) n`,
    [canonicalJson(scale(6)), copies],
  )
  directory = mkdtempSync(join(tmpdir(), 'aegis-simulate-'))
  const shipped = readFileSync(join(checkout, 'policies/30-allow.yaml'), 'utf8')
  for (const file of ['10-protected.yaml', '20-production.yaml']) writeFileSync(join(directory, file), readFileSync(join(checkout, 'policies', file), 'utf8'))
  writeFileSync(join(directory, '30-allow.yaml'), shipped.replace('op: lte, value: 10 }', 'op: lte, value: 5 }').replace('op: gt, value: 10 }', 'op: gt, value: 20 }'))
})
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true })
  await api.close()
  await db.close()
})

type Lines = ({ progress: { done: number; total: number } } | { report: Record<string, unknown> })[]
const simulate = (body: object, key = auditor.key) => api.call('POST', '/api/v1/policy/simulate', { key, body })
const reportOf = ({ body }: { body: Record<string, unknown> }) => ((body['lines'] as Lines).at(-1) as { report: Record<string, unknown> }).report
const shippedFiles = ['10-protected.yaml', '20-production.yaml', '30-allow.yaml'].map((name) => ({ name, text: readFileSync(join(checkout, 'policies', name), 'utf8') }))

describe('the API', () => {
  test('every decision on record is asked again, and the same policies change nothing', async () => {
    const got = await simulate({ candidate: { files: shippedFiles } })
    expect((got.body['lines'] as Lines)[0]).toEqual({ progress: { done: 500, total: copies + 1 } })
    expect(reportOf(got)).toMatchObject({ decisions: copies + 1, unchanged: copies + 1, transitions: [] })
  })

  test('what would have changed is told with an example; a later start leaves out what came before', async () => {
    const deny = { apiVersion: 'aegis.dev/policy/v1', id: 'never', effect: 'deny', actions: ['*'], resources: ['**'], message: 'not any more' }
    expect(reportOf(await simulate({ candidate: { policies: [deny] } }))).toMatchObject({
      newlyStopped: copies + 1, newlyAllowed: 0, stopped: { count: 1, ids: [firstId] },
      transitions: [{ from: 'act', to: 'deny', count: copies + 1, first: { before: expect.stringContaining('scale-up-a-little'), after: 'denied by policy `never`: not any more' } }],
    })
    expect(reportOf(await simulate({ candidate: { policies: [deny] }, since: '2h' }))['decisions']).toBe(120)
  })

  test('files are asked about as `apply` would take them: what was made through the API stays in force beside them', async () => {
    const admin = await keyFor(db.api, ['admin'])
    const kept = { apiVersion: 'aegis.dev/policy/v1', id: 'kept', effect: 'allow', actions: ['deployment:scale'], resources: ['k8s:main/shop/**'], when: { attr: 'principal.owner', op: 'eq', value: 'alertmanager' }, owner: 'tests' }
    expect((await api.call('POST', '/api/v1/policy', { key: admin.key, body: { document: kept, comment: 'x' } })).status).toBe(201)
    expect(reportOf(await simulate({ candidate: { files: shippedFiles.slice(0, 1) } }))).toMatchObject({ newlyStopped: 0, unchanged: copies + 1 })
    expect((await api.call('DELETE', '/api/v1/policy/kept?version=1&comment=x', { key: admin.key })).status).toBe(200)
    expect(reportOf(await simulate({ candidate: { files: shippedFiles.slice(0, 1) } }))).toMatchObject({ newlyStopped: copies + 1 })
  })

  test('policies that are wrong are refused with the place, and nobody without the right may ask', async () => {
    const got = await simulate({ candidate: { policies: [{ apiVersion: 'aegis.dev/policy/v1', id: 'x', effect: 'allow', actions: ['*'], resources: ['**'], when: { all: [{ attr: 'owner', op: 'eq', value: 1 }] } }] } })
    expect([got.status, got.problem.errors]).toEqual([400, [{ field: 'candidate.policies[0].when.all[0].attr', message: expect.stringContaining('`owner` names no fact') }]])
    const inFile = await simulate({ candidate: { files: [{ name: 'a.yaml', text: 'id: x\nid: y\n' }] } })
    expect([inFile.status, inFile.problem.errors[0]?.message]).toEqual([400, expect.stringMatching(/^a\.yaml:2: /)])
    expect((await simulate({ candidate: { policies: [] }, since: 'yesterday' })).status).toBe(400)
    const user = await keyFor(db.api, ['user'])
    expect((await simulate({ candidate: { policies: [] } }, user.key)).status).toBe(403)
  })
})

describe('the command', () => {
  const aegis: Runner = (...args) => cli({ url: api.url, key: auditor.key, directory, terminal: true })('policy', 'simulate', ...args)

  test('a tighter file is told in words, with a bar on the way', async () => {
    const { code, out, err } = await aegis(directory)
    expect(code).toBe(0)
    expect(out).toContain(`${copies + 1} decisions (2026-06-03 to 2026-06-03) asked again: 1 unchanged, ${copies} changed`)
    expect(out).toMatch(/act -> deny {2}700\n {4}first {2}deployment:scale k8s:main\/shop\/deployment\/web, severity high/)
    expect(out).toMatch(/would be {2}denied: no policy allows .* nearest is `scale-up-a-little`: request\.replicas is 6, wanted lte 5/)
    expect(err).toMatch(/\r\[#{21}-{9}\] {2}71 % 500 of 701 decisions asked again/)
  })

  test('as a gate it fails when more would newly act than wanted', async () => {
    const looser = join(directory, 'looser.yaml')
    writeFileSync(looser, 'apiVersion: aegis.dev/policy/v1\nid: any\neffect: allow\nactions: ["*"]\nresources: ["**"]\n')
    expect(await aegis(looser, '--max-newly-allowed', '0')).toMatchObject({ code: 0 })
    await decided(db, { input: scale(50), target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'big' } })
    const gated = await aegis(looser, '--max-newly-allowed', '0')
    expect(gated).toMatchObject({ code: 1, out: expect.stringContaining('FAIL 1 would newly act, at most 0 wanted') })
    expect(await aegis(looser, '--max-newly-allowed', 'few')).toMatchObject({ code: 2, err: expect.stringContaining('give a whole number') })
    expect(await aegis(join(directory, 'none'))).toMatchObject({ code: 2, err: expect.stringContaining('cannot be read (ENOENT)') })
  })
})

test('questions that were put to the policies directly are asked again as well', async () => {
  const admin = await keyFor(db.api, ['admin'])
  const question = { action: 'user:delete', resource: 'api:/api/v1/users/456', type: 'api_access', context: {} }
  expect((await api.call('POST', '/api/v1/policy/evaluate', { key: admin.key, body: question })).body).toMatchObject({ allowed: false })
  const allow = { apiVersion: 'aegis.dev/policy/v1', id: 'users', effect: 'allow', actions: ['user:*'], resources: ['api:**'], owner: 'tests' }
  const [{ logId }] = (await api.call('GET', '/api/v1/policy/audit/logs?limit=1', { key: auditor.key })).body['items'] as [{ logId: string }]
  expect(reportOf(await simulate({ candidate: { policies: [allow] } }))).toMatchObject({
    newlyAllowed: 1, letThrough: { count: 0 }, transitions: expect.arrayContaining([expect.objectContaining({ from: 'deny', to: 'act', first: expect.objectContaining({ decisionId: logId, remediationId: null, action: 'user:delete' }) })]),
  })
})
