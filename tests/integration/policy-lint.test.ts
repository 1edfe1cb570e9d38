import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { cli, type Runner } from '../helpers/cli.ts'
import { decided, openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let user: { key: string }
let directory: string

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: '127.0.0.1:1' })
  user = await keyFor(db.api, ['auditor'])
  directory = mkdtempSync(join(tmpdir(), 'aegis-policy-lint-'))
})
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true })
  await api.close()
  await db.close()
})

const policyLint: Runner = (...args) => cli({ url: api.url, key: user.key, directory })('policy', 'lint', ...args)

const policy = (id: string, effect: string, rest = '') =>
  `apiVersion: aegis.dev/policy/v1\nid: ${id}\neffect: ${effect}\nactions: ['pod:restart']\nresources: ['k8s:**']\nowner: sre\n${rest}`

function fileOf(...policies: string[]): string {
  const path = join(directory, 'policies.yaml')
  writeFileSync(path, policies.join('---\n'))
  return path
}

test('the shipped policies lint without an error or a warning, tests beside them or not', async () => {
  expect(await policyLint(join(checkout, 'policies'), '--strict')).toMatchObject({ code: 0, out: expect.stringContaining('0 errors, 0 warnings') })
})

test('without a directory it is the policies in force', async () => {
  const { code, out } = await policyLint()
  expect(out).toMatch(/^[1-9]\d* policies: 0 errors/m)
  expect(code).toBe(0)
})

test('an error ends with 1, and names file, line and a request that shows it', async () => {
  const { code, out } = await policyLint(fileOf(policy('some', 'allow'), policy('none', 'deny')))
  expect(code).toBe(1)
  expect(out).toContain('policies.yaml:1: error L1: some document: this allow permits nothing: the deny `none` covers it whole')
  expect(out).toMatch(/ {2}shown by {2}pod:restart k8s:\S+, severity "high", at 20/)
})

test('a warning does so only where it is asked to', async () => {
  const file = fileOf(policy('twice', 'allow'), policy('again', 'allow'))
  expect(await policyLint(file)).toMatchObject({ code: 0, out: expect.stringContaining('warning L2') })
  expect((await policyLint(file, '--strict')).code).toBe(1)
})

test('as JSON it has the whole request', async () => {
  const { out } = await policyLint(fileOf(policy('some', 'allow'), policy('none', 'deny')), '--json')
  const { findings } = JSON.parse(out) as { findings: { code: string; where: string; witness: object }[] }
  expect(findings.find(({ code }) => code === 'L1')).toMatchObject({ where: 'policies.yaml:1', witness: { action: 'pod:restart', type: 'self_healing' } })
})

test('what cannot be read is refused with its line', async () => {
  expect(await policyLint(fileOf(policy('some', 'allow', 'wehn: {}\n')))).toMatchObject({ code: 1, err: expect.stringContaining('policies.yaml:7: wehn: unknown field') })
})

test('policies made to hurt cost others nothing, and end in time', async () => {
  const or = (name: string) => `{ any: [${Array.from({ length: 4 }, (_, at) => `{ attr: 'context.labels.${name}${at}', op: eq, value: x }`).join(', ')}] }`
  const many = Array.from({ length: 400 }, (_, at) => policy(`p${at}`, at % 2 ? 'deny' : 'allow', `when: { all: [${['a', 'b', 'c'].map((name) => or(`${name}${at % 7}`)).join(', ')}] }\n`))
  const linting = policyLint(fileOf(...many))
  let slowestMs = 0
  for (let asked = 0; asked < 10; asked++) {
    const before = performance.now()
    expect((await api.call('GET', '/api/v1/health/ping')).status).toBe(200)
    slowestMs = Math.max(slowestMs, performance.now() - before)
    await new Promise((wake) => setTimeout(wake, 100))
  }
  expect(slowestMs).toBeLessThan(1_500)
  expect([0, 1]).toContain((await linting).code)
}, 60_000)

test('a policy that met nothing in thirty days is told, once the record goes back that far', async () => {
  const input = {
    principal: { id: 'watcher', kind: 'service', owner: 'platform', roles: ['service'] }, action: 'pod:restart', resource: 'k8s:main/shop/pod/a', type: 'self_healing',
    context: {}, request: {}, target: {}, history: {}, approvals: [], now: Date.now(), tzdata: 'test',
  }
  await decided(db, { input })
  const file = fileOf(policy('met', 'allow'), policy('unmet', 'allow').replace('k8s:**', 'k8s:main/bank/**'))
  expect((await policyLint(file)).out).toContain('the record does not go back 30 days yet')
  await decided(db, { input })
  await db.owner.raw(`update ledger.decision set decided_at = decided_at - interval '40 days' where decision_id = (select decision_id from ledger.decision order by decided_at limit 1)`)
  const { out } = await policyLint(file)
  expect(out).not.toContain('the record does not go back')
  expect(out.match(/L11 (\w+)/g) ?? out.match(/notice L11[^\n]*/g)).toEqual([expect.stringContaining('unmet')])
})
