import { mkdtemp, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadPolicies, policySource, type PolicySource } from './directory.ts'

const policy = (id: string, effect = 'allow') => `apiVersion: aegis.dev/policy/v1\nid: ${id}\neffect: ${effect}\nactions: ['*']\nresources: ['**']\n`

let directory: string
let source: PolicySource | undefined
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'policies-'))))
afterEach(async () => {
  source?.close()
  source = undefined
  await rm(directory, { recursive: true, force: true })
})

const put = (name: string, text: string) => writeFile(join(directory, name), text)
const open = async (reloadMs = 60_000, onChange?: Parameters<typeof policySource>[1]['onChange']) =>
  (source = await policySource(directory, { reloadMs, ...(onChange ? { onChange } : {}) }))

test('yaml and yml files of the directory count; hidden ones, others and directories below do not', async () => {
  await Promise.all([put('a.yaml', policy('a')), put('b.yml', policy('b')), put('.c.yaml', 'x: ['), put('d.txt', 'x: ['), mkdir(join(directory, 'demo'))])
  await writeFile(join(directory, 'demo', 'e.yaml'), policy('e'))
  expect((await loadPolicies(directory)).snapshot?.policies.map(({ document }) => document.id)).toEqual(['a', 'b'])
})

test('a directory without policies denies everything; one that is not there is an error', async () => {
  expect((await loadPolicies(directory)).snapshot?.size).toBe(0)
  const { errors } = await loadPolicies(join(directory, 'missing'))
  expect(errors).toEqual([expect.stringContaining('(ENOENT); check the path')])
})

test('nothing good to begin with stops the start, with every error', async () => {
  await put('a.yaml', 'x: 1\n')
  await expect(open()).rejects.toMatchObject({ kind: 'invalid', code: 'policy_invalid', message: expect.stringContaining('a.yaml:1: x: unknown field') })
})

test('an edit takes effect by itself', async () => {
  await put('a.yaml', policy('a'))
  const changed = new Promise<void>((resolve) => void open(20, () => resolve()).then(() => put('a.yaml', policy('a', 'deny'))))
  await changed
  expect(source!.current().snapshot.policies[0]?.document.effect).toBe('deny')
})

test('a broken edit leaves the last good policies, says why, and ages; mending it clears that', async () => {
  const seen: (string | undefined)[] = []
  await put('a.yaml', policy('a'))
  const { current, reload } = await open(60_000, ({ error }) => seen.push(error))
  const { hash } = current().snapshot
  await put('a.yaml', policy('a').replace('effect', 'efect'))
  await reload()
  await reload()
  const broken = current()
  expect(broken).toMatchObject({ snapshot: { hash }, stale: false, error: expect.stringContaining('a.yaml:3: efect: unknown field') })
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(current().ageMs).toBeGreaterThan(broken.ageMs)

  await put('a.yaml', policy('a'))
  const mendedAt = performance.now()
  await reload()
  expect(current()).toEqual({ snapshot: expect.objectContaining({ hash }), ageMs: expect.any(Number), stale: false })
  expect(current().ageMs).toBeLessThanOrEqual(performance.now() - mendedAt)
  expect(seen).toEqual([broken.error, undefined])
})

test('a directory that goes away is an error of its own, and its return is noticed', async () => {
  await put('a.yaml', policy('a'))
  const { current, reload } = await open()
  await rename(directory, `${directory}-away`)
  await reload()
  expect(current().error).toContain('(ENOENT)')
  await rename(`${directory}-away`, directory)
  await reload()
  expect(current().error).toBeUndefined()
})
