import { expect, test } from '@jest/globals'
import { forbiddenLicences, productionPackages } from './licences.ts'

test.each([
  ['MIT', true],
  ['(MIT OR GPL-3.0-only)', true],
  ['Apache-2.0 AND MIT', true],
  ['MIT AND GPL-3.0-only', false],
  ['(MIT OR GPL-3.0-only) AND AGPL-3.0-only', false],
  ['GPL-3.0-only', false],
  ['SEE LICENSE IN LICENSE.md', false],
  [undefined, false],
])('a package under %s is %s', (licence, permitted) => {
  const found = forbiddenLicences([{ name: 'planted', version: '1.0.0', licence }])
  expect(found).toHaveLength(permitted ? 0 : 1)
})

test('the packages the product runs on are read from the lockfile and what is installed', () => {
  const names = productionPackages(process.cwd()).map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(['@temporalio/worker', 'express', 'knex']))
  expect(names).not.toContain('jest')
})
