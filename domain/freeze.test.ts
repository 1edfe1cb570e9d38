import fc from 'fast-check'
import { keysOf, nextPlaces, placesOf, samePlaces, standing, stateKey, type ClusterFreeze, type FrozenPlaces } from './freeze.ts'

const freeze = (freezeId: string, scope: ClusterFreeze['scope'] = {}, held: string[] = []): ClusterFreeze => ({ freezeId, scope, held })
const none = new Set<string>()

test.each<[string, ClusterFreeze, string[]]>([
  ['everything', freeze('f'), ['freeze.all']],
  ['a namespace', freeze('f', { namespace: 'shop' }), ['freeze.namespace.shop']],
  ['an action', freeze('f', { action: 'restart_pod' }), ['freeze.action.restart_pod']],
  ['an action in a namespace', freeze('f', { namespace: 'shop', action: 'restart_pod' }), ['freeze.namespace.shop.action.restart_pod']],
  ['a policy, by what it let go', freeze('f', { policy: 'night' }, ['r1', 'r2']), ['policy.f', 'held.r1', 'held.r2']],
])('a freeze of %s stands under its keys', (_what, of, keys) => expect(keysOf(of)).toEqual(keys))

test('a proof of a policy asks about each remediation it holds', () => {
  expect(placesOf(freeze('f', { policy: 'night' }, ['r1'])).map(({ remediationId }) => remediationId)).toEqual(['-', 'r1'])
})

test('two freezes of one place stand together, and one leaves alone', () => {
  const both = nextPlaces({}, [freeze('a'), freeze('b')], none).places
  expect(both).toEqual({ [stateKey]: 'v1', 'freeze.all': 'a b' })
  expect(nextPlaces(both, [freeze('b')], new Set(['a'])).places).toEqual({ [stateKey]: 'v1', 'freeze.all': 'b' })
})

test('a freeze that the database has lost stays, and is told of', () => {
  const stood = nextPlaces({}, [freeze('a', { namespace: 'shop' })], none).places
  expect(nextPlaces(stood, [], none)).toEqual({ places: stood, kept: [{ freezeId: 'a', keys: ['freeze.namespace.shop'] }] })
})

test('a lost freeze of a policy becomes one of everything: nobody knows any more what it held', () => {
  const stood = nextPlaces({}, [freeze('a', { policy: 'night' }, ['r1'])], none).places
  const { places, kept } = nextPlaces(stood, [], none)
  expect(kept).toEqual([{ freezeId: 'a', keys: ['freeze.all'] }])
  expect(places).toEqual({ [stateKey]: 'v1', 'freeze.all': 'a' })
})

test('what others keep in the object stays', () => {
  expect(nextPlaces({ maxReplicas: '20', 'freeze.all': 'a' }, [], new Set(['a'])).places).toEqual({ maxReplicas: '20', [stateKey]: 'v1' })
})

const ids = fc.constantFrom('a', 'b', 'c', 'd')
const scopes = fc.record({ namespace: fc.constantFrom('shop', 'bank'), action: fc.constantFrom('restart_pod', 'scale_deployment') }, { requiredKeys: [] })
const freezes = fc.uniqueArray(fc.tuple(ids, scopes).map(([id, scope]) => freeze(id, scope as ClusterFreeze['scope'])), { selector: ({ freezeId }) => freezeId })

test('no silent thaw: whatever the database says next, a freeze leaves the cluster only when it is known to be lifted', () => {
  fc.assert(
    fc.property(freezes, freezes, fc.array(ids), (before, after, lifted: string[]) => {
      const stood = nextPlaces({}, before, none).places
      const { places } = nextPlaces(stood, after, new Set(lifted))
      const left = new Set(standing(places).keys())
      const inForce = new Set(after.map(({ freezeId }) => freezeId))
      for (const { freezeId } of before) expect(left.has(freezeId)).toBe(inForce.has(freezeId) || !lifted.includes(freezeId))
      for (const freezeId of inForce) expect(left.has(freezeId)).toBe(true)
      expect(samePlaces(places, nextPlaces(places, after, new Set(lifted)).places)).toBe(true) // said again it is the same
    }),
    { numRuns: 1_000 },
  )
})

test.each<[FrozenPlaces, FrozenPlaces, boolean]>([
  [{ a: 'x y' }, { a: 'y x' }, true],
  [{ a: 'x' }, { a: 'x', b: '' }, false],
  [{ a: 'x' }, { b: 'x' }, false],
  [{ a: 'x' }, { a: 'y' }, false],
])('%j and %j hold the same: %s', (a, b, same) => expect(samePlaces(a, b)).toBe(same))
