import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createKeys } from '../../adapters/signing.ts'
import { freePorts } from '../../sandbox/ports.ts'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { eventually, stack } from '../helpers/stack.ts'
import { ownTemporalNamespace } from '../helpers/temporal.ts'
import { openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let directory: string
let urls: string[]
let processes: { child: ChildProcess; output: () => string }[]
let apiKey: string
let temporalNamespace: string

const environment = (port: number | undefined, more: Record<string, string> = {}) => ({
  ...process.env,
  DATABASE_URL: db.urlOf('api'),
  TEMPORAL_ADDRESS: stack.temporal.address,
  TEMPORAL_NAMESPACE: temporalNamespace,
  AEGIS_CLUSTERS: 'main',
  AEGIS_NAMESPACES: 'shop',
  AEGIS_POLICY_DIRECTORY: join(checkout, 'policies'),
  AEGIS_RULES_FILE: join(checkout, 'rules/default.yaml'),
  AEGIS_POLICY_KEY_FILE: join(directory, 'policy.key'),
  AEGIS_POLICY_PUBLIC_KEYS_FILE: join(directory, 'policy.pub'),
  AEGIS_FIRST_KEY_FILE: join(directory, 'first-key'),
  AEGIS_AUDIENCE: 'aegis-cli-test',
  AEGIS_CALLER_KEYS_FILE: join(directory, 'policy.caller-keys'),
  AEGIS_TOKEN_KEY_FILE: join(directory, 'token.key'),
  AEGIS_TOKEN_PUBLIC_KEYS_FILE: join(directory, 'token.pub'),
  AEGIS_PUBLIC_URL: urls?.[0] ?? 'http://127.0.0.1:3000',
  PORT: String(port),
  ...more,
})

function startProcess(env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'api/main.ts'], { cwd: checkout, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
  return { child, output: () => output }
}

beforeAll(async () => {
  db = await openDatabase()
  temporalNamespace = await ownTemporalNamespace(stack.temporal.address)
  directory = mkdtempSync(join(tmpdir(), 'aegis-cli-'))
  for (const name of ['policy', 'token']) createKeys(join(directory, `${name}.key`), join(directory, `${name}.pub`))
  writeFileSync(join(directory, 'policy.caller-keys'), `${randomBytes(32).toString('hex')}\n`)
  const ports = await freePorts(2)
  urls = ports.map((port) => `http://127.0.0.1:${port}`)
  processes = ports.map((port) => startProcess(environment(port)))
  for (const url of urls) await eventually(`${url} is ready`, async () => (await fetch(`${url}/api/v1/health`)).ok)
  apiKey = await eventually('the first key is there', () => readFileSync(join(directory, 'first-key'), 'utf8').trim())
}, 60_000)

afterAll(async () => {
  for (const { child } of processes) child.kill('SIGKILL')
  await db.close()
  rmSync(directory, { recursive: true, force: true })
})

type Ran = { code: number; out: string; err: string }

const aegis = (args: string[], env: Record<string, string | undefined> = {}, typed = ''): Promise<Ran> =>
  new Promise((resolve) => {
    const options = { cwd: directory, env: { ...process.env, AEGIS_URL: urls[0], AEGIS_API_KEY: apiKey, ...env }, timeout: 30_000 }
    const child = execFile(process.execPath, [join(checkout, 'cli/aegis.mjs'), ...args], options, (failure, out, err) =>
      resolve({ code: typeof failure?.code === 'number' ? failure.code : failure ? -1 : 0, out, err }),
    )
    child.stdin?.end(typed)
  })

test('two processes that start at once make one first key, which only its owner can read', async () => {
  expect(apiKey).toMatch(/^aegis_/)
  expect(statSync(join(directory, 'first-key')).mode & 0o777).toBe(0o600)
  expect(readdirSync(directory).filter((name) => !/^(policy|token)\./.test(name))).toEqual(['first-key'])
  expect(Number((await db.owner.raw('select count(*) from control.api_key')).rows[0].count)).toBe(1)
  for (const { output } of processes) expect(output()).not.toContain(apiKey.split('_').slice(2).join('_'))
  for (const url of urls) expect((await aegis(['list'], { AEGIS_URL: url })).code).toBe(0)
})

// No workers are started here; `tests/e2e/fresh-install` is the one that finds everything ready.
const noDecision = 'no decision worker asks for work'
const noExecution = '1 of 1 clusters has no execution worker'

test('doctor and status say what is not in order', async () => {
  const doctor = await aegis(['doctor'])
  expect({ code: doctor.code, failures: doctor.out.match(/FAIL.*/g) }).toEqual({ code: 1, failures: [noDecision, noExecution].map((reason) => expect.stringContaining(reason)) })
  const status = await aegis(['status'])
  expect(status).toMatchObject({ code: 1, out: expect.stringContaining(': degraded') })
  for (const reason of [noDecision, noExecution]) expect(status.out).toContain(reason)
  const stranger = await aegis(['doctor', '--json'], { AEGIS_API_KEY: 'aegis_wrong' })
  const { checks } = JSON.parse(stranger.out) as { checks: { check: string; ok: boolean }[] }
  expect([stranger.code, checks.filter(({ ok }) => !ok).map(({ check }) => check)]).toEqual([1, ['key', 'decision', 'execution']])
})

test('a remediation is asked for, found again and shown', async () => {
  const asked = await aegis(['remediate', 'scale_deployment', 'shop/cart', '--replicas', '4', '--reason', 'slow', '--json'])
  expect(asked.code).toBe(0)
  const { id } = JSON.parse(asked.out) as { id: string }
  expect(await aegis(['list', '--namespace', 'shop'])).toMatchObject({ code: 0, out: expect.stringContaining(id) })
  const shown = await aegis(['show', id])
  expect(shown).toMatchObject({ code: 0, out: expect.stringMatching(/scale_deployment main\/shop\/Deployment\/cart[\s\S]*standing {2}accepted/) })
  const watched = await aegis(['show', id, '--watch', '--timeout', '1'])
  expect(watched).toMatchObject({ code: 1, out: expect.stringContaining('still accepted after 1 s') })
  const early = await aegis(['approve', id])
  expect(early).toMatchObject({ code: 1, err: expect.stringContaining('there is no plan to approve yet') })
  expect(await aegis(['cancel', id, '--comment', 'not needed'])).toMatchObject({ code: 0, out: expect.stringMatching(/^cancel: /) })
})

test('a refusal shows the field, the code and the next step', async () => {
  const { code, err } = await aegis(['remediate', 'restart_pod', 'bank/cart-1'])
  expect(code).toBe(1)
  expect(err).toMatch(/`target\.namespace`: `bank` is not among.*\(namespace_not_allowed, request [0-9a-f-]+\)\nnext: .*AEGIS_NAMESPACES/)
})

test('freezing, listing what is frozen and lifting it', async () => {
  const { out } = await aegis(['freeze', '--namespace', 'shop', '--reason', 'sale', '--json'])
  const { freezeId } = JSON.parse(out) as { freezeId: string }
  expect((await aegis(['freeze'])).out).toMatch(/namespace=shop +frozen +\w+ pending/)
  expect(await aegis(['unfreeze', freezeId])).toMatchObject({ code: 0, out: expect.stringMatching(/^lifted \(\w+ applied/) })
  expect((await aegis(['freeze'])).out).toBe('nothing is frozen\n')
})

test('keys are made, listed and revoked', async () => {
  const made = await aegis(['key', 'create', '--name', 'ci', '--owner', 'ann', '--roles', 'user,approver', '--json'])
  const { keyId, key, prefix } = JSON.parse(made.out) as Record<string, string>
  expect((await aegis(['key', 'list'])).out).toContain(String(prefix))
  expect((await aegis(['list'], { AEGIS_API_KEY: String(key) })).code).toBe(0)
  expect((await aegis(['key', 'revoke', String(keyId)])).code).toBe(0)
  expect(await aegis(['list'], { AEGIS_API_KEY: String(key) })).toMatchObject({ code: 1, err: expect.stringContaining('bad_credential') })
})

test('a caller gets a key, signs with it on the command line, and is refused once it is revoked', async () => {
  const made = await aegis(['caller', 'create', '--caller', 'autoscaler', '--owner', 'ann', '--actions', 'scale_deployment', '--namespaces', 'shop', '--max-replicas', '10', '--activate'])
  expect(made.code).toBe(0)
  const [keyId = '', secret = ''] = made.out.trimEnd().split('\n')
  const [keyFile, bodyFile] = [join(directory, 'policy.caller'), join(directory, 'policy.body')]
  writeFileSync(keyFile, `${secret}\n`)
  writeFileSync(bodyFile, JSON.stringify({ actionType: 'scale_deployment', actionParams: { namespace: 'shop', deploymentName: 'till', replicas: 5 } }))
  const send = async () => {
    const signed = await aegis(['sign', 'POST', '/executor/execute', '--key-id', keyId, '--key-file', keyFile, '--audience', 'aegis-cli-test', '--body', bodyFile, '--json'], { AEGIS_URL: '', AEGIS_API_KEY: '' })
    expect(signed.code).toBe(0)
    const headers = { ...(JSON.parse(signed.out) as Record<string, string>), 'content-type': 'application/json' }
    const answer = await fetch(`${urls[0]}/executor/execute`, { method: 'POST', headers, body: readFileSync(bodyFile) })
    return [answer.status, ((await answer.json()) as { code?: string }).code]
  }
  expect(await send()).toEqual([202, undefined])
  expect((await aegis(['caller', 'list'])).out).toMatch(new RegExp(`${keyId}  autoscaler  ann    active`))
  expect((await aegis(['caller', 'retire', keyId, '--overlap', '3600'])).out).toMatch(/^retiring until /)
  expect(await send()).toEqual([202, undefined])
  expect(await aegis(['caller', 'revoke', keyId])).toMatchObject({ code: 0, out: 'revoked\n' })
  expect(await send()).toEqual([401, 'signature_key_revoked'])
  expect(await aegis(['caller', 'activate', keyId])).toMatchObject({ code: 1, err: expect.stringContaining('no_such_key') })
})

test('a person gets an account, logs in, is somebody with roles where they hold, and logs out', async () => {
  const home = { XDG_CONFIG_HOME: join(directory, 'config'), AEGIS_API_KEY: undefined }
  const made = await aegis(['user', 'create', 'robin', '--roles', 'approver@main/shop,user'])
  expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^aegis_once_[\w-]{43}\n$/) })
  expect((await aegis(['user', 'password', '--token', made.out.trim()], home, 'a walk along the quiet river\n')).code).toBe(0)
  expect(await aegis(['login', '--user', 'robin'], home, 'not this one\n')).toMatchObject({ code: 1, err: expect.stringContaining('bad_login') })
  expect((await aegis(['login', '--user', 'Robin'], home, 'a walk along the quiet river\n')).code).toBe(0)
  const file = join(directory, 'config/aegis/logins.json')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect((await aegis(['whoami'], home)).out).toMatch(/^robin \(person user:[0-9a-f-]+\)\nroles {3}approver@main\/shop, user\n$/)
  writeFileSync(file, readFileSync(file, 'utf8').replace(/"expiresAtMs":\d+/, '"expiresAtMs":0')) // as if 15 minutes had gone by
  const before = readFileSync(file, 'utf8')
  expect((await aegis(['list'], home)).code).toBe(0)
  expect(readFileSync(file, 'utf8')).not.toBe(before)
  expect(await aegis(['user', 'list'], home)).toMatchObject({ code: 1, err: expect.stringContaining('not_permitted') })
  expect((await aegis(['user', 'roles', 'robin', '--roles', ''])).out).toBe('robin: no role\n')
  expect(await aegis(['logout'], home)).toMatchObject({ code: 0, out: 'logged out\n' })
  expect(await aegis(['whoami'], home)).toMatchObject({ code: 1, err: expect.stringContaining('no_credential') })
  expect((await aegis(['user', 'disable', 'robin'])).out).toBe('robin: disabled\n')
})

test('policy explains itself, and a denial is exit code 1', async () => {
  const { code, out } = await aegis(['policy', 'explain', 'node:drain', 'k8s:main/shop/node/n1'])
  expect({ code, out }).toEqual({ code: 1, out: expect.stringMatching(/^deny \(no_policy_matched\)/) })
})

test('a stop lets the open call finish, takes no new one, and ends in order', async () => {
  const [, second] = processes
  const { hostname, port } = new URL(urls[1] ?? '')
  const body = JSON.stringify({ action: 'restart_pod', target: { namespace: 'shop', kind: 'Pod', name: 'cart-1' } })
  const open = request({ hostname, port, method: 'POST', path: '/api/v1/remediations', headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', 'content-length': body.length } })
  const answered = once(open, 'response')
  await new Promise<void>((resolve) => open.write(body.slice(0, 10), () => resolve()))
  await new Promise((resolve) => setTimeout(resolve, 300)) // the head has arrived, half of the body has not
  const exited = once(second!.child, 'exit')
  second?.child.kill('SIGTERM')
  await eventually('new calls are refused', async () => !(await fetch(`${urls[1]}/api/v1/health/ping`).then(() => true, () => false)))
  open.end(body.slice(10))
  const [response] = (await answered) as [{ statusCode: number; resume(): void }]
  response.resume()
  expect(response.statusCode).toBe(202)
  expect(await exited).toEqual([0, null])
})

test('a setting that makes no sense stops the process with one sentence', async () => {
  const { child, output } = startProcess(environment(0, { AEGIS_MODE: 'yolo' }))
  const [code] = (await once(child, 'exit')) as [number]
  expect(code).toBe(1)
  expect(output()).toMatch(/^Aegis cannot start:\n {2}AEGIS_MODE: /)
})

test('a first start without PostgreSQL waits for it instead of ending', async () => {
  const [port] = await freePorts(1)
  const { child, output } = startProcess(environment(port, { DATABASE_URL: 'postgresql://aegis:hunter2@127.0.0.1:1/aegis' }))
  await eventually('it answers that the database is away', async () => (await fetch(`http://127.0.0.1:${port}/api/v1/health`)).status === 503)
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
  expect(output()).not.toContain('hunter2')
})
