import { readFileSync } from 'node:fs'
import { rolesWith } from './permissions.ts'
import { routes } from './routes.ts'

const text = readFileSync(new URL('../docs/api.md', import.meta.url), 'utf8')

test('the table of routes in docs/api.md is the table of routes', () => {
  const documented = [...text.matchAll(/^\| `(GET|POST|PUT|DELETE) (\S+)` \| (.+?) \| (.+?) \|$/gm)].map((row) => row.slice(1, 5))
  const declared = routes.map(({ method, path, permission }) => [
    method.toUpperCase(),
    path,
    permission === 'public' ? 'public' : `\`${permission}\``,
    permission === 'public' ? 'anyone' : rolesWith(permission).join(', '),
  ])
  expect(documented.map(String).sort()).toEqual(declared.map(String).sort())
})
