import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { PolicyInput } from '../../domain/policy/input.ts'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { cli, type Ran } from '../helpers/cli.ts'
import { decided, openDatabase, type TestDatabase } from './postgres/database.ts'

// docs/policies.md from top to bottom, as a reader would follow it: files are written, commands are run.
const page = readFileSync(join(checkout, 'docs/policies.md'), 'utf8')
type Block = { line: number; info: string; text: string }
const blocks: Block[] = [...page.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map(({ index, 1: info = '', 2: text = '' }) => ({ line: page.slice(0, index).split('\n').length, info, text }))

let db: TestDatabase
let api: TestApi
let admin: { key: string }
let directory: string

const restart = (severity: string): PolicyInput => ({
  principal: { id: 'watcher', kind: 'service', owner: 'platform', roles: ['service'] },
  action: 'pod:restart', resource: 'k8s:local/shop/pod/web-1', type: 'self_healing',
  context: { severity }, request: { percentOfReady: 0 }, target: {}, history: { sinceLastActionMs: null }, approvals: [], now: Date.UTC(2026, 5, 3, 22), tzdata: 'test',
})

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'aegis-tutorial-'))
  mkdirSync(join(directory, 'my-policies'))
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: '127.0.0.1:1', directory: join(directory, 'my-policies') })
  admin = await keyFor(db.api, ['admin'])
  for (const severity of ['low', 'medium', 'high']) await decided(db, { input: restart(severity), target: { cluster: 'main', namespace: 'shop', kind: 'Pod', name: `web-${severity}` } })
})
afterAll(async () => {
  await api.close()
  await db.close()
  rmSync(directory, { recursive: true, force: true })
})

/** The first line of a YAML block is the file it belongs in. */
async function save({ text }: Block): Promise<void> {
  const [, name] = /^# ((?:my-policies|next)\/[a-z.]+\.yaml)\n/.exec(text) ?? []
  if (name === undefined) throw new Error('the block does not begin with the name of its file')
  mkdirSync(dirname(join(directory, name)), { recursive: true })
  writeFileSync(join(directory, name), text)
  await api.deps.sync?.round()
  await api.deps.refreshPolicies()
  expect(api.deps.sync?.state().error).toBeNull()
}

/** `npx aegis …` in this process, in the reader's directory; anything else in a shell there. */
async function run(command: string): Promise<Ran> {
  const [npx, aegis, ...args] = (command.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'|'$/g, ''))
  if (npx !== 'npx' || aegis !== 'aegis') return { code: 0, out: execFileSync('sh', ['-c', command], { cwd: directory, encoding: 'utf8' }), err: '' }
  const placed = args.map((arg) => (/^(my-policies|next)$/.test(arg) ? join(directory, arg) : arg === 'policies/starter' ? join(checkout, arg) : arg))
  return cli({ url: api.url, key: admin.key, directory })(...placed)
}

const berlin = new Intl.DateTimeFormat('en-US', { timeZone: 'Europe/Berlin', hourCycle: 'h23', weekday: 'short', hour: 'numeric' })

/** The page's peak hours, at that instant. */
function isPeak(at: number): boolean {
  const { weekday = '', hour = '' } = Object.fromEntries(berlin.formatToParts(at).map(({ type, value }) => [type, value]))
  return !weekday.startsWith('S') && Number(hour) >= 9 && Number(hour) < 18
}

const begun = Date.now()
/** The page's questions were asked outside its peak hours. Those of a run within them match that policy. */
const asOfNow = (shown: string): string => ([begun, Date.now()].some(isPeak) ? shown.replace('policies that matched nothing on record: peak-hours\n', '…\n') : shown)

/** A line of `…` alone is any number of lines; within a line it is any text. */
const pattern = (shown: string): RegExp => {
  const escaped = asOfNow(shown).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replace(/^…\n/gm, '(?:.*\\n)*').replaceAll('…', '.*')}$`)
}

async function follow({ info, text }: Block): Promise<void> {
  const [, command = '', shown = ''] = /^\$ (.*)\n([\s\S]*)$/.exec(text) ?? []
  const { code, out, err } = await run(command)
  expect({ out, err }).toEqual({ out: expect.stringMatching(pattern(shown)), err: '' })
  expect(code).toBe(Number(/exit=(\d)/.exec(info)?.[1] ?? 0))
}

test('every block of the page is one that this test follows, but for the one that starts Aegis', () => {
  expect(blocks.filter(({ info }) => !/^(yaml|console( exit=1)?)$/.test(info)).map(({ text }) => text)).toEqual(['mkdir my-policies\nAEGIS_POLICY_DIRECTORY=my-policies npm start\n'])
  expect(blocks.length).toBeGreaterThan(20)
})

// In the order of the page: each step stands on those before it.
test.each(blocks.filter(({ info }) => info !== 'sh').map((block) => [`docs/policies.md:${block.line}`, block] as const))('%s is as shown', async (_place, block) => {
  await (block.info === 'yaml' ? save(block) : follow(block))
})

test('the page can be read in ten minutes', () => expect(page.split(/\s+/).length).toBeLessThanOrEqual(1_500))
