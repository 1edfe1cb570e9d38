import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { cli, type Runner } from '../helpers/cli.ts'
import { openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let user: { key: string }
let directory: string

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: '127.0.0.1:1' })
  user = await keyFor(db.api, ['auditor'])
  directory = mkdtempSync(join(tmpdir(), 'aegis-policy-test-'))
  for (const name of readdirSync(join(checkout, 'policies')).filter((each) => each.endsWith('.yaml'))) cpSync(join(checkout, 'policies', name), join(directory, name))
})
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true })
  await api.close()
  await db.close()
})

const policyTest: Runner = (...args) => cli({ url: api.url, key: user.key, directory })('policy', 'test', ...args)

test('the shipped policies pass their own tests, and every answer of every condition is tested', async () => {
  const { code, out } = await policyTest(directory, '--covered')
  expect(out).toMatch(/ 0 failed\n/)
  expect({ code, gaps: out.match(/^ {2}never .*/gm) }).toEqual({ code: 0, gaps: null })
})

test('an edit that breaks a promise is found, and said in words', async () => {
  const file = join(directory, '30-allow.yaml')
  const before = readFileSync(file, 'utf8')
  writeFileSync(file, before.replace('value: [1, 3]', 'value: [1, 1]'))
  const { code, out } = await policyTest(directory)
  writeFileSync(file, before)
  expect(code).toBe(1)
  expect(out).toMatch(/FAIL {2}a small step up is taken\n {8}proceed: wanted act, found deny/)
})

test('no tests at all is no success, and a broken one is refused with file and line', async () => {
  expect(await policyTest(join(directory, '30-allow.yaml'))).toMatchObject({ code: 1, out: expect.stringContaining('0 passed, 0 failed') })
  const broken = join(directory, 'broken.test.yaml')
  writeFileSync(broken, 'apiVersion: aegis.dev/policy-test/v1\nname: x\nnow: never\n')
  expect(await policyTest(broken)).toMatchObject({ code: 1, err: expect.stringMatching(/broken\.test\.yaml:3: now: is no instant/) })
})
