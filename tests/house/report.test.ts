import { expect, test } from '@jest/globals'
import { linesOf, runCheck } from './report.ts'

const clock = () => 0

test('a check that breaks is a finding and stops nobody', async () => {
  const result = await runCheck({ name: 'broken', run: () => Promise.reject(new Error('out of order')) }, '.', clock)
  expect(result.findings).toEqual([expect.stringContaining('out of order')])
})

test('a check is one line with its time, and one line for each finding, up to a bound', () => {
  expect(linesOf({ name: 'types', durationMs: 6_240, findings: [] })).toEqual(['ok     types          6.2 s'])
  const many = linesOf({ name: 'docs', durationMs: 50, findings: Array.from({ length: 25 }, (_, at) => `finding ${at}`) })
  expect(many[0]).toMatch(/^FAILED docs/)
  expect(many).toHaveLength(1 + 20 + 1)
  expect(many.at(-1)).toContain('and 5 more')
})
