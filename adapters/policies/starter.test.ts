import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCase, type PolicyCase } from '../../domain/policy/cases.ts'
import { coverageOf } from '../../domain/policy/coverage.ts'
import { decide } from '../../domain/policy/decide.ts'
import type { PolicySnapshot } from '../../domain/policy/snapshot.ts'
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

test('in peak hours the deny wins over an allow that matches, and by night that allow is what acts', () => {
  const [peak, night] = [scenario('a'), scenario('b')].map(({ input }) => decide(snapshot, input))
  expect(scenario('b').input).toEqual({ ...scenario('a').input, now: scenario('b').input.now })
  expect([peak!.effect, peak!.overridden.map((ref) => ref.split('@')[0])]).toEqual(['deny', ['production-asks', 'restart-when-grave']])
  expect([night!.effect, night!.determining.map(({ id }) => id)]).toEqual(['allow', ['restart-when-grave']])
})
