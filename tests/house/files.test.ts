import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lineAt, projectFiles, projectPaths } from './files.ts'

let root: string

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'aegis-files-'))
  const files: Record<string, string> = {
    '.gitignore': '# local\n.aegis/\n*.log\n',
    '.ci/run': 'npm test\n',
    'api/a.ts': 'export {}\n',
    'api/new.ts': 'export {}\n',
    'api/picture.png': 'PNG\0\0',
    'debug.log': 'x',
    '.aegis/stack.json': '{}',
    'node_modules/a/index.js': '',
    '.git/config': '',
  }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

test('every file that git would keep is seen, also before it is added', () => {
  expect(projectPaths(root)).toEqual(['.ci/run', '.gitignore', 'api/a.ts', 'api/new.ts', 'api/picture.png'])
})

test('only text is read, narrowed by ending', () => {
  expect(projectFiles(root).map(({ path }) => path)).toEqual(['.ci/run', '.gitignore', 'api/a.ts', 'api/new.ts'])
  expect(projectFiles(root, ['.ts']).map(({ path }) => path)).toEqual(['api/a.ts', 'api/new.ts'])
})

test('lines are counted from one', () => expect([lineAt('a\nb', 0), lineAt('a\nb', 2)]).toEqual([1, 2]))
