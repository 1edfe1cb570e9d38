import fc from 'fast-check'
import { printedSeed } from '../../tests/helpers/draw.ts'
import { globally } from '../identity.ts'
import type { Principal } from '../remediation.ts'
import type { EscalationRule } from './escalation.ts'
import { standInsOf, type Delegator, type StandInFacts } from './stand-in.ts'

const seed = printedSeed('stand-ins')

const shop = { cluster: 'main', namespace: 'shop' }
const minute = 60_000
const person = (owner: string, groups: string[] = [], over: Partial<Principal> = {}): Principal => ({ id: `user:${owner}`, kind: 'person', owner, roles: ['approver'], groups, ...over })
const delegator = (owner: string, groups: string[], over: Partial<Delegator> = {}): Delegator => ({ owner, state: 'active', groups, bindings: globally(['approver']), ...over })
const rule = (group: string, to: string, minutes: number): EscalationRule => ({ group, to, afterMs: minutes * minute })
const ask = (giver: Principal, facts: Partial<StandInFacts>, requester = 'ann') =>
  standInsOf(giver, { owner: requester }, shop, { delegators: [], rules: [], waitedMs: 0, wanted: [], ...facts })

const dba = { group: 'dba', because: 'delegation', from: 'dora' }

test.each<[string, Principal, Delegator[], object[]]>([
  ['a delegate, for each group of the delegator', person('bob'), [delegator('dora', ['dba', 'sre'])], [dba, { ...dba, group: 'sre' }]],
  ['groups of one’s own are no voice of another', person('bob', ['dba']), [delegator('dora', ['dba'])], []],
  ['two delegators of one group, once', person('bob'), [delegator('dora', ['dba']), delegator('dan', ['dba'])], [dba]],
  ['a delegator whose account is disabled', person('bob'), [delegator('dora', ['dba'], { state: 'disabled' })], []],
  ['a delegator who asked for it themself', person('bob'), [delegator('ann', ['dba'])], []],
  ['a delegator who is the delegate', person('bob'), [delegator('bob', ['dba'])], []],
  ['in another spelling', person('Bob'), [delegator('bob', ['dba'])], []],
  ['a delegator who may not approve', person('bob'), [delegator('dora', ['dba'], { bindings: globally(['user']) })], []],
  ['a delegator who may approve elsewhere', person('bob'), [delegator('dora', ['dba'], { bindings: [{ role: 'approver', cluster: 'main', namespace: 'bank' }] })], []],
  ['a delegator who may approve here', person('bob'), [delegator('dora', ['dba'], { bindings: [{ role: 'admin', cluster: 'main', namespace: 'shop' }] })], [dba]],
  ['a key of the delegate', person('bob', [], { kind: 'key' }), [delegator('dora', ['dba'])], []],
])('%s', (_name, giver, delegators, expected) => expect(ask(giver, { delegators })).toEqual(expected))

test('a requester in another spelling is the requester', () => {
  expect(ask(person('bob'), { delegators: [delegator('ann', ['dba'])] }, 'Ann')).toEqual([])
})

describe('a group whose voice has come to another', () => {
  const rules = [rule('dba', 'sre', 5), rule('sre', 'leads', 10)]
  const voice = (group: string, from: string) => ({ group, because: 'escalation', from })
  test.each<[string, string[], number, object[]]>([
    ['before its time', ['sre'], 5 * minute - 1, []],
    ['from its time on', ['sre'], 5 * minute, [voice('dba', 'sre')]],
    ['a step further, for both', ['leads'], 15 * minute, [voice('dba', 'leads'), voice('sre', 'leads')]],
    ['a step further, for the nearer one', ['leads'], 10 * minute, [voice('sre', 'leads')]],
    ['by somebody of no such group', ['other'], 60 * minute, []],
  ])('%s', (_name, groups, waitedMs, expected) => expect(ask(person('bob', groups), { rules, waitedMs })).toEqual(expected))

  test('a delegate of one of them does not speak for it: what is handed over are groups of one’s own', () => {
    expect(ask(person('bob'), { rules, waitedMs: 60 * minute, delegators: [delegator('dora', ['sre'])] })).toEqual([{ group: 'sre', because: 'delegation', from: 'dora' }])
  })
})

test('of more than fifty those that are asked for are kept', () => {
  const groups = Array.from({ length: 80 }, (_, at) => `g${at}`)
  const found = ask(person('bob'), { delegators: [delegator('dora', groups)], wanted: ['g79'] })
  expect([found.length, found[0]?.group]).toEqual([50, 'g79'])
})

test('whoever is asked: only persons, never a group of their own, each group once, and nothing of the requester, the giver or who may not', () => {
  const word = fc.constantFrom<string>('a', 'b', 'c', 'd')
  const name = fc.constantFrom('ann', 'bob', 'cat', 'dan')
  const anyGroups = fc.uniqueArray(word)
  const delegators = fc.array(fc.record({ owner: name, state: fc.constantFrom('active' as const, 'disabled' as const), groups: anyGroups, bindings: fc.constantFrom(globally(['approver']), globally(['user']), []) }), { maxLength: 4 })
  const rules = fc.uniqueArray(fc.record({ group: word, to: word, afterMs: fc.constantFrom(minute, 5 * minute) }), { selector: ({ group }) => group })
  const giver = fc.record({ owner: name, groups: anyGroups, kind: fc.constantFrom('person' as const, 'key' as const, 'service' as const) })
  fc.assert(fc.property(giver, name, delegators, rules, fc.nat(20 * minute), ({ owner, groups, kind }, requester, lenders, ladder, waitedMs) => {
    const found = ask(person(owner, groups, { kind }), { delegators: lenders, rules: ladder, waitedMs }, requester)
    if (kind !== 'person') return expect(found).toEqual([])
    expect(found.filter(({ group }) => groups.includes(group))).toEqual([])
    expect(new Set(found.map(({ group }) => group)).size).toBe(found.length)
    for (const { because, from, group } of found) {
      if (because === 'escalation') expect(groups).toContain(from)
      else expect(lenders.some((one) => one.owner === from && one.state === 'active' && one.bindings.some(({ role }) => role === 'approver') && one.groups.includes(group) && from !== requester && from !== owner)).toBe(true)
    }
  }), { seed, numRuns: 1_000 })
})
