import fc from 'fast-check'
import { printedSeed } from '../../tests/helpers/draw.ts'
import { closesCircle, escalationsAhead, mostEscalations, stepsFrom, type EscalationRule } from './escalation.ts'

const seed = printedSeed('escalations')

const minute = 60_000
const rule = (group: string, to: string, minutes: number): EscalationRule => ({ group, to, afterMs: minutes * minute })
const chain = [rule('a', 'b', 5), rule('b', 'c', 10), rule('c', 'd', 20), rule('d', 'e', 1)]

test('the waits of a chain add up, and it is followed for three steps', () => {
  expect(stepsFrom('a', chain)).toEqual([{ to: 'b', afterMs: 5 * minute }, { to: 'c', afterMs: 15 * minute }, { to: 'd', afterMs: 35 * minute }])
  expect(stepsFrom('d', chain)).toEqual([{ to: 'e', afterMs: minute }])
  expect(stepsFrom('e', chain)).toEqual([])
})

test.each<[string, EscalationRule, EscalationRule[], boolean]>([
  ['to itself', rule('a', 'a', 1), [], true],
  ['there and back', rule('a', 'b', 1), [rule('b', 'a', 1)], true],
  ['round four corners', rule('a', 'b', 1), [rule('b', 'c', 1), rule('c', 'd', 1), rule('d', 'a', 1)], true],
  ['into a circle of others', rule('a', 'b', 1), [rule('b', 'c', 1), rule('c', 'b', 1)], true],
  ['a chain', rule('a', 'b', 1), [rule('b', 'c', 1)], false],
  ['beside others', rule('a', 'b', 1), [rule('c', 'a', 1)], false],
])('a rule %s closes a circle or not', (_name, one, others, circle) => expect(closesCircle(one, others)).toBe(circle))

test('what is ahead counts from the first question, leaves out what was done, and comes in order', () => {
  expect(escalationsAhead(['a'], chain, 6 * minute, [])).toEqual([{ group: 'a', to: 'b', inMs: 0 }, { group: 'a', to: 'c', inMs: 9 * minute }, { group: 'a', to: 'd', inMs: 29 * minute }])
  expect(escalationsAhead(['a', 'd'], chain, 6 * minute, [{ group: 'a', to: 'b' }]).map(({ group, to }) => group + to)).toEqual(['de', 'ac', 'ad'])
  expect(escalationsAhead(['none'], chain, 0, [])).toEqual([])
})

const word = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')
const anyRules = fc.uniqueArray(fc.record({ group: word, to: word, afterMs: fc.integer({ min: minute, max: 1_440 * minute }) }), { selector: ({ group }) => group, maxLength: 6 })

test('whatever the rules, circles too: at most three steps, each later than the one before, none back to the group, none twice', () => {
  fc.assert(fc.property(word, anyRules, (group, rules) => {
    const steps = stepsFrom(group, rules)
    expect(steps.length).toBeLessThanOrEqual(3)
    expect(new Set([group, ...steps.map(({ to }) => to)]).size).toBe(steps.length + 1)
    steps.reduce((before, { afterMs }) => {
      expect(afterMs).toBeGreaterThanOrEqual(before + minute)
      return afterMs
    }, 0)
  }), { seed, numRuns: 1_000 })
})

test('however many groups are missing, a wait has nine escalations at most, those that were done among them', () => {
  fc.assert(fc.property(fc.uniqueArray(word), anyRules, fc.nat(2_000 * minute), fc.nat(12), (missing, rules, waitedMs, done) => {
    const before = Array.from({ length: done }, (_, at) => ({ group: `g${at}`, to: 'x' }))
    const ahead = escalationsAhead(missing, rules, waitedMs, before)
    expect(ahead.length).toBeLessThanOrEqual(Math.max(0, mostEscalations - done))
    expect(ahead.map(({ inMs }) => inMs)).toEqual(ahead.map(({ inMs }) => inMs).toSorted((a, b) => a - b))
  }), { seed, numRuns: 1_000 })
})
