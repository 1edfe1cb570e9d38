import { expect, test } from '@jest/globals'
import { readFileSync } from 'node:fs'
import { asvs, faults, items, rowsOf, shares, type Row } from './asvs.ts'

test('there are 70 items of level 1 and 183 of level 2', () => {
  const levels = [...items.values()]
  expect([levels.filter((level) => level === 1).length, levels.filter((level) => level === 2).length]).toEqual([70, 183])
})

test('the sheet has each item once, and every test, page and file that it names is there', async () => {
  expect(await asvs.run(process.cwd())).toEqual([])
})

test('of level 2, nine in ten of what applies are tested; of level 1, all that needs no later part', () => {
  const rows = rowsOf(readFileSync('docs/security/asvs.md', 'utf8'))
  const { 2: second } = shares(rows)
  expect(second.tested / second.applicable).toBeGreaterThanOrEqual(0.9)
  expect(rows.filter(({ level, status }) => level === '1' && !['tested', 'not applicable', 'later'].includes(status))).toEqual([])
})

const whole: Row[] = [...items].map(([item, level]) => ({ item, level: String(level), status: 'not applicable', where: 'a reason' }))
const file = `test('one promise', () => 1)\ntest.each([['a row', 1]])('%s holds', () => 1)\n`
const read = (path: string) => (path === 'a.test.ts' ? file : undefined)
const changed = (change: Partial<Row>): Row[] => whole.map((row, at) => (at === 0 ? { ...row, ...change } : row))

test.each<[string, Row[], string]>([
  ['a missing item', whole.slice(1), '1.1.1 is missing'],
  ['an item twice', [...whole, whole[0]!], '1.1.1 is there twice'],
  ['an item of level 3', [...whole, { ...whole[0]!, item: '1.2.10' }], '1.2.10 is no item of level 1 or 2'],
  ['another level', changed({ level: '1' }), '1.1.1 is of level 2'],
  ['an unknown status', changed({ status: 'fine' }), '`fine` is no status'],
  ['tested by nothing', changed({ status: 'tested', where: 'surely' }), 'names no test'],
  ['a test file that is gone', changed({ status: 'tested', where: '`b.test.ts` “one promise”' }), '`b.test.ts` is not there'],
  ['a test that is gone', changed({ status: 'tested', where: '`a.test.ts` “one promise”; `a.test.ts` “promise”' }), 'has no test “promise”'],
  ['a design that nothing describes', changed({ status: 'by design', where: 'it is so' }), 'names no page or file'],
  ['no reason', changed({ where: '-' }), 'says no reason'],
])('%s shows', (_name, rows, finding) => {
  expect(faults(rows, read)).toEqual([expect.stringContaining(finding)])
})

test.each(['`a.test.ts` “one promise”', '`a.test.ts` “a row”', '`a.test.ts` “%s holds”'])('%s is found', (where) => {
  expect(faults(changed({ status: 'tested', where }), read)).toEqual([])
})
