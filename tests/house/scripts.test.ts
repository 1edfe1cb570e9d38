import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseFaults } from './scripts.ts'

let root: string

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'aegis-scripts-'))
  writeFileSync(join(root, 'whole.sh'), 'if true; then echo yes; fi\n')
  writeFileSync(join(root, 'broken.sh'), 'if true; then echo yes\n')
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

test('a script that does not parse shows', async () => {
  expect(await parseFaults(root, 'whole.sh')).toEqual([])
  expect(await parseFaults(root, 'broken.sh')).toEqual([expect.stringContaining('broken.sh: does not parse')])
})
