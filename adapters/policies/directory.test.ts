import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadPolicies } from './directory.ts'

const policy = (id: string, effect = 'allow') => `apiVersion: aegis.dev/policy/v1\nid: ${id}\neffect: ${effect}\nactions: ['*']\nresources: ['**']\n`

let directory: string
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), 'policies-'))))
afterEach(() => rm(directory, { recursive: true, force: true }))

const put = (name: string, text: string) => writeFile(join(directory, name), text)
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
