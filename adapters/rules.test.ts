import { readRules } from './rules.ts'

const text = 'apiVersion: aegis.dev/rules/v1\nversion: 1\nrules:\n  - id: a\n    match: { fault: stuck_pod }\n    action: restart_pod\n    severity: low\n'

test('the hash follows content, not spelling', () => {
  const { hash } = readRules('r.yaml', text)
  expect(readRules('other.yaml', `# a comment\n${text}    dwellSeconds: 0\n`).hash).toBe(hash)
  expect(readRules('r.yaml', text.replace('version: 1', 'version: 2')).hash).not.toBe(hash)
})

test.each([
  ['r.yaml:6: rules[0].action: expected one of', text.replace('restart_pod', 'drain')],
  ['r.yaml:8: Map keys must be unique', `${text}    severity: low\n`],
  ['r.yaml: expected one document, found 0', '# nothing\n'],
])('%s', (expected, broken) => expect(() => readRules('r.yaml', broken)).toThrow(expected))
