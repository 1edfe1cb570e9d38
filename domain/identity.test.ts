import fc from 'fast-check'
import { areasWith, bindingText, covers, principalAt, readBinding, type Area } from './identity.ts'
import { roles, type Binding, type Principal, type Role } from './remediation.ts'

const isRole = (word: string): word is Role => (roles as readonly string[]).includes(word)
const name = fc.constantFrom('main', 'edge', 'shop')
const area: fc.Arbitrary<Area> = fc.record({ cluster: fc.option(name), namespace: fc.option(name) })
const place = fc.record({ cluster: name, namespace: name })
const binding: fc.Arbitrary<Binding> = fc.record({ role: fc.constantFrom(...roles), cluster: fc.option(name), namespace: fc.option(name) })
const ann = (bindings: Binding[]): Principal => ({ id: 'user:1', kind: 'person', owner: 'ann', roles: [], bindings })

test.each<[string, Area, Area, boolean]>([
  ['everywhere covers a place', { cluster: null, namespace: null }, { cluster: 'main', namespace: 'shop' }, true],
  ['a place covers itself', { cluster: 'main', namespace: 'shop' }, { cluster: 'main', namespace: 'shop' }, true],
  ['a place does not cover the namespace beside it', { cluster: 'main', namespace: 'shop' }, { cluster: 'main', namespace: 'bank' }, false],
  ['a place does not cover its namesake elsewhere', { cluster: 'main', namespace: 'shop' }, { cluster: 'edge', namespace: 'shop' }, false],
  ['a place does not cover its cluster', { cluster: 'main', namespace: 'shop' }, { cluster: 'main', namespace: null }, false],
  ['a cluster covers its namespaces', { cluster: 'main', namespace: null }, { cluster: 'main', namespace: 'shop' }, true],
  ['a cluster does not cover everything', { cluster: 'main', namespace: null }, { cluster: null, namespace: null }, false],
])('%s', (_name, held, asked, covered) => expect(covers(held, asked)).toBe(covered))

test('whoever may act in an area may act in each place of it', () => {
  fc.assert(fc.property(area, area, place, (held, asked, inside) => !covers(held, asked) || !covers(asked, inside) || covers(held, inside)))
})

test('in a place stand the roles that hold there, and no others', () => {
  fc.assert(fc.property(fc.array(binding, { maxLength: 6 }), place, (bindings, there) => {
    const { roles: standing } = principalAt(ann(bindings), there)
    for (const role of roles) expect(standing.includes(role)).toBe(bindings.some((held) => held.role === role && covers(held, there)))
  }))
})

test('a row of before, without bindings, holds everywhere', () => {
  const old: Principal = { id: 'alice', kind: 'person', owner: 'alice', roles: ['approver'] }
  expect(principalAt(old, { cluster: 'main', namespace: 'shop' }).roles).toEqual(['approver'])
  expect(areasWith(old, (role) => role === 'approver')).toBeNull()
  expect(areasWith(old, (role) => role === 'admin')).toEqual([])
})

test('no bindings at all are no rights at all', () => {
  expect(principalAt({ ...ann([]), roles: ['admin'] }, { cluster: 'main', namespace: 'shop' }).roles).toEqual([])
})

test('a binding is read as it is written', () => {
  fc.assert(fc.property(binding, (given) => expect(readBinding(bindingText(given), isRole)).toEqual(given)))
})

test.each(['root', 'admin@', 'admin@main/', 'admin@main/shop/x', 'admin@*main', 'admin@Main', ''])('`%s` is no binding', (text) => {
  expect(readBinding(text, isRole)).toBeUndefined()
})
