import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { wallClock, zoneExists } from '../../adapters/policies/zones.ts'
import { playsAll, printedSeed } from '../../tests/helpers/draw.ts'
import { pathText } from './check.ts'
import { decide } from './decide.ts'
import type { PolicyDocument } from './document.ts'
import { distinctIds, importFlat, isFlat } from './flat.ts'
import { compileSnapshot } from './snapshot.ts'
import { flatPolicy, flatRequest, inputOf, plainReading } from './testing/flat.ts'

const seed = printedSeed('flat shape')

const least = { name: 'Restart by night', effect: 'allow', actions: ['restart_pod'], resources: ['*'], conditions: {} }
const read = (value: unknown) => importFlat(value, { zoneExists })
const complaints = (change: object) => read({ ...least, ...change }).problems?.map(({ path, message }) => `${pathText(path)}: ${message}`)
const whenOf = (conditions: object, change: object = {}) => read({ ...least, ...change, conditions }).policy?.when
const imported = (values: readonly unknown[]): PolicyDocument[] =>
  distinctIds(values.map((value) => {
    const { policy, problems } = read(value)
    if (!policy) throw new Error(JSON.stringify(problems))
    return { policy, flat: true }
  }))
const compile = (documents: readonly PolicyDocument[]) => compileSnapshot(documents, { sha256: (text) => createHash('sha256').update(text).digest('hex'), wallClock })

test('a document without a version but with conditions is flat, and no other', () => {
  expect([least, { conditions: null }, { apiVersion: 'x', conditions: {} }, { name: 'x' }, [], null].map(isFlat)).toEqual([true, true, false, false, false, false])
})

test('name, effect and priority are kept, the id is made of the name, and aliases are spelled out', () => {
  expect(read({ ...least, name: ' Peak: deny *everything*! ', effect: 'deny', priority: 7, actions: ['*'], resources: ['cluster:production', 'cluster:prod-*', 'pod:api-pod', 'pod:api-*', 'deployment:web', '/api/v1/users/456', '*'] }).policy).toMatchObject({
    id: 'peak-deny-everything', name: ' Peak: deny *everything*! ', effect: 'deny', priority: 7, actions: ['*:*'],
    resources: ['k8s:production/**', 'k8s:prod-*/**', 'k8s:*/*/pod/api-pod', 'k8s:*/*/pod/api-*', 'k8s:*/*/deployment/web', 'api:/api/v1/users/456', '**'], when: { all: [] }, unless: { any: [] },
  })
  expect(read(least).policy?.priority).toBe(100)
})

const window = (given: object) => ({ all: [{ time: { zone: 'UTC', windows: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], ...given }] } }] })
const leaf = (attr: string, op: string, value?: unknown) => ({ all: [value === undefined ? { attr, op } : { attr, op, value }] })

test.each<[string, object, unknown]>([
  ['a role', { role: 'admin' }, leaf('principal.roles', 'containsAny', ['admin'])],
  ['roles', { roles: ['admin', 'approver'] }, leaf('principal.roles', 'containsAny', ['admin', 'approver'])],
  ['a time as text', { time: '9:00-18:00' }, window({ from: '09:00', to: '18:00' })],
  ['a time past midnight', { time: { start: '22:00', end: '06:00' } }, window({ from: '22:00', to: '06:00' })],
  ['a time with days and zone', { time: { from: '09:00', to: '24:00', days: ['Monday', 'fri'], timezone: 'Europe/Berlin' } }, { all: [{ time: { zone: 'Europe/Berlin', windows: [{ days: ['mon', 'fri'], from: '09:00', to: '24:00' }] } }] }],
  ['a severity', { severity: 'high' }, leaf('context.severity', 'eq', 'high')],
  ['one of several', { severity: ['high', 'critical'] }, leaf('context.severity', 'in', ['high', 'critical'])],
  ['operators', { severity: { gte: 'low', lt: 'critical' } }, { all: [{ attr: 'context.severity', op: 'gte', value: 'low' }, { attr: 'context.severity', op: 'lt', value: 'critical' }] }],
  ['that something is not there', { ticket: { exists: false } }, leaf('context.ticket', 'absent')],
  ['a block of metadata', { metadata: { team: 'shop', tries: { lte: 3 } } }, { all: [{ attr: 'context.team', op: 'eq', value: 'shop' }, { attr: 'context.tries', op: 'lte', value: 3 }] }],
  ['a fact by its whole name', { 'request.replicas': { lte: 6 } }, leaf('request.replicas', 'lte', 6)],
  ['the type of a request', { type: 'api_access' }, leaf('type', 'eq', 'api_access')],
  ['a key that is no word', { 'example.com/team': 'shop' }, leaf('context["example.com/team"]', 'eq', 'shop')],
])('%s keeps its meaning', (_what, conditions, expected) => expect(whenOf(conditions)).toEqual(expected))

const turn = (op: string) => ({ attr: 'request.deltaReplicas', op, value: 0 })
test.each<[string[], unknown]>([
  [['scale_up'], { all: [turn('gt')] }],
  [['scale_down'], { all: [turn('lt')] }],
  [['scale_up', 'scale_down'], { all: [turn('ne')] }],
  [['scale_up', 'restart_pod'], { all: [{ any: [{ attr: 'action', op: 'ne', value: 'deployment:scale' }, turn('gt')] }] }],
  [['scale_up', 'deployment:*'], { all: [] }],
])('the direction of %j is kept', (actions, expected) => expect(whenOf({}, { actions })).toEqual(expected))

test.each<[string, object, string]>([
  ['an effect the shape has not', { effect: 'require_approval' }, 'effect: expected one of allow, deny, found `require_approval`'],
  ['a field of the other shape', { unless: {} }, 'unless: unknown field `unless`; known here: name, effect, actions, resources, conditions, priority'],
  ['no name', { name: undefined }, 'name: expected text, found nothing'],
  ['a name no id can be made of', { name: '夜' }, 'name: `夜` holds no letter a-z'],
  ['an action that is none', { actions: ['restart'] }, 'actions[0]: `restart` is no action'],
  ['a resource that is none', { resources: ['*', 'node:n1'] }, 'resources[1]: `node:n1` is no resource; write `k8s:'],
  ['a star in a bare path', { resources: ['/api/v1/*'] }, 'resources[0]: `/api/v1/*` may mean one segment or all below; write `api:/api/v1/*` for one'],
  ['conditions left empty', { conditions: null }, 'conditions: expected a mapping, found nothing'],
  ['a priority left empty', { priority: null }, 'priority: expected a whole number'],
  ['a role that is none', { conditions: { roles: ['admin', 'sre'] } }, 'conditions.roles: expected one of admin, user, approver, auditor, service, found `sre`'],
  ['no role', { conditions: { roles: [] } }, 'conditions.roles: must name at least one'],
  ['a time that is none', { conditions: { time: 'office hours' } }, 'conditions.time: `office hours` is no time such as `09:00-18:00`'],
  ['an hour that is none', { conditions: { time: '09:00-25:00' } }, 'conditions.time: `25:00` is no time of day'],
  ['half a time', { conditions: { time: { start: '09:00' } } }, 'conditions.time: needs `end` as text such as `09:00`, found nothing'],
  ['a start given twice', { conditions: { time: { start: '09:00', from: '10:00', end: '18:00' } } }, 'conditions.time.from: says the same as `start`; keep one of them'],
  ['a time of no length', { conditions: { time: '09:00-9:00' } }, 'conditions.time: ends when it starts'],
  ['a day that is none', { conditions: { time: { start: '09:00', end: '18:00', days: ['weekdays'] } } }, 'conditions.time.days: expected one of mon'],
  ['no day', { conditions: { time: { start: '09:00', end: '18:00', days: [] } } }, 'conditions.time: must name at least one'],
  ['a zone that is none', { conditions: { time: { start: '09:00', end: '18:00', zone: 'CEST' } } }, 'conditions.time: unknown time zone `CEST`'],
  ['a zone left empty', { conditions: { time: { start: '09:00', end: '18:00', zone: null } } }, 'conditions.time: expected text, found nothing'],
  ['a word off the scale', { conditions: { severity: 'sev1' } }, 'conditions.severity: expected one of info, low, medium, high, critical'],
  ['one word of a list off the scale', { conditions: { severity: ['high', 'urgent'] } }, 'conditions.severity[1]: expected one of info'],
  ['an operator there is not', { conditions: { tries: { atMost: 3 } } }, 'conditions.tries.atMost: expected one of eq, ne'],
  ['no operator', { conditions: { tries: {} } }, 'conditions.tries: is empty'],
  ['a fact left empty', { conditions: { team: null } }, 'conditions.team: expected text, a number, true or false, found nothing'],
  ['a fact that stands elsewhere', { conditions: { metadata: { replicas: 3 } } }, 'conditions.metadata.replicas: `replicas` is no part of the context; write `request.replicas`'],
  ['who asks, in the caller’s own words', { conditions: { userId: 'ann' } }, 'conditions.userId: `userId` is no part of the context; write `principal.id`'],
  ['a prototype', { conditions: JSON.parse('{"__proto__": "x"}') as object }, 'conditions.__proto__: `__proto__` names no fact'],
])('refused, and the place is named: %s', (_what, change, expected) => {
  expect(complaints(change)).toEqual([expect.stringContaining(expected)])
})

/** `npm run test:long` looks twenty times as far. */
const check = <T extends [unknown, ...unknown[]]>(property: fc.IProperty<T>) => fc.assert(property, { numRuns: playsAll ? 20_000 : 1_000, seed })
const flats = fc.uniqueArray(flatPolicy, { maxLength: 6, selector: ({ name }) => name })

test('an imported set decides as its flat policies read: a deny wins, and what none allows is denied', () => {
  check(fc.property(flats, flatRequest, (values, request) => {
    const documents = imported(values)
    const { effect, determining } = decide(compile(documents), inputOf(request))
    const names = determining.map(({ id }) => documents.find((one) => one.id === id)!.name)
    expect({ effect, determining: new Set(names) }).toEqual(plainReading(values, request, (zone) => wallClock(zone, request.now)!))
  }))
})

test('the order of flat policies changes neither answer nor ids, and each keeps name, effect and priority', () => {
  check(fc.property(flats, (values) => {
    const documents = imported(values)
    expect(compile(imported(values.toReversed())).hash).toBe(compile(documents).hash)
    const kept = documents.map(({ name, effect, priority }) => ({ name, effect, priority }))
    expect(kept).toEqual(values.map(({ name, effect, priority = 100 }) => ({ name, effect, priority })))
  }))
})

test('names with one slug get ids of their own, and never that of a policy in the standard shape', () => {
  const [a, b, c] = imported(['Night!', 'night', 'NIGHT'].map((name) => ({ ...least, name })))
  expect([a!.id, b!.id, c!.id]).toEqual(['night-2', 'night-3', 'night'])
  const standard = { ...a!, id: 'night', name: 'standard' }
  const mixed = distinctIds([{ policy: { ...b!, id: 'night' }, flat: true }, { policy: standard, flat: false }])
  expect(mixed.map(({ id }) => id)).toEqual(['night-2', 'night'])
})

test('nothing makes the import throw', () => {
  const key = fc.constantFrom('name', 'effect', 'conditions', 'role', 'time', 'start', 'end', 'days', 'zone', 'severity', 'metadata', 'gte', 'exists', '__proto__', 'x')
  const junk = fc.letrec((tie) => ({ node: fc.oneof({ maxDepth: 4 }, fc.anything({ maxDepth: 1 }), fc.dictionary(key, tie('node')), fc.array(tie('node'), { maxLength: 3 })) })).node
  check(fc.property(junk, fc.dictionary(key, junk), (value, change) => {
    expect(() => read(value)).not.toThrow()
    expect(() => read({ ...least, ...change })).not.toThrow()
  }))
})
