import { expect, test } from '@jest/globals'
import { deadLinks, unknownCommands } from './docs.ts'

const target = { path: 'docs/policy.md', text: '# Policy `allow`\n\n## The same\n## The same\n' }
const findings = (text: string) =>
  deadLinks([{ path: 'docs/page.md', text }, target], (path) => ['docs/page.md', 'docs/policy.md', 'README.md', 'deploy'].includes(path))

test.each([
  '[policy](policy.md)',
  '[policy](policy.md#policy-allow)',
  '[the second](./policy.md#the-same-1)',
  '[up](../README.md)',
  '[a folder](../deploy)',
  '[elsewhere](https://example.com/nowhere.md)',
  '[mail](mailto:a@example.com)',
  '`[code](nowhere.md)`',
  '```md\n[code](nowhere.md)\n```',
  '# Here\n[here](#here)',
])('%s leads somewhere', (text) => expect(findings(text)).toEqual([]))

test.each([
  ['[gone](gone.md)', 'docs/page.md:1: the link `gone.md` leads nowhere'],
  ['\n\n[above](policy.md "title") [gone](../gone.md)', 'docs/page.md:3: the link `../gone.md` leads nowhere'],
  ['[heading](policy.md#no-such)', 'docs/page.md:1: `docs/policy.md` has no heading `#no-such`'],
  ['[here](#nowhere)', 'docs/page.md:1: `docs/page.md` has no heading `#nowhere`'],
  ['[named]: gone.md', 'docs/page.md:1: the link `gone.md` leads nowhere'],
])('%s leads nowhere', (text, finding) => expect(findings(text)).toEqual([finding]))

test('a command that package.json does not have shows', () => {
  const text = 'Run `npm run check`, then\n`npm run deploy:now`.'
  expect(unknownCommands([{ path: 'README.md', text }], ['check'])).toEqual(['README.md:2: `npm run deploy:now` is not in package.json'])
})
