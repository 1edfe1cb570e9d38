import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { compiling, reading } from '../../adapters/policies/means.ts'
import { playsAll } from '../../tests/helpers/draw.ts'
import { decide } from './decide.ts'
import type { Decision } from './decision.ts'
import type { PolicyDocument } from './document.ts'
import { exceptionApiVersion, isMisplaced, type ExceptionDocument } from './exception.ts'
import type { PolicyInput } from './input.ts'
import { proceedUnder } from './mode.ts'
import { parseException } from './parse-exception.ts'
import { simulation } from './simulate.ts'
import { compileSnapshot } from './snapshot.ts'
import { anyLeaf, extra, input, newYear, dayMs, policies, read, tree } from './testing/arbitraries.ts'

/** `npm run test:long` looks twenty times as far. */
const check = <T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>) => fc.assert(property, { numRuns: playsAll ? 20_000 : 1_000 })

const from = new Date(newYear).toISOString()
const exception = (changes: object = {}): ExceptionDocument => {
  const value = {
    apiVersion: exceptionApiVersion, id: 'x', policy: 'extra', actions: ['*'], resources: ['**'], notBefore: from,
    expiresAt: new Date(newYear + 30 * dayMs).toISOString(), reason: 'r', author: 'ann', approvedBy: 'bob', ...changes,
  }
  const { exception: read, problems } = parseException(value, reading)
  if (!read) throw new Error(JSON.stringify(problems))
  return read
}
const decided = (documents: PolicyDocument[], request: PolicyInput, exceptions: ExceptionDocument[] = []): Decision => decide(compileSnapshot(documents, { ...compiling, exceptions }), request)
const answer = ({ effect, code, determining, obligations, mode }: Decision) => ({ effect, code, ids: determining.map(({ id }) => id), obligations, mode })
const inTime = input.map((request) => ({ ...request, now: newYear + (request.now % (29 * dayMs)) }))
const guard = fc.constantFrom('deny' as const, 'require_approval' as const).chain(extra)

test('an exception for everything is as if the policy were not there, and without it nothing changes', () => {
  check(fc.property(policies, guard, inTime, (documents, one, request) => {
    expect(answer(decided([...documents, one], request, [exception()]))).toEqual(answer(decided(documents, request)))
    expect(answer(decided([...documents, one], request, [exception({ policy: 'nobody' })]))).toEqual(answer(decided([...documents, one], request)))
  }))
})

test('an exception is one more `unless` of its policy', () => {
  check(fc.property(policies, guard, inTime, tree(anyLeaf), (documents, one, request, when) => {
    const excepted = exception({ when })
    const unless = { any: [one.unless, excepted.when] }
    expect(answer(decided([...documents, one], request, [excepted]))).toEqual(answer(decided([...documents, { ...one, unless }], request)))
  }))
})

test('outside its time, its actions and its resources it changes nothing', () => {
  check(fc.property(policies, guard, input, (documents, one, request) => {
    const before = answer(decided([...documents, one], request))
    for (const changes of [{ actions: ['node:drain'] }, { resources: ['k8s:elsewhere/**'] }]) expect(answer(decided([...documents, one], request, [exception(changes)]))).toEqual(before)
    const over = { ...request, now: newYear + 30 * dayMs + (request.now % dayMs) }
    expect(answer(decided([...documents, one], over, [exception()]))).toEqual(answer(decided([...documents, one], over)))
  }))
})

test('a simulation sees what an exception opens, though no policy changed', () => {
  check(fc.property(policies, guard, inTime, (documents, one, request) => {
    const [before, after] = [compileSnapshot([...documents, one], compiling), compileSnapshot([...documents, one], { ...compiling, exceptions: [exception()] })]
    const run = simulation(before, after)
    run.add({ decisionId: 'd', remediationId: 'r', input: request })
    const [was, is] = [before, after].map((snapshot) => proceedUnder(decide(snapshot, request), 'auto'))
    expect(run.report().transitions).toHaveLength(was === is ? 0 : 1)
  }))
})

describe('an answer that an exception opens, or will', () => {
  const scope = { apiVersion: 'aegis.dev/policy/v1', actions: ['*'], resources: ['**'] }
  const documents = [read({ ...scope, effect: 'allow' }, 'all'), read({ ...scope, effect: 'deny' }, 'extra')]
  const request = { ...fc.sample(input, 1)[0]!, type: 'self_healing' as const, now: newYear + 10 * dayMs }
  const until = (changes: object) => decided(documents, request, [exception(changes)]).validUntil
  const at = (hours: number) => newYear + 10 * dayMs + hours * 3_600_000
  const text = (hours: number) => new Date(at(hours)).toISOString()

  test.each<[string, object, number]>([
    ['until the exception ends', { expiresAt: text(5) }, at(5)],
    ['until the exception begins', { notBefore: text(3) }, at(3)],
    ['until a window of the exception turns', { when: { time: { zone: 'UTC', windows: [{ from: '00:00', to: '02:00' }] } } }, at(2)],
  ])('holds %s', (_until, changes, expected) => expect(until(changes)).toBe(expected))

  test('is one of another snapshot', () => {
    const hashOf = (exceptions: ExceptionDocument[]) => compileSnapshot(documents, { ...compiling, exceptions }).hash
    expect(new Set([hashOf([]), hashOf([exception()]), hashOf([exception({ reason: 'another' })]), hashOf([exception(), exception({ id: 'y' })])]).size).toBe(4)
  })
})

test('an exception from an allow, or from no policy, is misplaced', () => {
  const documents = (['allow', 'deny', 'require_approval'] as const).map((effect) => read({ apiVersion: 'aegis.dev/policy/v1', effect, actions: ['*'], resources: ['**'] }, effect.replace('_', '-')))
  expect(['allow', 'nobody', 'deny', 'require-approval'].map((policy) => isMisplaced(exception({ policy }), documents))).toEqual([true, true, false, false])
})

test.each([
  ['one person for both', { approvedBy: 'ann' }, 'approvedBy'],
  ['one person for both, spelt in two ways', { approvedBy: ' Ann ' }, 'approvedBy'],
  ['more than thirty days', { expiresAt: new Date(newYear + 30 * dayMs + 1000).toISOString() }, 'expiresAt'],
  ['an end before the beginning', { expiresAt: from }, 'expiresAt'],
  ['a misspelt field', { resource: ['**'] }, 'resource'],
  ['no reason', { reason: '' }, 'reason'],
])('%s is refused', (_what, changes, place) => {
  const { problems } = parseException({ ...exception(), ...changes }, reading)
  expect(problems?.map(({ path }) => path.join('.'))).toEqual([place])
})
