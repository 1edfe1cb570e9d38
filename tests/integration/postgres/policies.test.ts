import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { publish, type ChangeSet, type Publisher } from '../../../adapters/policies/publish.ts'
import { publishedPolicies, type PolicySource } from '../../../adapters/policies/published.ts'
import { policyFiles, readDocument } from '../../../adapters/policies/files.ts'
import { directorySync, publishFiles } from '../../../adapters/policies/sync.ts'
import { listen } from '../../../adapters/postgres/listen.ts'
import { readStream } from '../../../adapters/postgres/ledger.ts'
import { listSnapshots, listVersions } from '../../../adapters/postgres/policies.ts'
import { staleAfterMs } from '../../../domain/policy/bounds.ts'
import { exceptionApiVersion, type ExceptionDocument } from '../../../domain/policy/exception.ts'
import { keyPair } from '../../helpers/api.ts'
import { eventually } from '../../helpers/stack.ts'
import { openDatabase, type TestDatabase } from './database.ts'

let db: TestDatabase
let directory: string
const keys = keyPair()
const publisher = (): Publisher => ({ db: db.api, ...keys })
const author = { id: 'ann', kind: 'person' as const, owner: 'ann' }

beforeAll(async () => {
  db = await openDatabase()
  directory = mkdtempSync(join(tmpdir(), 'aegis-policies-'))
})
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true })
  await db.close()
})
beforeEach(async () => {
  await asAttacker('truncate control.policy_versions, control.policy_snapshots')
  for (const name of readdirSync(directory)) rmSync(join(directory, name), { recursive: true })
})

/** Whoever owns the tables can take the triggers away first, for as long as it takes. */
async function asAttacker(sql: string): Promise<void> {
  for (const table of ['policy_versions', 'policy_snapshots']) await db.owner.raw(`alter table control.${table} disable trigger user`)
  await db.owner.raw(sql)
  for (const table of ['policy_versions', 'policy_snapshots']) await db.owner.raw(`alter table control.${table} enable trigger user`)
}

const policy = (id: string, changes: object = {}) => ({ apiVersion: 'aegis.dev/policy/v1', id, effect: 'allow', actions: ['*'], resources: ['**'], owner: 'tests', ...changes })
const put = (name: string, ...documents: object[]) => writeFileSync(join(directory, name), documents.map((one) => JSON.stringify(one)).join('\n---\n'))
const exceptionOf = (of: string, lastsMs: number): ExceptionDocument => ({
  apiVersion: exceptionApiVersion, id: `for-${of}`, policy: of, actions: ['*'], resources: ['k8s:main/shop/**'], when: { all: [] },
  notBefore: new Date(Date.now() - 1_000).toISOString(), expiresAt: new Date(Date.now() + lastsMs).toISOString(), reason: 'r', author: 'ann', approvedBy: 'bob',
})
const inTest = (proceed: string) => ({
  apiVersion: 'aegis.dev/policy-test/v1', name: `pods may ${proceed}`, now: '2026-06-03T12:00:00Z',
  request: { action: 'pod:restart', resource: 'k8s:main/shop/pod/a' }, expect: { proceed },
})
const edit = (id: string, changes: object | null = {}, over: Partial<ChangeSet> = {}): ChangeSet => ({
  edits: [{ id, document: changes && readDocument(policy(id, changes)).policy! }], managedBy: 'api', cause: 'edit', author, comment: 'a test', commit: null, ...over,
})

const git = (...args: string[]): string => execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'commit.gpgsign=false', ...args], { cwd: directory, encoding: 'utf8' }).trim()

function commitAll(indexVersion = 2): string {
  git('update-index', '--index-version', `${indexVersion}`)
  git('add', '--all')
  git('commit', '-qm', 'policies')
  return git('rev-parse', 'HEAD')
}

/** As the decision worker reads them; the timer is far away, so that a test reloads by hand. */
async function reader(verify = keys.verify): Promise<PolicySource & { ids(): string[] }> {
  const source = publishedPolicies(db.decision, { verify, reloadMs: 60_000 })
  await source.reload()
  return { ...source, ids: () => source.current().snapshot.policies.map(({ document }) => document.id) }
}

describe('a directory that is synced', () => {
  test('is in force as it stands, with its tests run and its commit recorded', async () => {
    put('a.yaml', policy('a'), policy('off', { enforcement: 'disabled' }))
    put('a.test.yaml', inTest('act'))
    git('init', '-q')
    const commit = commitAll()
    const sync = directorySync(directory, publisher())
    await sync.round()
    expect(sync.state()).toMatchObject({ commit, error: null })
    const { current, close, ids } = await reader()
    expect([ids(), current().snapshot.size, current().stale]).toEqual([['a'], 2, false])
    expect((await listSnapshots(db.api, { limit: 10 })).items).toMatchObject([{ seq: 1, cause: 'sync', author: 'policy-sync', commit, policies: 2 }])
    close()
  })

  test.each([[2], [4]])('has no commit while Git has its files otherwise, or not at all (index version %i)', async (version) => {
    put('a.yaml', policy('a'))
    put('z.yaml', policy('z'))
    git('init', '-q')
    const sync = directorySync(directory, publisher())
    await sync.round()
    expect(sync.state().commit).toBeNull()
    const first = commitAll(version)
    await sync.round()
    expect(sync.state()).toMatchObject({ commit: first, error: null })
    put('a.yaml', policy('a', { message: 'not committed' }))
    await sync.round()
    expect(sync.state().commit).toBeNull()
    const second = commitAll(version)
    await sync.round()
    expect([sync.state().commit, second === first]).toEqual([second, false])
    expect((await listSnapshots(db.api, { limit: 10 })).items.map((one) => one.commit)).toEqual([null, null])
  })

  test('is published again when it changes, and only then', async () => {
    put('a.yaml', policy('a'))
    put('b.yaml', policy('b'))
    const [old, renewed] = [directorySync(directory, publisher()), directorySync(directory, publisher())]
    await old.round()
    await renewed.round()
    put('b.yaml', policy('c'))
    await renewed.round()
    const source = await reader()
    expect(source.ids()).toEqual(['a', 'c'])
    expect((await listSnapshots(db.api, { limit: 10 })).items.map(({ seq }) => seq)).toEqual([2, 1])
    expect((await listVersions(db.api, 'b', { limit: 10 })).items.map(({ version, hash }) => [version, hash === null])).toEqual([[2, true], [1, false]])
    source.close()
  })

  test('that was broken for a while and is as it was says so no more', async () => {
    put('a.yaml', policy('a'))
    const sync = directorySync(directory, publisher())
    await sync.round()
    put('a.yaml', { nonsense: true })
    await sync.round()
    expect(sync.state().error).toContain('a.yaml')
    put('a.yaml', policy('a'))
    await sync.round()
    expect(sync.state().error).toBeNull()
  })

  test('that is an old copy is not brought back by a process that starts with it, unless somebody says so', async () => {
    put('a.yaml', policy('a'))
    await directorySync(directory, publisher()).round()
    put('b.yaml', policy('guard', { effect: 'deny' }))
    await directorySync(directory, publisher()).round()
    rmSync(join(directory, 'b.yaml'))
    const late = directorySync(directory, publisher())
    await late.round()
    expect(late.state().error).toContain('has been replaced since')
    const source = await reader()
    expect(source.ids()).toEqual(['a', 'guard'])
    await publishFiles(publisher(), await policyFiles(directory), null)
    await late.round()
    await source.reload()
    expect([late.state().error, source.ids()]).toEqual([null, ['a']])
    source.close()
  })

  test('is not taken while it is being written, nor where nothing is left of it', async () => {
    put('a.yaml', policy('a'))
    put('b.yaml', policy('guard', { effect: 'deny', actions: ['node:drain'] }))
    const sync = directorySync(directory, publisher())
    await sync.round()
    writeFileSync(join(directory, 'b.yaml'), '')
    const taken = sync.round()
    await sleep(50)
    put('b.yaml', policy('guard', { effect: 'deny', actions: ['node:*'] }))
    await taken
    expect(sync.state().error).toContain('being written')
    await sync.round()
    const source = await reader()
    expect([sync.state().error, source.ids()]).toEqual([null, ['a', 'guard']])
    for (const name of readdirSync(directory)) rmSync(join(directory, name))
    await sync.round()
    expect(sync.state().error).toContain('there is no policy here')
    await source.reload()
    expect(source.ids()).toEqual(['a', 'guard'])
    source.close()
  })

  test.each([
    ['cannot be read', () => writeFileSync(join(directory, 'a.yaml'), 'id: a\nid: b\n'), 'a.yaml:2'],
    ['breaks a test beside it', () => put('a.yaml', policy('a', { effect: 'deny' })), 'pods may act'],
    ['has a hostile key', () => writeFileSync(join(directory, 'a.yaml'), JSON.stringify({ ...policy('a'), when: { attr: 'context.__proto__.x', op: 'exists' } })), '__proto__'],
    ['takes the id of a policy made by hand', () => put('b.yaml', policy('byhand')), 'in force from the API'],
  ])('that %s leaves the last good one in force and says why', async (_what, spoil, why) => {
    put('a.yaml', policy('a'))
    put('a.test.yaml', inTest('act'))
    const sync = directorySync(directory, publisher())
    await sync.round()
    await publish(publisher(), () => edit('byhand'))
    const source = await reader()
    const { hash } = source.current().snapshot
    spoil()
    await sync.round()
    expect(sync.state().error).toContain(why)
    await source.reload()
    expect(source.current()).toMatchObject({ snapshot: { hash }, stale: false })
    put('a.yaml', policy('a', { message: 'mended' }))
    rmSync(join(directory, 'b.yaml'), { force: true })
    await sync.round()
    expect(sync.state().error).toBeNull()
    source.close()
  })
})

describe('whoever decides by the policies of record', () => {
  test('is stale until it has seen some, and told at once of new ones', async () => {
    const source = await reader()
    expect(source.current()).toMatchObject({ stale: true, error: expect.stringContaining('no policies were published yet') })
    const listener = listen(db.urlOf('decision'), ['aegis_policy'], () => void source.reload(), { onError: () => undefined })
    try {
      await eventually('it has taken them', async () => {
        await publish(publisher(), () => edit('a', { message: `${Date.now()}` })) // again, since it may not be listening yet
        return !source.current().stale
      })
      expect(source.ids()).toEqual(['a'])
    } finally {
      await listener.close()
      source.close()
    }
  })

  test('looks by itself as well: a notice may be lost', async () => {
    await publish(publisher(), () => edit('a'))
    const source = publishedPolicies(db.decision, { verify: keys.verify, reloadMs: 50 })
    await eventually('it has taken them', () => source.current().snapshot.size === 1)
    await publish(publisher(), () => edit('b'))
    await eventually('it has taken the next', () => source.current().snapshot.size === 2)
    source.close()
  })

  const forged: [string, (sql: (text: string) => Promise<unknown>) => Promise<unknown>, string][] = [
    ['a document that was altered', (sql) => sql(`update control.policy_versions set document = replace(document, '"deny"', '"allow"')`), 'policy `a` is not what was signed'],
    ['a document and its hash that were altered', (sql) => sql(`update control.policy_versions set document = '{}', content_hash = 'sha256:' || encode(sha256('{}'), 'hex')`), 'cannot be read'],
    ['a policy left out', (sql) => sql(`update control.policy_snapshots set members = '[]'`), 'not those that were signed'],
    ['a statement of another number', (sql) => sql(`update control.policy_snapshots set seq = 7`), 'about something else'],
    ['a signature that is another\'s', (sql) => sql(`update control.policy_snapshots set signature = reverse(signature)`), 'does not verify'],
  ]
  test('notices a copy of what it has under a higher number', async () => {
    await publish(publisher(), () => edit('a'))
    const source = await reader()
    await asAttacker('insert into control.policy_snapshots select seq + 1, hash, members, tests, exceptions, statement, key_id, signature, cause, author, comment, commit, files_digest, at from control.policy_snapshots')
    await source.reload()
    expect(source.current()).toMatchObject({ snapshot: { size: 1 }, error: expect.stringContaining('about something else') })
    source.close()
  })

  test.each(forged)('does not take %s', async (_what, tamper, why) => {
    await publish(publisher(), () => edit('a', { effect: 'deny' }))
    await tamper(asAttacker)
    const source = await reader()
    expect(source.current()).toMatchObject({ stale: true, snapshot: { size: 0 }, error: expect.stringContaining(why) })
    source.close()
  })

  test('takes nothing that is signed with a key it was not given', async () => {
    await publish({ db: db.api, ...keyPair(), verify: keys.verify }, () => edit('a'))
    const source = await reader()
    expect(source.current().error).toContain('AEGIS_POLICY_PUBLIC_KEYS_FILE')
    source.close()
  })

  test('does not go back to an older snapshot that was signed once, and in time stops allowing', async () => {
    await publish(publisher(), () => edit('a'))
    await publish(publisher(), () => edit('b'))
    const source = await reader()
    await asAttacker('delete from control.policy_snapshots where seq = 2')
    await source.reload()
    expect(source.ids()).toEqual(['a', 'b'])
    expect(source.current().error).toContain('went back from snapshot 2 to 1')
    const late = performance.now() + staleAfterMs
    const now = performance.now
    performance.now = () => late + 1
    expect(source.current().stale).toBe(true)
    performance.now = now
    source.close()
  })
})

describe('publishing', () => {
  test('what could not be read back is not signed: a document grows when its defaults are filled in', async () => {
    const sized = (last: number) => ({ ...policy('edge'), when: { attr: 'context.word', op: 'in', value: [...Array.from({ length: 125 }, (_, at) => `${at}`.padStart(256, 'x')), 'y'.repeat(last)] } })
    const sent = Array.from({ length: 256 }, (_, at) => at + 1).map(sized).filter((one) => Buffer.byteLength(JSON.stringify(one)) <= 32_768).at(-1)!
    const { policy: edge } = readDocument(sent)
    expect(JSON.stringify(edge).length).toBeGreaterThan(32_768)
    const result = await publish(publisher(), () => ({ ...edit('a'), edits: [{ id: 'edge', document: edge! }] }))
    expect(result).toMatchObject({ published: false, refused: { code: 'policy_invalid', errors: [{ field: 'edge', message: expect.stringContaining('larger than') }] } })
    expect(await publish(publisher(), () => edit('b'))).toMatchObject({ published: true })
  })

  test('over a snapshot that cannot be proven any more, the whole set is published anew, and says so', async () => {
    await publish(publisher(), () => edit('lost', { effect: 'deny' }))
    await asAttacker(`update control.policy_snapshots set signature = reverse(signature)`)
    await expect(publish(publisher(), () => edit('a'))).rejects.toMatchObject({ code: 'policies_unproven', message: expect.stringContaining('--over 1') })
    await expect(publish(publisher(), () => edit('a'), 7)).rejects.toMatchObject({ code: 'policies_moved' })
    expect(await publish(publisher(), () => edit('a'), 1)).toMatchObject({ published: true, seq: 2 })
    await expect(publish(publisher(), () => edit('b'), 2)).rejects.toMatchObject({ code: 'policies_proven' })
    const source = await reader()
    expect(source.ids()).toEqual(['a'])
    expect((await readStream(db.api, 'policies')).at(-1)).toMatchObject({ body: { seq: 2, replaces: true } })
    source.close()
  })

  test('who asks while a look is under way is shown what stands then', async () => {
    await publish(publisher(), () => edit('a'))
    const source = await reader()
    const looking = source.reload()
    await publish(publisher(), () => edit('b'))
    await source.reload()
    expect(source.ids()).toEqual(['a', 'b'])
    await looking
    source.close()
  })

  test('an edit of one policy runs, and keeps, the tests that came from files', async () => {
    put('a.yaml', policy('a'))
    put('a.test.yaml', inTest('act'))
    await directorySync(directory, publisher()).round()
    expect(await publish(publisher(), () => edit('b', { effect: 'deny', actions: ['node:drain'] }))).toMatchObject({ published: true })
    expect(await publish(publisher(), () => edit('c', { effect: 'deny' }))).toMatchObject({ refused: { code: 'policy_tests_failed' } })
  })

  test('two at once both stand, one upon the other', async () => {
    await publish(publisher(), () => edit('a'))
    const ids = ['b', 'c', 'd']
    const results = await Promise.all(ids.map((id) => publish(publisher(), () => edit(id))))
    expect(results.map(({ published }) => published)).toEqual([true, true, true])
    const source = await reader()
    expect(source.ids()).toEqual(['a', ...ids])
    source.close()
  })

  test('what is so already makes no version, and what does not compile with the rest no snapshot', async () => {
    await publish(publisher(), () => edit('a'))
    expect(await publish(publisher(), () => edit('a'))).toMatchObject({ published: false, refused: null })
    const twin = await publish(publisher(), () => edit('b', { name: 'a' }))
    expect(twin).toMatchObject({ published: false, refused: { code: 'policy_invalid', errors: [{ field: 'b.name' }] } })
    expect((await listSnapshots(db.api, { limit: 10 })).items).toHaveLength(1)
  })

  test('tests beside a policy are run again whatever changes', async () => {
    const withTest = edit('a')
    await publish(publisher(), () => ({ ...withTest, edits: [{ ...withTest.edits[0]!, tests: [inTest('act')] }] }))
    expect(await publish(publisher(), () => edit('b', { effect: 'deny' }))).toMatchObject({ refused: { code: 'policy_tests_failed', errors: [{ field: 'test `pods may act` (beside `a`)' }] } })
  })

  test('a test that fails is named with the place it stands at', async () => {
    put('a.yaml', policy('a', { effect: 'deny' }))
    put('a.test.yaml', inTest('deny'), inTest('act'))
    const files = await policyFiles(directory)
    expect(await publishFiles(publisher(), files, null)).toMatchObject({ code: 'policy_tests_failed', errors: [{ field: 'test `pods may act` (a.test.yaml:3)' }] })
  })

  test('a row far above the newest is refused: nothing could come after it', async () => {
    await publish(publisher(), () => edit('a'))
    for (const [table, column] of [['policy_snapshots', 'seq'], ['policy_versions', 'version']] as const) {
      const [row] = (await db.owner.raw(`select * from control.${table}`)).rows as object[]
      await expect(db.api(`control.${table}`).insert({ ...row, [column]: 2_147_483_647 })).rejects.toThrow(/2147483647 does not follow 1/)
    }
    expect(await publish(publisher(), () => edit('b'))).toMatchObject({ published: true, seq: 2 })
  })

  test('an exception from what is no deny or approval policy is refused, and one that is over goes with the next change', async () => {
    put('a.yaml', policy('a'), policy('shut', { effect: 'deny' }), exceptionOf('shut', 500))
    expect(await publishFiles(publisher(), await policyFiles(directory), null)).toBeNull()
    const source = await reader()
    expect(source.current().published?.exceptions).toMatchObject([{ document: { id: 'for-shut' } }])
    await sleep(600)
    await publish(publisher(), () => edit('b'))
    await source.reload()
    expect(source.current().published?.exceptions).toEqual([])
    source.close()
    expect(await publish(publisher(), () => edit('c', {}, { exceptions: [exceptionOf('b', 60_000)] }))).toMatchObject({ refused: { code: 'exception_misplaced', errors: [{ field: 'for-b' }] } })
  })

  test('each publication is a chained entry of the ledger, with who and why', async () => {
    const before = (await readStream(db.api, 'policies')).length
    await publish(publisher(), () => edit('z', { message: 'once' }))
    const entries = (await readStream(db.api, 'policies')).slice(before)
    expect(entries).toMatchObject([{ kind: 'policies_published', actor: { id: 'ann' }, body: { comment: 'a test', edits: [{ id: 'z', version: 1 }] } }])
  })

  test('nobody but the API may write, and nobody may change what is written', async () => {
    await publish(publisher(), () => edit('a'))
    const [row] = (await db.owner.raw('select * from control.policy_versions')).rows as object[]
    for (const role of ['decision', 'execution', 'watcher', 'reader'] as const) await expect(db[role]('control.policy_versions').insert({ ...row, version: 9 })).rejects.toThrow(/permission denied/)
    await expect(db.api.raw(`update control.policy_versions set comment = 'x'`)).rejects.toThrow(/permission denied/)
    await expect(db.api.raw('delete from control.policy_snapshots')).rejects.toThrow(/permission denied/)
    for (const table of ['policy_versions', 'policy_snapshots', 'policy_audit_logs']) await expect(db.owner.raw(`truncate control.${table}`)).rejects.toThrow(/only grows/)
  })
})
