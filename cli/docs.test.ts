import { readFileSync } from 'node:fs'
import { commands } from './main.ts'

test('docs/cli.md lists exactly the commands there are', () => {
  const text = readFileSync(new URL('../docs/cli.md', import.meta.url), 'utf8')
  const documented = [...text.matchAll(/^\| `aegis ([a-z -]+)` \|/gm)].map(([, name]) => name)
  expect(new Set(documented)).toEqual(new Set(Object.keys(commands)))
  expect(documented).toHaveLength(Object.keys(commands).length)
})
