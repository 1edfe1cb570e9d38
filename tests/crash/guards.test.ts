import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { drawn, playsAll, seed } from '../helpers/draw.ts'
import { guards, type Guard } from './guards.ts'

/**
 * X9: in a copy of the checkout, a guard is taken out alone, and the test that is named for it must fail. `npm test`
 * does so for one guard, drawn by a seed; `npm run test:long` for each.
 */
const chosen = playsAll ? guards : drawn(guards, 1)
const copy = mkdtempSync(join(tmpdir(), 'aegis-guards-'))
const left = new Set(['.git', '.aegis', 'node_modules', 'coverage'])

beforeAll(() => {
  for (const name of readdirSync(checkout)) {
    if (!left.has(name)) cpSync(join(checkout, name), join(copy, name), { recursive: true })
  }
  symlinkSync(join(checkout, 'node_modules'), join(copy, 'node_modules'))
  writeFileSync(join(copy, 'guards.config.mjs'), `import shared from './jest.config.mjs'
const { globalSetup, globalTeardown, runner, ...live } = shared.projects[1]
export default { ...live, rootDir: import.meta.dirname }
`)
})
afterAll(() => rmSync(copy, { recursive: true, force: true }))

test.each(guards.map((guard) => [guard.guard, guard] as const))('%s is where the table says', (_name, { file, line }) => {
  expect(readFileSync(join(checkout, file), 'utf8').split(line)).toHaveLength(2)
})

/** Runs the one test in the copy, on the stack that this test itself runs on. Returns what it printed. */
function runIn({ test: { file, name } }: Guard): Promise<string> {
  const args = [join(copy, 'node_modules/jest/bin/jest.js'), '--config', join(copy, 'guards.config.mjs'), '--verbose', '--testPathPatterns', `tests/${file.includes('/') ? file : `crash/${file}`}.test`, '--testNamePattern', `${name}$`]
  const child = spawn(process.execPath, args, { cwd: copy, env: process.env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return new Promise((resolve) => child.once('close', () => resolve(output)))
}

describe('a test that is named for a guard fails without it, and passes with it', () => {
  test.each(chosen.map((guard) => [guard.guard, guard] as const))(`${seed}: %s`, async (_name, guard) => {
    const path = join(copy, guard.file)
    const whole = readFileSync(path, 'utf8')
    const outcome = async () => (await runIn(guard)).match(/^Tests: .*$/m)?.[0]
    expect(await outcome()).toMatch(/ 1 passed/)
    writeFileSync(path, whole.replace(guard.line, () => guard.without))
    try {
      expect(await outcome()).toMatch(/ 1 failed/)
    } finally {
      writeFileSync(path, whole)
    }
  }, 240_000)
})
