import { expect, test } from '@jest/globals'
import { unfinishedLines } from './unfinished.ts'

// Put together here, so that this file holds none of them itself.
const planted = [
  ['test', 'only'].join('.'),
  ['describe', 'skip'].join('.'),
  ['it', 'todo'].join('.'),
  ['test', 'failing'].join('.'),
  ['test.concurrent', 'only'].join('.'),
  `x${'it'}(`,
  `f${'describe'}(`,
  `// TO${'DO'} later`,
  `throw new Error('not ${'implemented'}')`,
]

test.each(planted)('%s shows', (text) => {
  expect(unfinishedLines('a.test.ts', `\n${text}`)).toEqual([expect.stringMatching(/^a\.test\.ts:2: /)])
})

test.each(["test.each([1])('%s', () => {})", 'exit(1)', 'profit(2)', 'options.test.only', "benefit('x')"])('%s is finished', (text) => {
  expect(unfinishedLines('a.test.ts', text)).toEqual([])
})
