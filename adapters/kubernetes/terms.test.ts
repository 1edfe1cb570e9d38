import type { V1Deployment } from '@kubernetes/client-node'
import { selects } from './budgets.ts'
import { selectorText } from './health.ts'
import { isIgnored } from './owners.ts'
import { maxUnavailableOf, podsIn, termsOf } from './terms.ts'

const deployment = (replicas: number, strategy?: object): V1Deployment => ({ spec: { replicas, strategy } }) as V1Deployment
const rolling = (maxUnavailable: number | string, maxSurge: number | string) => ({ type: 'RollingUpdate', rollingUpdate: { maxUnavailable, maxSurge } })

test.each<[string, V1Deployment, number]>([
  ['a quarter by default, rounded down', deployment(10), 2],
  ['none of three by default', deployment(3), 0],
  ['a number', deployment(10, rolling(3, 1)), 3],
  ['no more than there are', deployment(2, rolling(5, 1)), 2],
  ['one where neither way is open', deployment(10, rolling('0%', 0)), 1],
  ['all with Recreate', deployment(4, { type: 'Recreate' }), 4],
  ['all where it cannot be read', deployment(4, rolling('some', 1)), 4],
])('a rollout may take down %s', (_name, given, pods) => expect(maxUnavailableOf(given)).toBe(pods))

test('shares of pods round up unless told otherwise', () => {
  expect([podsIn('50%', 3), podsIn('50%', 3, Math.floor), podsIn(2, 3), podsIn('x', 3)]).toEqual([2, 1, 2, Number.NaN])
})

test.each<[string, Record<string, string>[], object]>([
  ['nothing', [], { errorBudgetExhausted: false, minAvailable: null }],
  ['a spent error budget, on an owner', [{}, { 'aegis.dev/error-budget': 'exhausted' }], { errorBudgetExhausted: true }],
  ['any other word', [{ 'aegis.dev/error-budget': 'ok' }], { errorBudgetExhausted: false }],
  ['the highest floor', [{ 'aegis.dev/min-available': '2' }, { 'aegis.dev/min-available': '3' }], { minAvailable: 3 }],
  ['a floor that cannot be read, which nothing may go below', [{ 'aegis.dev/min-available': 'many' }], { minAvailable: Number.MAX_SAFE_INTEGER }],
])('annotated with %s', (_name, annotated, found) => expect(termsOf(annotated.map((annotations) => ({ annotations })), null)).toMatchObject(found))

test('a selector that asks for nothing finds nothing', () => {
  expect([selectorText(undefined), selectorText({}), selectorText({ matchLabels: {} })]).toEqual(Array.from({ length: 3 }, () => 'aegis.dev/none,!aegis.dev/none'))
})

test('a disruption budget that selects everything selects everything, as the API has it', () => {
  expect(selects({}, { app: 'web' })).toBe(true)
  expect(selects({ matchLabels: { app: 'web' } }, { app: 'web' })).toBe(true)
  expect(selects({ matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['a'] }] }, { app: 'web' })).toBe(false)
  expect(selects({ matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] }, { app: 'web' })).toBe(true)
})

test('hands off is said by an annotation or by a label', () => {
  const mark = { 'aegis.dev/ignore': 'true' }
  expect([isIgnored({ annotations: mark }), isIgnored({ labels: mark }), isIgnored({ labels: { 'aegis.dev/ignore': 'false' } }), isIgnored({})]).toEqual([true, true, false, false])
})
