import fc from 'fast-check'
import { diffOf } from './diff.ts'

const digest = (text: string) => `hmac:${text.length}`
const container = (env: Record<string, string>, rest: object = {}) => ({ name: 'app', env: Object.entries(env).map(([name, value]) => ({ name, value })), ...rest })

test('only changed leaves are shown, by name where things have names', () => {
  const before = { replicas: 3, containers: [container({}, { image: 'shop:1' }), { name: 'proxy', image: 'proxy:1' }] }
  const after = { replicas: 5, containers: [{ name: 'proxy', image: 'proxy:1' }, container({}, { image: 'shop:2' })] }
  expect(diffOf(before, after, digest)).toEqual([
    { path: '/replicas', before: '3', after: '5' },
    { path: '/containers/app/image', before: 'shop:1', after: 'shop:2' },
  ])
})

test.each<[string, object, object, object]>([
  ['what appears has no before', {}, { a: { b: 1 } }, { path: '/a/b', before: null, after: '1' }],
  ['what vanishes has no after', { a: ['x'] }, {}, { path: '/a/0', before: 'x', after: null }],
  ['something empty is shown as such', { a: {} }, {}, { path: '/a', before: '{}', after: null }],
  ['a slash in a key is escaped', {}, { 'aegis.dev/ignore': 'true' }, { path: '/aegis.dev~1ignore', before: null, after: 'true' }],
])('%s', (_what, before, after, expected) => expect(diffOf({ kept: 1, ...before }, { kept: 1, ...after }, digest)).toEqual([expected]))

test.each<[string, object, string]>([
  ['an environment value', { containers: [container({ GREETING: 'hunter2' })] }, '/containers/app/env/GREETING/value'],
  ['data', { data: { motd: 'hunter2' } }, '/data/motd'],
  ['what a key calls secret', { metadata: { annotations: { apiToken: 'hunter2' } } }, '/metadata/annotations/apiToken'],
  ['a long text, which may hold anything', { annotations: { config: 'hunter2'.repeat(30) } }, '/annotations/config'],
  ['a password in an argument', { args: ['--password=hunter2'] }, '/args/0'],
])('%s is a digest', (_what, after, path) => {
  const [shown] = diffOf({}, after, digest).filter((change) => change.path === path)
  expect(shown?.after).toContain('hmac:')
  expect(shown?.after).not.toContain('hunter2')
})

test('a long diff says what it leaves out', () => {
  const after = Object.fromEntries(Array.from({ length: 250 }, (_, index) => [`k${index}`, index]))
  const shown = diffOf({ kept: 1 }, { kept: 1, ...after }, digest)
  expect(shown).toHaveLength(201)
  expect(shown.at(-1)?.after).toBe('… and 50 more')
})

test('equal things have no diff, and nothing is ever thrown', () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => expect(diffOf(value, structuredClone(value), digest)).toEqual([])))
  fc.assert(fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => expect(Array.isArray(diffOf(a, b, digest))).toBe(true)))
})

test('a planted environment value never shows, wherever the containers are', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-zA-Z0-9]{12,20}$/), fc.array(fc.constantFrom('spec', 'template', 'x', 'containers'), { maxLength: 5 }), (secret, path) => {
      const after = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), [container({ PLAIN: secret })])
      expect(JSON.stringify(diffOf({}, after, digest))).not.toContain(secret)
    }),
  )
})
