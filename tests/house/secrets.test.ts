import { expect, test } from '@jest/globals'
import { leaks } from './secrets.ts'

// Put together here, so that this file holds none of them itself.
const letters = 'a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0'
const planted: [string, string][] = [
  ['a private key', ['-----BEGIN', 'PRIVATE', 'KEY-----'].join(' ')],
  ['a private key', ['-----BEGIN EC', 'PRIVATE', 'KEY-----'].join(' ')],
  ['an AWS access key', `AK${'IA'}ABCDEFGHIJKLMNOP`],
  ['a GitHub token', `gh${'p_'}${letters.slice(0, 36)}`],
  ['a Slack token', `xox${'b-'}${letters}`],
  ['a Google key', `AI${'za'}${letters.slice(0, 35)}`],
  ['an npm token', `np${'m_'}${letters.slice(0, 36)}`],
  ['an API key of Aegis', `aegi${'s_'}abc12345_${letters}`],
  ['a JSON Web Token', ['ey', 'Jhbcdefghijklm', '.ey', 'Jzdcdefghijklm', '.c2lnbmF0dXJl'].join('')],
  ['a kubeconfig key', `client-key-${'data'}: ${letters}ABCDEFGH`],
  ['a password in a URL', `postgres://aegis:${'hunter223'}@db.internal/aegis`],
  ['a path of one machine', `/${'root'}/aegis`],
  ['a path of one machine', `cd /${'home'}/alice/aegis`],
  ['a path of one machine', `"/${'Users'}/alice/aegis"`],
  ['the address of a package host', `https://registry.${'npmjs'}.org/a`],
]

test.each(planted)('%s is found: line %#', (what, secret) => {
  const found = leaks('notes.md', `first line\n${secret}\n`)
  expect(found).toEqual([expect.stringContaining(`notes.md:2: ${what}`)])
  expect(found.join()).not.toContain(secret)
})

test.each([
  'postgres://aegis:${AEGIS_API_PASSWORD:?}@postgres:5432/aegis',
  'postgres://aegis:<password>@postgres/aegis',
  'cannot reach postgres://aegis:hunter2@db:5432/aegis',
  'cannot reach postgres://aegis:[redacted]@db:5432/aegis',
  'postgres://aegis:s3cr3t@127.0.0.1:5432/aegis',
  'https://user:pass@db.example/x',
  'GET /api/v1/home/x and ~/.kube/config and ./work/x',
  '-----BEGIN PUBLIC KEY-----',
  'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
])('%s is no secret', (text) => expect(leaks('notes.md', text)).toEqual([]))
