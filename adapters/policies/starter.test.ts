import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCase, type PolicyCase } from '../../domain/policy/cases.ts'
import { coverageOf } from '../../domain/policy/coverage.ts'
import { decide } from '../../domain/policy/decide.ts'
import { capByMode } from '../../domain/policy/mode.ts'
import type { PolicySnapshot } from '../../domain/policy/snapshot.ts'
import { severities } from '../../domain/remediation.ts'
import { readCases } from './cases.ts'
import { loadPolicies } from './directory.ts'
import { isTestFile } from './files.ts'

// The starter pack does what its tests say, and its tests leave nothing out.
const directory = join(import.meta.dirname, '../../policies/starter')
const filesOf = (wanted: (name: string) => boolean) =>
  readdirSync(directory).filter((name) => name.endsWith('.yaml') && wanted(name)).map((name) => ({ name, text: readFileSync(join(directory, name), 'utf8') }))

const { cases = [], errors = [] } = readCases(filesOf(isTestFile))
const loaded = await loadPolicies(directory)
const snapshot = loaded.snapshot as PolicySnapshot

test('policies and tests are read without an error, and each policy file has tests beside it', () => {
  expect([...errors, ...(loaded.errors ?? [])]).toEqual([])
  const policyFiles = readdirSync(directory).filter((name) => name.endsWith('.yaml') && !isTestFile(name))
  expect(readdirSync(directory)).toEqual(expect.arrayContaining(policyFiles.map((name) => name.replace('.yaml', '.test.yaml'))))
})

test.each(cases.map((one) => [one.name, one] as const))('%s', (_name, one) => {
  const { failures, message } = runCase(snapshot, one)
  expect({ failures, message }).toEqual({ failures: [], message })
})

test('every policy matched in a test, and every condition gave every answer', () => {
  expect(coverageOf(snapshot, cases.map(({ input }) => input))).toMatchObject({ policies: snapshot.size, neverMatched: [], uncovered: [] })
})

test('every policy has an owner, a message and a comment that says why', () => {
  expect(snapshot.policies.filter(({ document: { owner, message } }) => owner === null || message === null)).toEqual([])
  const uncommented = filesOf((name) => !isTestFile(name)).flatMap(({ text }) => text.split(/^---$/m)).filter((one) => !/^# .+\napiVersion:/m.test(one))
  expect(uncommented).toEqual([])
})

const scenario = (letter: string): PolicyCase => cases.find(({ name }) => name.startsWith(`(${letter})`))!
const idsOf = (refs: readonly string[]) => refs.map((ref) => ref.split('@')[0])

test('(a) deny destructive actions in peak hours though an allow exists', () => {
  const { effect, determining, overridden } = decide(snapshot, scenario('a').input)
  expect([effect, determining.map(({ id }) => id), idsOf(overridden)]).toEqual(['deny', ['peak-hours'], ['production-asks', 'restart-when-grave']])
})

test('(b) at night the same is allowed by itself', () => {
  const { now, ...asked } = scenario('b').input
  expect({ ...asked, now: scenario('a').input.now }).toEqual(scenario('a').input)
  expect(decide(snapshot, { ...asked, now })).toMatchObject({ effect: 'allow', determining: [{ id: 'restart-when-grave' }] })
})

test('(c) a severity gate: only high or critical may act, a missing severity never allows', () => {
  const hours = [0, 12, 18].map((hour) => Date.UTC(2026, 5, 3, hour))
  const yes = ['bea', 'cem'].map((id) => ({ principalId: id, owner: id, roles: ['approver' as const], groups: [], at: 0 }))
  const acted = [undefined, null, 'sev1', ...severities].map((severity) => {
    const inputs = cases.flatMap(({ input }) => hours.flatMap((now) => [[], yes.map((one) => ({ ...one, at: now }))].map((approvals) => ({
      ...input, approvals, now, context: { ...input.context, severity },
    }))))
    return [severity, inputs.filter((input) => capByMode(decide(snapshot, input), 'auto').proceed === 'act').length > 0]
  })
  expect(acted).toEqual([[undefined, false], [null, false], ['sev1', false], ['info', false], ['low', false], ['medium', false], ['high', true], ['critical', true]])
})

test('by itself it scales up only, by half at most, by four at most and to twenty at most', () => {
  const { input } = cases.find(({ name }) => name === '4 to 6 replicas is half as many again')!
  const sizes = Array.from({ length: 24 }, (_, at) => at + 1)
  const acted = sizes.flatMap((desired) => sizes.filter((replicas) => {
    const request = { ...input.request, replicas, deltaReplicas: replicas - desired }
    return capByMode(decide(snapshot, { ...input, target: { desired }, request }), 'auto').proceed === 'act'
  }).map((replicas) => `${desired} to ${replicas}`))
  const wanted = sizes.flatMap((desired) => sizes.filter((replicas) => replicas > desired && replicas <= Math.min(desired * 1.5, desired + 4, 20)).map((replicas) => `${desired} to ${replicas}`))
  expect(acted).toEqual(wanted)
})
