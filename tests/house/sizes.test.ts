import { expect, test } from '@jest/globals'
import { tooLong } from './sizes.ts'

test.each([
  [499, 0],
  [500, 1],
])('a file of %d lines gives %d findings', (lines, findings) => {
  expect(tooLong('a.ts', 'line\n'.repeat(lines))).toHaveLength(findings)
})
