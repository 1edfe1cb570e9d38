/** The pages of docs/security are true: their figures are those of the code. */
import { describe, expect, test } from '@jest/globals'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { z } from 'zod'
import { argon2Parameters, hashSlots } from '../../adapters/passwords.ts'
import { apiConfig } from '../../adapters/config.ts'
import { graceMs, idleLifeMs, sessionLifeMs } from '../../adapters/postgres/sessions.ts'
import { defaultBodyLimitBytes } from '../../api/body.ts'
import { candidateBodyLimitBytes } from '../../api/policy-candidate.ts'
import { routes } from '../../api/routes.ts'
import { doorPaths } from '../../api/route.ts'
import { maxDepth, maxItems, maxMembers } from '../../api/scan.ts'
import { longestPassword, shortestPassword } from '../../domain/password.ts'
import { testFaults } from './asvs.ts'

const page = readFileSync('docs/security/controls.md', 'utf8')
const code = (path: string) => readFileSync(path, 'utf8')
const section = (title: string) => page.split(/^## /m).find((part) => part.startsWith(title)) ?? ''
const plain = (value: number) => value.toLocaleString('en-US')

const days = 86_400_000
const config = apiConfig({ DATABASE_URL: 'x', AEGIS_POLICY_KEY_FILE: 'a', AEGIS_POLICY_PUBLIC_KEYS_FILE: 'b', AEGIS_TOKEN_KEY_FILE: 'c', AEGIS_TOKEN_PUBLIC_KEYS_FILE: 'd' })

describe('what is documented is what holds', () => {
  test('bounds of input', () => {
    const bounds = section('Input')
    expect(bounds).toContain(`${defaultBodyLimitBytes / 1024} KiB; ${candidateBodyLimitBytes / 1024 / 1024} MiB for alerts and sets of policies`)
    expect(bounds).toContain(`${maxDepth} levels`)
    expect(bounds).toContain(`${plain(maxMembers)}; ${plain(maxItems)}`)
    expect(code('api/http-server.ts')).toMatch(/headersTimeout: 5_000,\s+requestTimeout: 15_000,/)
    expect(bounds).toContain('5 s, 15 s')
    for (const [, named] of bounds.matchAll(/400 ((?:`\w+`(?:, )?)+)/g)) for (const [, one] of named!.matchAll(/`(\w+)`/g)) expect(code('api/scan.ts')).toContain(`'${one}'`)
  })

  test('limits of calls and of logins, and who is not locked out by them', () => {
    const limits = section('Limits of calls')
    const { principal, route, address } = config.AEGIS_HTTP_LIMITS
    expect(limits).toContain(`${plain(principal.limit)} calls in ${principal.windowMs / 1000} s, ${plain(route.limit)} to one route`)
    expect(limits).toContain(`${plain(address.limit)} in ${address.windowMs / 1000} s`)
    expect(code('api/login.ts')).toMatch(/perAccount = \{ limit: 10, windowMs: 15 \* minuteMs \}\s+const perNetwork = \{ limit: 100, windowMs: 60 \* minuteMs \}/)
    expect(limits).toMatch(/10 in 15 min[\s\S]*100 in an hour/)
    expect(limits).toContain(`${hashSlots(1024)} at once, 50 waiting`)
  })

  test('what costs most, and how it is bounded', () => {
    const limits = section('Limits of calls')
    expect(code('api/policy-aside.ts')).toMatch(/limitMs = 30_000[\s\S]*memoryLimitMb = 512/)
    expect(limits).toContain('in a thread of their own with 512 MiB and 30 s')
    expect(code('adapters/postgres/connect.ts')).toMatch(/statementTimeoutMs = 5_000/)
    expect(limits).toContain('statements, 5 s')
  })

  test('every way in, and the words that no password may lean on', () => {
    const ways = section('Ways in')
    expect(new Set(doorPaths.map((path) => path.replace(/^\/api\/v1\/auth\/(\w+).*$/, '$1')))).toEqual(new Set(['signup', 'login', 'refresh', 'logout', 'reset', 'oidc']))
    expect(ways).toContain(`${shortestPassword} to ${longestPassword} characters`)
    expect(code('domain/password.ts')).toContain(`[username, username.split('@')[0] ?? '', 'aegis']`)
    expect(ways).toContain('the words `aegis` and one\'s own name')
    expect(code('adapters/common-passwords.txt').trimEnd().split('\n').length).toBeGreaterThanOrEqual(3_000)
  })

  test('no schema of the API asks for a hint, a question, an address or a number of a telephone', () => {
    const names = new Set<string>()
    const walk = (node: unknown): void => {
      if (typeof node !== 'object' || node === null) return
      for (const name of Object.keys((node as { properties?: object }).properties ?? {})) names.add(name)
      Object.values(node).forEach(walk)
    }
    for (const { body, query } of routes) for (const schema of [body, query]) if (schema) walk(z.toJSONSchema(schema, { io: 'input' }))
    expect(names.size).toBeGreaterThan(50)
    expect([...names].filter((name) => /hint|question$|secretanswer|e-?mail|phone|sms/i.test(name))).toEqual([])
  })

  test('how long a session lives', () => {
    const sessions = section('Sessions')
    expect([idleLifeMs, sessionLifeMs, graceMs]).toEqual([days, 7 * days, 10_000])
    expect(sessions).toMatch(/within 10 s from the same client[\s\S]*\| idle \| 24 h \|[\s\S]*\| in all \| 7 days/)
    expect(code('api/authorization.ts')).toContain('const stepUpMs = 5 * 60_000')
    expect(code('adapters/tokens.ts')).toMatch(/15 \* 60/)
    expect(sessions).toContain('| access token | 15 min |')
    expect(sessions).toContain('`max_age=300`')
    expect(code('adapters/oidc.ts')).toMatch(/max_age: '300'[\s\S]*maxAge: 300/)
  })

  test('every key that a setting names, with its algorithm; and the parameters of passwords', () => {
    const keys = section('Keys and algorithms')
    const settings = [...code('adapters/config.ts').matchAll(/AEGIS_\w+_KEYS?_FILE/g)].map(([name]) => name).filter((name) => !name.includes('PUBLIC') && name !== 'AEGIS_FIRST_KEY_FILE')
    for (const name of new Set(settings)) expect(keys).toContain(`\`${name}\``)
    const { memoryCost, timeCost, parallelism } = argon2Parameters
    expect(keys).toContain(`argon2id, ${memoryCost / 1024} MiB, t=${timeCost}, p=${parallelism}`)
  })

  test('every key has 128 bits of strength or more: Ed25519, AES-256-GCM, SHA-256 and 256 random bits', () => {
    expect(code('adapters/signing.ts')).toContain(`generateKeyPairSync('ed25519')`)
    expect(code('api/credentials.ts')).toContain('randomBytes(32)')
    expect(code('api/authentication.ts')).toContain('randomBytes(32)')
    expect(code('adapters/caller-secrets.ts')).toMatch(/secretBytes = 32/)
    expect(code('deploy/compose/prepare.sh')).not.toMatch(/genpkey -algorithm (?!ed25519)|rand -hex (?:[0-9]|1[0-9])\b/)
  })

  test('every kind of entry in the ledger is in the inventory, and no other', () => {
    const listed = [...(/Kinds of entries\.[^\n]*/.exec(section('Record'))?.[0] ?? '').matchAll(/`(\w+)`/g)].map(([, kind]) => kind)
    const roles = code('tests/integration/postgres/roles.test.ts')
    const table = /const writers[\s\S]*?\n\}/.exec(roles)?.[0] ?? ''
    const known = [...table.matchAll(/\[((?:'\w+'(?:, )?)+)\]\.map/g)].flatMap(([, kinds]) => [...kinds!.matchAll(/'(\w+)'/g)].map(([, kind]) => kind))
    const single = [...table.matchAll(/^ {2}(\w+): \[/gm)].map(([, kind]) => kind).filter((kind) => kind !== 'anything_else')
    expect(new Set(listed)).toEqual(new Set([...known, ...single]))
    expect(new Set(listed).size).toBe(listed.length)
  })

  test('what connects where: the ways out that the check lets through', () => {
    const connections = section('Connections')
    expect(code('tests/house/outgoing.ts')).toContain(`places: ['adapters/oidc.ts']`)
    for (const name of ['DATABASE_URL', 'TEMPORAL_ADDRESS', 'AEGIS_OIDC_ISSUER', 'AEGIS_OIDC_ORIGINS', 'AEGIS_URL']) expect(connections).toContain(`\`${name}\``)
    expect(code('adapters/outgoing/fetch.ts')).toMatch(/timeoutMs = 5_000[\s\S]*5 \* 1024 \* 1024/)
    expect(connections).toContain('no redirect, 5 s, 5 MiB')
  })

  test('the image holds what the product is made of, and no tests, history or local state', () => {
    const kept = code('deploy/image/Dockerfile.dockerignore').split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    expect(kept[0]).toBe('*')
    const let_in = kept.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
    expect(let_in.filter((path) => /\.git|\.env|\.aegis|tests|sandbox|benchmarks|docs/.test(path))).toEqual([])
    expect(kept).toContain('**/*.test.ts')
  })

  test('within which time a dependency is put right is said, and what is in the product is listed with its hash', () => {
    expect(section('Dependencies')).toMatch(/\| 7 days \|[\s\S]*\| 30 days \|[\s\S]*\| 90 days/)
    const { packages } = JSON.parse(code('package-lock.json')) as { packages: Record<string, { integrity?: string }> }
    expect(Object.keys(packages).length).toBeGreaterThan(100)
  })

  test('every level of data has its rules', () => {
    expect([...section('Data').matchAll(/^\| (secret|confidential|open) \|/gm)].map(([, level]) => level)).toEqual(['secret', 'confidential', 'open'])
  })

  test('every stolen part says what it is worth, by tests that are there', () => {
    const model = code('docs/security/threat-model.md')
    expect(testFaults(model, (path) => (existsSync(path) ? code(path) : undefined))).toEqual([])
    const parts = model.split(/^### /m).slice(1)
    expect(parts.length).toBeGreaterThanOrEqual(13)
    for (const part of parts.filter((one) => !one.startsWith('A database'))) for (const word of ['**Gains:**', '**Cannot:**', '**Do:**']) expect([part.split('\n')[0], part.includes(word)]).toEqual([part.split('\n')[0], true])
  })

  test('every page is reached from the first one', () => {
    const pages = readdirSync('docs/security').filter((name) => name !== 'README.md')
    for (const name of pages) expect(code('docs/security/README.md')).toContain(`(${name})`)
  })
})
