import fc from 'fast-check'
import { playsAll, printedSeed } from '../../tests/helpers/draw.ts'
import { deploymentSample } from '../actions/fixtures/deployment.ts'
import { rollbackDeployment } from '../actions/rollback_deployment.ts'
import type { Plan, ScaleDeploymentPlan } from '../plan.ts'
import type { Principal } from '../remediation.ts'
import { capByFloor, floorTtlMs, type FloorFacts } from './floor.ts'
import type { Approval } from './input.ts'
import { proceeds, type Capped, type Proceed } from './mode.ts'

const seed = printedSeed('floor')

const now = Date.UTC(2026, 5, 3, 12)
const alice: Principal = { id: 'alice', kind: 'person', owner: 'alice', roles: ['admin'] }
const approval = (owner: string, agoMs = 0, over: Partial<Approval> = {}): Approval => ({ principalId: owner, owner, roles: ['approver'], groups: [], at: now - agoMs, ...over })
const scale = (from: number, to: number): Plan => ({ action: 'scale_deployment', target: deploymentSample.target, replicas: { from, to } }) as ScaleDeploymentPlan
const rollback = rollbackDeployment.plan(deploymentSample, {}, null) as Plan
const restart = { action: 'restart_pod', podReady: true } as Plan

const facts = (over: Partial<FloorFacts> = {}): FloorFacts =>
  ({ plan: scale(2, 4), approvals: [], requester: alice, production: false, excepted: [], errorBudgetExhausted: false, now, ...over })
const capped = (proceed: Proceed): Capped => ({ proceed, mode: 'auto', code: 'allowed', message: 'allowed' })
const cap = (over: Partial<FloorFacts>, proceed: Proceed = 'act') => capByFloor(capped(proceed), facts(over))

test.each<[string, Partial<FloorFacts>, RegExp | null]>([
  ['a scale to twice', { plan: scale(2, 4) }, null],
  ['a scale to more than twice', { plan: scale(2, 5) }, /^a scale from 2 to 5, more than twice, needs the approval of 2 people/],
  ['a scale from nothing', { plan: scale(0, 1) }, /from 0 to 1, more than twice/],
  ['a scale to half', { plan: scale(4, 2) }, null],
  ['a scale to less than half', { plan: scale(4, 1) }, /from 4 to 1, less than half/],
  ['a scale to nothing', { plan: scale(1, 0) }, /^a scale to 0 needs/],
  ['a rollback', { plan: rollback }, null],
  ['a rollback in production', { plan: rollback, production: true }, /^a rollback in production \(AEGIS_PRODUCTION_NAMESPACES has `shop`\)/],
  ['a scale in production', { production: true }, null],
  ['an exception', { excepted: [{ id: 'deploy-night' }] }, /^exception `deploy-night`, an override of policy, needs/],
  ['a restart', { plan: restart }, null],
])('%s', (_name, over, message) => {
  const { proceed, code, message: said } = cap(over)
  expect([proceed, code]).toEqual(message ? ['ask', 'floor'] : ['act', 'allowed'])
  if (message) expect(said).toMatch(message)
})

const grave = { plan: scale(2, 0) }
test.each<[string, Approval[], Proceed, number]>([
  ['nobody', [], 'ask', 0],
  ['one', [approval('bob')], 'ask', 1],
  ['two', [approval('bob'), approval('carol')], 'act', 2],
  ['one twice', [approval('bob'), approval('bob', 5, { principalId: 'key:bob' })], 'ask', 1],
  ['the requester among two', [approval('alice'), approval('bob')], 'ask', 1],
  ['one of them too long ago', [approval('bob', floorTtlMs), approval('carol')], 'ask', 1],
  ['one of them just not too long ago', [approval('bob', floorTtlMs - 1), approval('carol')], 'act', 2],
  ['one who may not approve', [approval('bob'), approval('carol', 0, { roles: ['user'] })], 'ask', 1],
  ['one by break-glass', [approval('bob', 0, { breakGlass: true })], 'ask', 1],
  ['the requester by break-glass', [approval('alice', 0, { breakGlass: true })], 'ask', 0],
  ['the requester by break-glass among two', [approval('alice', 0, { breakGlass: true }), approval('bob')], 'ask', 1],
  ['two, one of them by break-glass', [approval('bob', 0, { breakGlass: true }), approval('carol')], 'act', 2],
])('with the approval of %s', (_name, approvals, proceed, given) => {
  expect(cap({ ...grave, approvals })).toMatchObject({ proceed, floor: { needed: 2, given } })
})

test.each<[Plan, Proceed]>([[scale(4, 3), 'deny'], [scale(4, 5), 'act'], [rollback, 'act'], [restart, 'act']])('with its error budget spent, %o: %s', (plan, proceed) => {
  const found = cap({ plan, errorBudgetExhausted: true })
  expect(found.proceed).toBe(proceed)
  if (proceed === 'deny') expect(found).toMatchObject({ code: 'error_budget_exhausted', message: expect.stringContaining('aegis.dev/error-budget') })
})

test('a question of the policy’s own stays one, and both are said', () => {
  expect(cap(grave, 'ask')).toMatchObject({ proceed: 'ask', message: expect.stringMatching(/^allowed; a scale to 0 needs/) })
  expect(cap({ ...grave, approvals: [approval('bob'), approval('carol')] }, 'ask')).toMatchObject({ proceed: 'ask', message: 'allowed' })
})

test('whatever is asked, the floor only ever takes away', () => {
  const plan = fc.oneof(fc.tuple(fc.nat(20), fc.nat(20)).map(([from, to]) => scale(from, to)), fc.constantFrom(rollback, restart))
  const people = fc.array(fc.tuple(fc.constantFrom('alice', 'bob', 'carol', 'dave'), fc.nat(2 * floorTtlMs)).map(([owner, agoMs]) => approval(owner, agoMs)), { maxLength: 4 })
  fc.assert(
    fc.property(plan, people, fc.boolean(), fc.boolean(), fc.constantFrom(...proceeds), (of, approvals, production, errorBudgetExhausted, before) => {
      const { proceed } = cap({ plan: of, approvals, production, errorBudgetExhausted }, before)
      expect(proceeds.indexOf(proceed)).toBeLessThanOrEqual(proceeds.indexOf(before))
    }),
    { numRuns: playsAll ? 20_000 : 1_000, seed },
  )
})
