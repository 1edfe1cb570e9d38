import { readFileSync } from 'node:fs'
import { compileDocuments, compileFiles } from './files.ts'

const policy = (id: string, rest = '') => `apiVersion: aegis.dev/policy/v1\nid: ${id}\neffect: allow\nactions: ['*']\nresources: ['**']\n${rest}`
const errorsOf = (text: string) => compileFiles([{ name: 'a.yaml', text }]).errors

test('a file holds any number of policies; comments and empty documents are none', () => {
  const files = [{ name: 'a.yaml', text: `# first\n${policy('a')}---\n${policy('b')}---\n# nothing\n` }, { name: 'b.yaml', text: '# all comment\n' }, { name: 'c.yaml', text: '' }]
  expect(compileFiles(files).snapshot?.size).toBe(2)
})

test('the same policies in other files have the same hash', () => {
  const [a, b] = [policy('a'), policy('b')]
  const together = compileFiles([{ name: 'x.yaml', text: `${b}---\n${a}` }]).snapshot?.hash
  expect(compileFiles([{ name: '1.yml', text: a }, { name: '2.yml', text: b }]).snapshot?.hash).toBe(together)
})

test.each<[string, string, string]>([
  ['a misspelt field', policy('a', 'wehn:\n  all: []\n'), 'a.yaml:6: wehn: unknown field `wehn`'],
  ['a fault deep inside', policy('a', 'when:\n  all:\n    - attr: context.x\n      op: matches\n'), 'a.yaml:9: when.all[0].op: expected one of'],
  ['something missing, at the document', policy('').replace('id: \n', ''), 'a.yaml:1: id: expected text, found nothing'],
  ['the second document', `${policy('a')}---\n${policy('b', 'priority: high\n')}`, 'a.yaml:12: priority: expected a whole number'],
  ['a key twice', policy('a', 'priority: 1\npriority: 2\n'), 'a.yaml:7: Map keys must be unique'],
  ['broken syntax', `${policy('a')}when: [`, 'a.yaml:6: Flow sequence'],
  ['a tag', policy('a', 'message: !!binary aGk=\n'), 'a.yaml:6: Unresolved tag: tag:yaml.org,2002:binary'],
  ['a tag of one’s own', policy('a', 'message: !env SECRET\n'), 'a.yaml:6: Unresolved tag: !env'],
  ['a key that is a list', policy('a', '? [a]\n: x\n'), 'a.yaml:6: With stringKeys, all keys must be strings'],
  ['a key that is a number', policy('a', '1: x\n'), 'a.yaml:6: 1: unknown field `1`'],
  ['a list for a document', '- a\n- b\n', 'a.yaml:1: document: expected a mapping, found a list'],
  ['an id twice', `${policy('a')}---\n${policy('a', 'name: other\n')}`, 'a.yaml:8: id: another policy already has the id `a`'],
  ['infinity', policy('a', 'when: { attr: request.x, op: gt, value: .inf }\n'), 'a.yaml:1: document: is not plain data'],
  ['an anchor that refers to itself', policy('a', 'labels: &x\n  a: *x\n'), 'a.yaml:1: '],
  ['a document too large', policy('a', `# ${'x'.repeat(40_000)}\nmessage: x\n`), 'a.yaml:1: document: larger than 32768 bytes'],
  ['a file too large', '#'.repeat(1024 * 1024 + 1), 'a.yaml: larger than 1 MiB'],
])('%s is refused with its line', (_name, text, expected) => {
  expect(errorsOf(text)).toEqual(expect.arrayContaining([expect.stringContaining(expected)]))
})

test.each<[string, string, string]>([
  ['lists in lists', `x: ${'['.repeat(2_000)}${']'.repeat(2_000)}\n`, 'a.yaml:1: nested more than 64 deep'],
  ['lists in lists without an end', '['.repeat(20_000), 'a.yaml:1: nested more than 64 deep'],
  ['mappings in mappings', Array.from({ length: 200 }, (_, at) => `${' '.repeat(at)}k:`).join('\n'), 'a.yaml:65: nested more than 64 deep'],
  ['lists by dashes', `${'- '.repeat(5_000)}a\n`, 'a.yaml:1: nested more than 64 deep'],
  ['a mapping of many keys', Array.from({ length: 20_000 }, (_, at) => `key${at}: 1`).join('\n'), 'a.yaml:1: this document is larger than 65536 bytes; split it'],
  ['a great many documents', '---\n'.repeat(200_000), 'a.yaml:10001: more than 10000 documents in one file; split it'],
])('%s are refused before anything is made of them, with the place', (_what, text, message) => {
  const begun = performance.now()
  expect(errorsOf(text)).toEqual([message])
  expect(performance.now() - begun).toBeLessThan(5_000) // minutes, or a stack overflow, for what is made of them first
})

test('the largest mapping that is read is checked for repeated keys in a moment', () => {
  const keys = Array.from({ length: 6_000 }, (_, at) => `k${at}: 1`)
  expect(errorsOf([...keys, 'k7: 2'].join('\n'))).toEqual(['a.yaml:6001: Map keys must be unique'])
})

test('aliases that would blow up are not expanded', () => {
  const levels = Array.from({ length: 12 }, (_, level) => `  l${level + 1}: &l${level + 1} [${Array.from({ length: 9 }, () => `*l${level}`).join(',')}]`)
  const before = process.cpuUsage()
  expect(errorsOf(`x:\n  l0: &l0 [a]\n${levels.join('\n')}\n`)).toEqual(['a.yaml:1: uses more than 20 aliases, or one that cannot be resolved; write the values out'])
  expect(process.cpuUsage(before).user).toBeLessThan(1_000_000)
})

test('one error anywhere means no snapshot, and all errors are told', () => {
  const broken = policy('b', 'x: 1\n')
  expect(compileFiles([{ name: 'a.yaml', text: policy('a') }, { name: 'b.yaml', text: broken }, { name: 'c.yaml', text: broken }]).errors).toHaveLength(2)
})

const flat = `name: Deny by day
effect: deny
actions: ['*']
resources: ['cluster:production']
conditions:
  time: 09:00-18:00
  severity:
    gte: low
`

test('a document in the flat shape is a policy like any other, in YAML and in JSON, beside the standard shape', () => {
  const standard = policy('deny-by-day')
  const files = [{ name: 'a.yaml', text: flat }, { name: 'b.yaml', text: `${standard}---\n{"name": "deny by day", "effect": "allow", "actions": ["restart_pod"], "resources": ["*"], "conditions": {"role": "admin"}, "priority": 7}\n` }]
  const { snapshot } = compileFiles(files)
  expect(snapshot?.policies.map(({ document: { id, name, effect, priority } }) => [id, name, effect, priority])).toEqual([
    ['deny-by-day', 'deny-by-day', 'allow', 100], ['deny-by-day-2', 'Deny by day', 'deny', 100], ['deny-by-day-3', 'deny by day', 'allow', 7],
  ])
  expect(compileFiles(files.toReversed()).snapshot?.hash).toBe(snapshot?.hash)
  expect(compileDocuments([{ name: 'Deny by day', effect: 'deny', actions: ['*'], resources: ['*'], conditions: {} }]).snapshot?.size).toBe(1)
})

test('the flat example of docs/policy.md is the policy it says', () => {
  const page = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8')
  const [, text = ''] = /^### The flat shape$[\s\S]*?^```yaml\n([\s\S]*?)^```$/m.exec(page) ?? []
  expect(compileFiles([{ name: 'a.yaml', text }]).snapshot?.policies.map(({ document }) => document)).toMatchObject([{
    id: 'no-restarts-by-day', effect: 'deny', actions: ['pod:restart'], resources: ['k8s:production/**'], priority: 200,
    when: { all: [{ time: { zone: 'Europe/Berlin' } }, { attr: 'context.severity', op: 'lt', value: 'critical' }] },
  }])
})

test.each<[string, string, string]>([
  ['a role there is not', `${flat}  role: sre\n`, 'a.yaml:9: conditions.role: expected one of admin, user, approver, auditor, service, found `sre`'],
  ['a word off the scale, in an operator', flat.replace('gte: low', 'gte: sev1'), 'a.yaml:8: conditions.severity.gte: expected one of info'],
  ['a time zone there is not', flat.replace('09:00-18:00', '{ start: 09:00, end: 18:00, zone: CEST }'), 'a.yaml:6: conditions.time: unknown time zone `CEST`'],
  ['a field of the standard shape', `${flat}owner: platform\n`, 'a.yaml:9: owner: unknown field `owner`'],
  ['a name twice', `${flat}---\n${flat}`, 'a.yaml:10: name: another policy already has the name `Deny by day`'],
])('in a flat document %s is refused with its line', (_name, text, expected) => {
  expect(errorsOf(text)).toEqual([expect.stringContaining(expected)])
})
