/** W4: patterns that take a backtracking matcher hours, at every place where somebody gives a pattern or meets one of ours. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { z } from 'zod'
import { routes } from '../../api/routes.ts'
import { keyFor, startApi, type Got, type TestApi } from '../helpers/api.ts'
import { stack } from '../helpers/stack.ts'
import { stallLimitMs, stallOf } from '../helpers/stall.ts'
import { openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let key: string

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null })
  key = (await keyFor(db.api, ['admin'])).key
  for (const [path, body] of places('a*b')) await api.call('POST', path, { key, body }) // so that compiling our own code is not measured
})
afterAll(async () => {
  await api.close()
  await db.close()
})

const patterns = [
  '(a+)+$', '(a*)*$', '(a|aa)+$', '(a|a?)+$', '(.*a){20}$', '^(([a-z])+.)+[A-Z]([a-z])+$', '([a-zA-Z]+)*$', '(a|b|ab)*c', '^(a?){30}a{30}$', '(\\w+\\s?)*$', '^(\\d+)*x$', '(?:a+){2,}$', '^((ab)*)+$', '((a{0,5}){0,5}){0,5}[^a]',
  '(x+x+)+y', '^(.+)+$', '(.*)*(.*)*(.*)*b', `${'a*'.repeat(60)}b`, `${'*a'.repeat(60)}b`, `${'**/'.repeat(60)}b`, `${'**/a*a*a/'.repeat(25)}b`, '*'.repeat(200),
]
const document = (changes: object) => ({ apiVersion: 'aegis.dev/policy/v1', id: 'pattern', effect: 'deny', actions: ['deployment:scale'], resources: ['k8s:main/**'], message: 'no', owner: 'o', ...changes })

const inPolicies = (pattern: string): object[] => [
  { resources: [`k8s:main/${pattern}/**`] },
  { actions: [pattern] },
  { when: { attr: 'context.text', op: 'glob', value: pattern } },
  { when: { cel: `has(context.text) && context.text.matches(${JSON.stringify(pattern)})` } },
]

/** Every place that takes a pattern, and what asks for it. */
function places(pattern: string): [path: string, body: object][] {
  const resource = `k8s:main/${'a'.repeat(200)}/deployment/x`
  return [
    ...inPolicies(pattern).map((changes): [string, object] => ['/api/v1/policy', { document: document({ ...changes, id: 'none' }), comment: 'try' }]),
    ['/api/v1/policy/evaluate', { action: 'deployment:scale', resource: pattern, context: { text: 'a'.repeat(5_000) } }],
    ['/api/v1/policy/evaluate', { action: 'deployment:scale', resource, context: { text: `${'a'.repeat(200)}!` } }],
    ['/api/v1/caller-keys', { caller: 'c', owner: 'o', actions: ['restart_pod'], namespaces: [pattern], publicKey: 'none' }],
    ['/api/v1/keys', { name: 'k', owner: 'o', roles: ['user'], namespaces: [{ namespace: pattern }] }],
    ['/api/v1/freeze', { scope: { namespace: pattern }, reason: 'r' }],
  ]
}

describe('a pattern of theirs', () => {
  test.each(patterns.map((pattern) => [pattern.slice(0, 40), pattern] as const))('%s holds nobody up', async (_name, pattern) => {
    for (const [path, body] of places(pattern)) {
      const begun = performance.now()
      const { result, stallMs } = await stallOf<Got>(() => api.call('POST', path, { key, body }))
      expect(result.status).toBeLessThan(500)
      expect([path, stallMs < stallLimitMs ? 'no stall' : `${stallMs} ms`]).toEqual([path, 'no stall'])
      expect(performance.now() - begun).toBeLessThan(10_000)
    }
  })

  test.each(['lint', 'test', 'simulate'])('all of them at once, in files for %s, hold nobody up', async (verb) => {
    const asked = (files: { name: string; text: string }[]) => api.call('POST', `/api/v1/policy/${verb}`, { key, body: verb === 'simulate' ? { candidate: { files } } : { files } })
    const all = patterns.flatMap(inPolicies).map((changes, at) => JSON.stringify(document({ ...changes, id: `p-${at}` })))
    for (const text of all) {
      const { result, stallMs } = await stallOf<Got>(() => asked([{ name: 'p.yaml', text: `${text}\nwrong: [` }]))
      expect([result.status, stallMs < stallLimitMs]).toEqual([400, true])
    }
    const readable = patterns.slice(17, 19).map((pattern, at) => JSON.stringify(document({ ...inPolicies(pattern)[2], id: `p-${at}` })))
    const { result, stallMs } = await stallOf<Got>(() => asked(readable.map((text, at) => ({ name: `p${at}.yaml`, text }))))
    expect(result.status).toBe(200)
    expect(stallMs).toBeLessThan(stallLimitMs)
  })

  test('in force, it is asked about hostile text by every decision, and still holds nobody up', async () => {
    const hostile = { id: 'hostile-glob', when: { attr: 'context.text', op: 'glob', value: `${'a*'.repeat(60)}b` } }
    const made = await api.call('POST', '/api/v1/policy', { key, body: { document: document(hostile), comment: 'try' } })
    expect(made.status).toBe(201)
    const ask = () => api.call('POST', '/api/v1/policy/evaluate', { key, body: { action: 'deployment:scale', resource: 'k8s:main/shop/deployment/x', context: { text: 'a'.repeat(100_000) } } })
    await ask()
    const { result, stallMs } = await stallOf(ask)
    expect(result.status).toBe(200)
    expect(stallMs).toBeLessThan(stallLimitMs)
  })
})

type Json = { pattern?: unknown; [name: string]: unknown }

/** The regular expressions of ours that a value from outside meets, out of every schema that reads one. */
function ours(): string[] {
  const found = new Set<string>()
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const { pattern } = node as Json
    if (typeof pattern === 'string') found.add(pattern)
    Object.values(node).forEach(walk)
  }
  for (const { params, query, body } of routes) for (const schema of [params, query, body]) if (schema) walk(z.toJSONSchema(schema, { io: 'input' }))
  return [...found]
}

const pumps = ['a', '-', '.', 'a-', 'a.', '-.', '1', '0', '/', ':', ' ', 'T', 'ab@', '=', '+', '_', 'A', '2026-01-01T', '..', '\t']

describe('a pattern of ours', () => {
  test('there are some', () => expect(ours().length).toBeGreaterThan(10))

  test.each(ours())('%s is done with 256 KiB of anything at once', (source) => {
    const pattern = new RegExp(source)
    for (const pump of pumps) {
      for (const end of ['', '!', '\n']) {
        const text = pump.repeat(Math.floor((256 * 1024) / pump.length)) + end
        const before = process.cpuUsage()
        pattern.test(text)
        const { user } = process.cpuUsage(before)
        expect([pump, end, user < stallLimitMs * 1_000]).toEqual([pump, end, true])
      }
    }
  })
})

const headers: [string, string][] = [
  ['content-type', `application/json${' '.repeat(14_000)}x`], ['content-type', `application/json;${' '.repeat(7_000)}charset${' '.repeat(7_000)}`], ['authorization', `Bearer ${'a.'.repeat(7_000)}`], ['authorization', `Bearer${' '.repeat(14_000)}x`],
  ['cookie', 'a=b;'.repeat(3_500)], ['cookie', ';'.repeat(14_000)], ['x-forwarded-for', '1,'.repeat(7_000)], ['x-forwarded-for', ':'.repeat(14_000)], ['signature-input', `sig1=(${'"a" '.repeat(3_000)}`], ['signature-input', 'a=("'.repeat(3_500)],
  ['signature', 'sig1=:'.repeat(2_300)], ['content-digest', 'sha-256=:'.repeat(1_500)], ['idempotency-key', '-'.repeat(14_000)], ['x-request-id', 'a-'.repeat(7_000)], ['user-agent', '\u00ff'.repeat(14_000)], ['accept', '*/*;q=0.'.repeat(1_700)], ['range', `bytes=${'0-,'.repeat(4_000)}`], ['if-none-match', '"a",'.repeat(3_500)],
]

describe('a header', () => {
  test.each(headers.map(([name, value]) => [name, value.slice(0, 24), value] as const))('%s: %s… holds nobody up', async (name, _start, value) => {
    for (const [method, path, body] of [['POST', '/executor/execute', '{}'], ['POST', '/api/v1/auth/refresh', '{}'], ['GET', '/api/v1/health/ping', undefined]] as const) {
      const { result, stallMs } = await stallOf<Got>(() => api.call(method, path, { ...(body === undefined ? {} : { raw: body }), headers: { ...(name === 'authorization' ? {} : { authorization: `Bearer ${key}` }), [name]: value } }))
      expect(result.status).toBeLessThan(500)
      expect(stallMs).toBeLessThan(stallLimitMs)
    }
  })
})
