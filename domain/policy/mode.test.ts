import fc from 'fast-check'
import { playsAll, printedSeed } from '../../tests/helpers/draw.ts'
import type { Rung } from '../autonomy/rung.ts'
import { standingOf } from '../autonomy/standing.ts'
import { modes, strictestMode, type Mode } from '../remediation.ts'
import type { Decision } from './decision.ts'
import { capByMode, proceeds, rungsOf } from './mode.ts'

const seed = printedSeed('modes')

const decision = (over: Partial<Decision> = {}): Decision =>
  ({ effect: 'allow', code: 'allowed', message: 'allowed by policy `scale`', mode: 'auto', binding: [{ id: 'scale', mode: 'auto' }], breaches: [], approvals: { met: false }, ...over }) as Decision

const rung = (mode: Mode, over: Partial<Rung> = {}): Rung => ({
  policy: 'scale', cluster: 'main', namespace: 'shop', mode, kind: 'demoted', reason: 'remediation `r1` ended undone', remediationId: 'r1', by: 'aegis', at: '2026-06-03T12:00:00.000Z', ...over,
})

test.each<[Mode, string, string, string]>([
  ['auto', 'act', 'allowed', 'allowed by policy `scale`'],
  ['approve', 'ask', 'mode_approve', 'the mode is `approve`: a person is asked first, because policy `scale` was demoted to `approve` in main/shop after remediation `r1` ended undone'],
  ['suggest', 'suggest', 'mode_suggest', 'the mode is `suggest`: nothing is changed, so do it by hand or raise the mode, because policy `scale` was demoted to `suggest` in main/shop after remediation `r1` ended undone'],
  ['observe', 'observe', 'mode_observe', 'the mode is `observe`: nothing is changed, because policy `scale` was demoted to `observe` in main/shop after remediation `r1` ended undone'],
])('a rung at `%s` lets a policy %s, and is named where it caps', (mode, proceed, code, message) => {
  expect(capByMode(decision(), 'auto', [rung(mode)])).toEqual({ proceed, mode, code, message })
})

test('a person’s step is told with their words', () => {
  const moved = rung('approve', { remediationId: null, by: 'ann', reason: 'a sale is on' })
  expect(capByMode(decision(), 'auto', [moved]).message).toMatch(/because policy `scale` was demoted to `approve` in main\/shop by ann: a sale is on$/)
})

test('rungs of policies that do not permit this cap nothing', () => {
  expect(capByMode(decision(), 'auto', [rung('observe', { policy: 'other' })])).toMatchObject({ proceed: 'act', mode: 'auto' })
})

test('what caps as far without the ladder is not blamed on it', () => {
  expect(capByMode(decision(), 'suggest', [rung('approve')]).message).toBe('the mode is `suggest`: nothing is changed, so do it by hand or raise the mode')
  expect(capByMode(decision(), 'approve', [rung('approve')]).message).toBe('the mode is `approve`: a person is asked first')
})

test('with the approvals it asks for, a demoted policy acts', () => {
  expect(capByMode(decision({ approvals: { met: true } as Decision['approvals'] }), 'auto', [rung('approve')])).toMatchObject({ proceed: 'act' })
})

test('however many policies are held, the message stays one sentence', () => {
  const ids = Array.from({ length: 40 }, (_, index) => `p${index}`)
  const { message } = capByMode(decision({ binding: ids.map((id) => ({ id, mode: 'auto' as const })) }), 'auto', ids.map((policy) => rung('suggest', { policy })))
  expect(message).toMatch(/`p2` was demoted [^;]*; and 37 more$/)
})

test('a rung only ever takes away, and where a policy stood is what it adds up to', () => {
  const mode = fc.constantFrom(...modes)
  const policies = fc.constantFrom('scale', 'restart', 'other')
  const rungs = fc.array(fc.tuple(policies, mode)).map((pairs) => [...new Map(pairs)].map(([policy, at]) => rung(at, { policy })))
  const binding = fc.uniqueArray(fc.record({ id: fc.constantFrom('scale', 'restart'), mode }), { selector: ({ id }) => id, minLength: 1 })
  const effect = fc.constantFrom<Decision['effect']>('allow', 'require_approval', 'deny')
  fc.assert(fc.property(binding, effect, mode, rungs, (bound, of, given, standing) => {
    const one = decision({ effect: of, binding: bound, mode: strictestMode(...bound.map((each) => each.mode)) })
    const [without, capped] = [capByMode(one, given), capByMode(one, given, standing)]
    expect(proceeds.indexOf(capped.proceed)).toBeLessThanOrEqual(proceeds.indexOf(without.proceed))
    expect(capByMode(one, given, rungsOf(one, standing))).toEqual(capped)
    expect(strictestMode(...standingOf(bound, given, standing).map((each) => each.mode))).toBe(capped.mode)
  }), { numRuns: playsAll ? 20_000 : 1_000, seed })
})
