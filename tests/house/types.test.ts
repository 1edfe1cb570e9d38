import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { typeErrors } from './types.ts'

const root = process.cwd()
let project: string

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'aegis-types-'))
  const compilerOptions = { strict: true, noEmit: true, types: [], lib: ['es2023'] }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  writeFileSync(join(project, 'right.ts'), 'export const replicas: number = 3\n')
})
afterAll(() => rmSync(project, { recursive: true, force: true }))

test('a type error is found where it is, and only there', async () => {
  expect(await typeErrors(root, project)).toEqual([])
  writeFileSync(join(project, 'wrong.ts'), "export const replicas: number = 'three'\n")
  expect(await typeErrors(root, project)).toEqual([expect.stringMatching(/wrong\.ts\(1,14\): error TS2322/)])
}, 30_000)

test('a type checker that cannot start is a finding, not a pass', async () => {
  expect(await typeErrors(root, join(project, 'nowhere'))).toHaveLength(1)
}, 30_000)
