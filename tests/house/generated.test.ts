import { expect, test } from '@jest/globals'
import { staleFiles } from './generated.ts'

const fixtures = 'tests/house/fixtures/generated'

test.each([
  ['fresh', []],
  ['stale', [expect.stringMatching(/stale\.ts: .* run `npm run gen`: openapi\.json differs/)]],
  ['gone', [expect.stringMatching(/gone\.ts: is missing/)]],
])('what a %s generator says comes through', async (name, expected) => {
  expect(await staleFiles(process.cwd(), `${fixtures}/${name}.ts`)).toEqual(expected)
}, 30_000)
