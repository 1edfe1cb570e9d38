/**
 * W5: requests drawn from the route table's own schemas, let in and not, as everybody. Nothing is ever a failure of
 * ours, and each answer is one that the OpenAPI document describes. `npm test` draws a few of each group, `npm run
 * test:long` 5,000. A rejection that nobody handles fails the test it happens in.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { z } from 'zod'
import { openApiDocument } from '../../api/gen.ts'
import { routes } from '../../api/routes.ts'
import type { Route } from '../../api/route.ts'
import type { Role } from '../../domain/remediation.ts'
import { callerFor } from '../helpers/callers.ts'
import { keyFor, startApi, type Got, type Sent, type TestApi } from '../helpers/api.ts'
import { playsAll, printedSeed } from '../helpers/draw.ts'
import { around, junk } from '../helpers/fuzz.ts'
import { globalRole, login, personWith } from '../helpers/people.ts'
import { stack } from '../helpers/stack.ts'
import { decided, openDatabase, times, type TestDatabase } from './postgres/database.ts'

const seed = printedSeed('requests')
const perGroup = playsAll ? 5_000 : 100
const atOnce = 8

let db: TestDatabase
let api: TestApi
/** Who asks; the last two are nobody. */
let callers: (string | undefined)[]
/** Ids of what is there, by the path that takes them. */
let there: Record<string, string[]>
const logged: string[] = []

const allRoles: Role[] = ['admin', 'user', 'approver', 'auditor', 'service']

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address, account: { signup: true }, log: (line) => void (line.includes('"level":"error"') && logged.push(line)) })
  await seeded()
})
afterAll(async () => {
  await api.close()
  await db.close()
})

async function seeded(): Promise<void> {
  const keys = await Promise.all(allRoles.map(async (role) => (await keyFor(db.api, [role])).key))
  const bound = (await keyFor(db.api, ['admin'], 'bound', { cluster: 'main', namespace: 'shop' })).key
  const [admin = ''] = keys
  const person = await personWith(db.api, [globalRole('admin')])
  callers = [...keys, bound, (await login(api, person.username)).accessToken, undefined, `aegis_00000000_${'A'.repeat(43)}`]
  const made = async (path: string, body: object, id: string) => String((await api.call('POST', path, { key: admin, body })).body[id])
  const remediations = await Promise.all(times(4, async (index) => (await decided(db, { proceed: index % 2 ? 'ask' : 'act', target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: `web-${randomUUID().slice(0, 8)}` }, ...(index % 2 ? { answerBy: new Date(Date.now() + 3_600_000) } : {}) })).id))
  const caller = await callerFor(db.api, { pending: true })
  const policies = ((await api.call('GET', '/api/v1/policy', { key: admin })).body['items'] as { id: string }[]).map(({ id }) => id)
  there = {
    '/api/v1/remediations/': remediations,
    '/api/v1/freeze/windows/': [await made('/api/v1/freeze/windows', { scope: { namespace: 'shop' }, from: '2099-01-01T00:00', to: '2099-01-02T00:00', zone: 'UTC', reason: 'r' }, 'windowId')],
    '/api/v1/freeze/': [await made('/api/v1/freeze', { scope: { namespace: 'demo-a' }, reason: 'r' }, 'freezeId')],
    '/api/v1/caller-keys/': [caller.keyId],
    '/api/v1/keys/': [(await keyFor(db.api, ['user'])).id.replace('key:', '')],
    '/api/v1/users/': [(await personWith(db.api, [])).userId],
    '/api/v1/policy/': policies,
  }
}

type Json = { [name: string]: unknown }
const schemaOf = (schema: z.ZodType): Json => z.toJSONSchema(schema, { io: 'input' }) as Json

/** A policy that could be in force, and files that hold it: their schema says no more than that they are objects and text. */
const policy = { apiVersion: 'aegis.dev/policy/v1', id: 'drawn', effect: 'deny', actions: ['pvc:resize'], resources: ['k8s:main/none/**'], message: 'm', owner: 'o', when: { attr: 'context.x', op: 'eq', value: 'y' } }
function bodyOf({ body, path }: Route): fc.Arbitrary<unknown> {
  if (!body) return fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constant({ unasked: 1 }) })
  const drawn = around(schemaOf(body))
  if (!path.startsWith('/api/v1/policy')) return drawn
  const document = fc.oneof(fc.constant(policy), fc.tuple(fc.constantFrom(...Object.keys(policy)), junk).map(([name, value]) => ({ ...policy, [name]: value })))
  const whole = document.map((one) => ({ document: one, comment: 'c', files: [{ name: 'p.yaml', text: safeText(one) }] }))
  const named = Object.keys((schemaOf(body)['properties'] ?? {}) as Json)
  const kept = whole.map((all) => Object.fromEntries(Object.entries(all).filter(([name]) => named.includes(name))))
  return fc.oneof(drawn, kept)
}

const safeText = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? 'x'
  } catch {
    return 'x: ['
  }
}

const queryOf = ({ query }: Route): fc.Arbitrary<[string, string][]> =>
  query === null
    ? fc.constantFrom<[string, string][][]>([], [], [], [['unasked', '1']])
    : fc.tuple(around(schemaOf(query)), fc.boolean()).map(([value, twice]) => {
        const pairs = typeof value === 'object' && value !== null ? Object.entries(value).map(([name, one]): [string, string] => [name, typeof one === 'object' ? safeText(one) : String(one)]) : []
        return twice ? [...pairs, ...pairs.slice(0, 1)] : pairs
      })

type Drawn = { route: Route; who: number; ids: number[]; body: unknown; query: [string, string][]; headers: Record<string, string>; text: string | null }

const odd = fc.constantFrom('', ' ', 'a b', '%00', '..', '.', '*', 'x'.repeat(300), '😀', "'", '0', '-1', 'undefined', 'null')

const drawnFrom = (group: readonly Route[]): fc.Arbitrary<Drawn> =>
  fc.oneof(...group.map((route) =>
    fc.record({
      route: fc.constant(route),
      who: fc.nat(100),
      ids: fc.array(fc.nat(20), { minLength: 2, maxLength: 2 }),
      body: bodyOf(route),
      query: queryOf(route),
      headers: fc.dictionary(fc.constantFrom('idempotency-key', 'x-request-id', 'x-aegis-csrf', 'origin', 'cookie', 'x-forwarded-for', 'sec-fetch-site', 'accept', 'range', 'signature', 'signature-input'), fc.string({ unit: fc.constantFrom(...'abcXYZ019-_=;:,"/*?'), maxLength: 20 }), { maxKeys: 2, noNullPrototype: true }),
      text: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.oneof(fc.string(), fc.json()) }),
    }),
  ))

/** An id that is there, one that could be, or none. */
function idFor(path: string, drawn: number): string {
  const known = Object.entries(there).find(([start]) => path.startsWith(start))?.[1] ?? []
  if (drawn < 14 && known.length > 0) return known[drawn % known.length]!
  return drawn < 18 ? randomUUID() : encodeURIComponent(fc.sample(odd, { numRuns: 1, seed: seed + drawn })[0]!)
}

/** Accounts and keys that ask must not be taken away by what is drawn. */
const spared = ['/api/v1/auth/sessions', '/api/v1/auth/password']

function pathOf({ route, ids, query }: Drawn): string {
  let at = 0
  const path = route.path.replace(/:\w+/g, () => idFor(route.path, ids[at++] ?? 0))
  return query.length > 0 ? `${path}?${new URLSearchParams(query.map(([name, value]): [string, string] => [name, value.toWellFormed()])).toString()}` : path
}

function sentOf({ route, who, body, headers, text }: Drawn): Sent {
  const key = callers[who % callers.length]
  const carries = route.method === 'post' || route.method === 'put'
  const raw = text ?? (body === undefined ? undefined : safeText(body))
  return { ...(key === undefined ? {} : { key }), headers, ...(carries && raw !== undefined ? { raw } : {}) }
}

const document = openApiDocument() as unknown as { paths: Record<string, Record<string, { responses: Record<string, { $ref?: string; content?: Record<string, { schema: Json }> }> }>> }
const ajv = new Ajv2020({ strict: false, formats: { uuid: true, 'date-time': true } })
const compiled = new Map<string, ValidateFunction>()

/** The status is one of those described, and so is the body. */
function holdAgainstDocument({ route }: Drawn, got: Got): string | undefined {
  const described = document.paths[route.path.replace(/:(\w+)/g, '{$1}')]?.[route.method]?.responses ?? {}
  const answer = described[got.status]
  if (!answer) return `answers an undescribed ${got.status} (${got.problem.code})`
  const schema = answer.content?.['application/json']?.schema
  if (!schema) return undefined
  const name = `${route.method} ${route.path} ${got.status}`
  const check = compiled.get(name) ?? ajv.compile(schema)
  compiled.set(name, check)
  return check(got.body) ? undefined : `answers ${got.status} with what is not described: ${ajv.errorsText(check.errors)}`
}

/** How often each status came: what is never let in tests no more than the door. */
const statuses = new Map<number, number>()

async function ask(drawn: Drawn): Promise<string[]> {
  const path = pathOf(drawn)
  // Where an odd id has made it another path, it is another route's or nobody's.
  const bare = path.split('?', 1)[0]!
  const same = new RegExp(`^${drawn.route.path.replaceAll('.', '\\.').replace(/:\w+/g, '[^/]+')}$`).test(new URL(bare, 'http://x').pathname)
  const sent = sentOf(drawn)
  try {
    const got = await api.call(drawn.route.method.toUpperCase(), path, sent)
    statuses.set(got.status, (statuses.get(got.status) ?? 0) + 1)
    const wrong = got.status >= 500 ? `answers ${got.status} ${got.problem.code}` : same ? holdAgainstDocument(drawn, got) : undefined
    return wrong === undefined ? [] : [`${drawn.route.method.toUpperCase()} ${path} ${String(sent.raw ?? '').slice(0, 400)}: ${wrong}`]
  } catch (failure) {
    return [`${drawn.route.method.toUpperCase()} ${path} ${String(sent.raw ?? '').slice(0, 400)}: ${String(failure).slice(0, 600)}`]
  }
}

const groups = [...new Set(routes.map(({ tag }) => tag))].map((tag) => [tag, routes.filter((route) => route.tag === tag && !spared.some((path) => route.path.startsWith(path)))] as const)

describe(`requests of seed ${seed}`, () => {
  test.each(groups)(`${perGroup} to the routes of %s are answered as described, and none is a failure of ours`, async (tag, group) => {
    const requests = drawnFrom(group)
    const wrong: string[] = []
    statuses.clear()
    // Drawn as they are sent: to draw them all at once takes so long that kept lines are closed meanwhile.
    for (let at = 0; at < perGroup && wrong.length < 20; at += atOnce) wrong.push(...(await Promise.all(fc.sample(requests, { numRuns: atOnce, seed: seed + at }).map(ask))).flat())
    expect(wrong).toEqual([])
    expect(logged).toEqual([])
    const letIn = [...statuses].filter(([status]) => status < 300).reduce((sum, [, count]) => sum + count, 0)
    process.stderr.write(`${tag}: ${[...statuses].sort(([one], [other]) => one - other).map(([status, count]) => `${status} × ${count}`).join(', ')}\n`)
    expect(letIn).toBeGreaterThan(0)
  }, 1_200_000)
})
