import { expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { lintErrors } from './lint.ts'

const root = process.cwd()
const planted = join(root, 'tests/house/fixtures/lint')

/** Each planted file, and the rule it breaks. */
const breaks: Record<string, string> = {
  'domain/reads-the-clock.ts': 'no-restricted-globals',
  'domain/rolls-dice.ts': 'no-restricted-properties',
  'domain/reads-the-process.ts': 'no-restricted-globals',
  'domain/imports-node.ts': 'no-restricted-imports',
  'domain/imports-a-package.ts': 'no-restricted-imports',
  'adapters/reads-the-environment.ts': 'no-process-env',
  'api/forgets-a-promise.ts': 'no-floating-promises',
  'api/misuses-a-promise.ts': 'no-misused-promises',
  'api/awaits-nothing.ts': 'await-thenable',
  'api/gives-up-on-types.ts': 'no-explicit-any',
}

test('every rule stops what is planted against it, and lets the permitted files through', async () => {
  const found = await lintErrors(root, planted, 'rules.json')
  const rules = Object.fromEntries(found.map((finding) => {
    const [, path = '', rule = ''] = /^([^:]+):\d+: .* \(([\w-]+)\)$/.exec(finding) ?? []
    return [path, rule]
  }))
  expect(rules).toEqual(breaks)
}, 30_000)

test('the planted files are linted by the very rules of the product', () => {
  const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  expect(read(join(planted, 'rules.json'))).toEqual({ extends: ['../../../../.oxlintrc.json'] })
})
