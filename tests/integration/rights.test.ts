/** W1: every route × who × where, from the route table. Each cell is asked over HTTP. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { recordAnswer } from '../../adapters/postgres/answers.ts'
import { areaOfRemediation } from '../../adapters/postgres/areas.ts'
import { setFreeze } from '../../adapters/postgres/freeze.ts'
import { scheduleFreeze } from '../../adapters/postgres/freeze-windows.ts'
import { rolesWith } from '../../api/permissions.ts'
import { routes } from '../../api/routes.ts'
import type { Route } from '../../api/route.ts'
import type { Role } from '../../domain/remediation.ts'
import { keyFor, startApi, type Got, type TestApi } from '../helpers/api.ts'
import { stack } from '../helpers/stack.ts'
import { alice, decided, digest, draftOf, openDatabase, started, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
/** Bound to main/shop and to nothing else. */
let bound: Record<Role, string>
let remediationIn: Record<Where, string>
let freezeIn: Record<Where, string>
let windowIn: Record<Where, string>
let glassIn: Record<Where, string>

const allRoles: Role[] = ['admin', 'user', 'approver', 'auditor', 'service']
type Where = 'shop' | 'demo-b'
const [own, other]: [Where, Where] = ['shop', 'demo-b']

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null })
  const made = await Promise.all(allRoles.map(async (role) => [role, (await keyFor(db.api, [role], `bound-${role}`, { cluster: 'main', namespace: own })).key] as const))
  bound = Object.fromEntries(made) as Record<Role, string>
  const remediation = (namespace: Where) => started(db, draftOf({ target: { cluster: 'main', namespace, kind: 'Deployment', name: `web-${randomUUID().slice(0, 8)}` } }))
  const freeze = async (namespace: Where) => (await setFreeze(db.api, { scope: { cluster: 'main', namespace, action: 'rollback_deployment' }, reason: 'r', principal: alice })).freezeId
  remediationIn = { [own]: await remediation(own), [other]: await remediation(other) } as typeof remediationIn
  freezeIn = { [own]: await freeze(own), [other]: await freeze(other) } as typeof freezeIn
  const window = async (namespace: Where) => (await scheduleFreeze(db.api, { scope: { cluster: 'main', namespace }, from: new Date(Date.now() + 3_600_000), to: new Date(Date.now() + 7_200_000), zone: 'UTC', localFrom: '', localTo: '', reason: 'r', principal: alice })).windowId
  const glass = async (namespace: Where) => {
    const { id } = await decided(db, { proceed: 'ask', target: { cluster: 'main', namespace, kind: 'Deployment', name: `web-${randomUUID().slice(0, 8)}` } })
    const answerId = randomUUID()
    expect(await recordAnswer(db.api, { answerId, id, kind: 'approve', principal: alice, planDigest: digest, comment: 'nobody answers', breakGlass: true })).toMatchObject({ recorded: true })
    return answerId
  }
  glassIn = { [own]: await glass(own), [other]: await glass(other) } as typeof glassIn
  windowIn = { [own]: await window(own), [other]: await window(other) } as typeof windowIn
})
afterAll(async () => {
  await api.close()
  await db.close()
})

/** What names the place in a call; the rest of a body may be missing where the place is not in it. */
const bodies: Record<string, (namespace: Where) => object> = {
  'POST /api/v1/remediations': (namespace) => ({ action: 'restart_pod', target: { namespace, kind: 'Pod', name: `a-${randomUUID().slice(0, 8)}` } }),
  'POST /executor/execute': (namespace) => ({ actionType: 'restart_pod', actionParams: { namespace, podName: `a-${randomUUID().slice(0, 8)}` } }),
  'POST /api/v1/remediations/:id/approve': () => ({ planDigest: `sha256:${'0'.repeat(64)}` }),
  'POST /api/v1/remediations/:id/break-glass': () => ({ planDigest: `sha256:${'0'.repeat(64)}`, reason: 'nobody answers, and the shop is down' }),
  'POST /api/v1/break-glass/:answerId/review': () => ({ verdict: 'justified', comment: 'I looked' }),
  'POST /api/v1/freeze': (namespace) => ({ scope: { cluster: 'main', namespace }, reason: 'r' }),
  'POST /api/v1/freeze/windows': (namespace) => ({ scope: { cluster: 'main', namespace }, from: '2099-01-01T00:00', to: '2099-01-02T00:00', zone: 'UTC', reason: 'r' }),
  'POST /api/v1/claims/release': (namespace) => ({ workload: { namespace, kind: 'Deployment', name: 'none-such' } }),
  'POST /api/v1/autonomy/promote': (namespace) => ({ policy: 'none-such', namespace, mode: 'auto', reason: 'r' }),
  'POST /api/v1/autonomy/demote': (namespace) => ({ policy: 'none-such', namespace, mode: 'suggest', reason: 'r' }),
}
const nameOf = ({ method, path }: Route) => `${method.toUpperCase()} ${path}`

/** The place is in the call, or in the record that the call names. */
const hasPlace = ({ scope }: Route): boolean => typeof scope === 'function' || (typeof scope === 'object' && scope !== null)

async function ask(route: Route, who: Role | 'nobody', namespace: Where): Promise<Got> {
  const named = [['/api/v1/remediations/', remediationIn], ['/api/v1/break-glass/', glassIn], ['/api/v1/freeze/windows/', windowIn], ['/api/v1/freeze/', freezeIn]] as const
  const id = named.find(([start]) => route.path.startsWith(start))?.[1][namespace] ?? randomUUID()
  const path = route.path.replace(/:\w+/, id)
  const body = route.method === 'post' || route.method === 'put' ? { body: bodies[nameOf(route)]?.(namespace) ?? {} } : {}
  return api.call(route.method.toUpperCase(), path, { ...(who === 'nobody' ? {} : { key: bound[who] }), ...body })
}

type Answer = 'let in' | 'not_permitted' | 'not_permitted_there' | 'no_credential'

/** Said once more, apart from the code under test: what a principal bound to main/shop hears. */
function expected(route: Route, who: Role | 'nobody', namespace: Where): Answer {
  if (route.permission === 'public') return 'let in'
  if (who === 'nobody') return 'no_credential'
  if (!rolesWith(route.permission).includes(who)) return 'not_permitted'
  if (route.scope === 'global') return 'not_permitted_there'
  return hasPlace(route) && namespace === other ? 'not_permitted_there' : 'let in'
}

/** What refuses somebody before anything of the call counts; all else is the route's own answer. */
const heard = ({ problem }: Got): Answer =>
  (['not_permitted', 'not_permitted_there', 'no_credential'] as const).find((code) => code === problem?.code) ?? 'let in'

/** Where the body is checked before the place is known, a route without one in the table would never reach its scope. */
const needsBody = routes.filter((route) => hasPlace(route) && route.body !== null && !route.body.safeParse({}).success)

test('each route whose body names the place has a body in the table above', () => {
  const missing = needsBody.map(nameOf).filter((name) => !(name in bodies))
  expect(missing).toEqual([])
})

const cells = routes.flatMap((route) => [...allRoles, 'nobody' as const].flatMap((who) => ([own, other] as const).map((where) => [nameOf(route), who, where === own ? 'its own' : 'another', route, where] as const)))

test(`${cells.length} cells are all there are`, () => expect(cells).toHaveLength(routes.length * 6 * 2))

test.each(cells)('%s as %s bound to one namespace, in %s', async (_name, who, _where, route, where) => {
  const got = await ask(route, who, where)
  const wanted = expected(route, who, where)
  expect(heard(got)).toBe(wanted)
  if (wanted !== 'let in') expect(got.status).toBe(wanted === 'no_credential' ? 401 : 403)
})

describe('lists show what lies in the namespaces that one may read, and nothing else', () => {
  const items = async (path: string, role: Role) => (await api.call('GET', path, { key: bound[role] })).body['items'] as { id?: string; target?: { namespace: string }; namespace?: string | null; scope?: object }[]

  test('remediations', async () => {
    const listed = await items('/api/v1/remediations?limit=200', 'user')
    expect(new Set(listed.map(({ target }) => target?.namespace))).toEqual(new Set([own]))
    expect(listed.map(({ id }) => id)).toContain(remediationIn[own])
    expect(await items(`/api/v1/remediations?namespace=${other}`, 'admin')).toEqual([])
    const { key } = await keyFor(db.api, ['user'])
    const all = (await api.call('GET', '/api/v1/remediations?limit=200', { key })).body['items'] as { id: string }[]
    expect(all.map(({ id }) => id)).toEqual(expect.arrayContaining(Object.values(remediationIn)))
  })

  test('uses of the emergency door', async () => {
    expect(await items('/api/v1/break-glass', 'auditor')).toMatchObject([{ answerId: glassIn[own], target: { namespace: own } }])
  })

  test('the record: entries of other namespaces, and of none, are for those who may look everywhere', async () => {
    const listed = await items('/audit/logs?limit=200', 'auditor')
    expect(new Set(listed.map(({ namespace }) => namespace))).toEqual(new Set([own]))
    expect(await items('/audit/logs?stream=keys', 'auditor')).toEqual([])
    const { rows } = await db.owner.raw(`select count(*)::integer as total from ledger.request where namespace = ?`, [own])
    expect((await api.call('GET', '/audit/statistics', { key: bound.auditor })).body['total']).toBe(rows[0].total)
  })

  test('freezes: those that hold something of theirs, a global one too', async () => {
    const { freezeId } = await setFreeze(db.api, { scope: { action: 'scale_deployment' }, reason: 'all', principal: alice })
    const mine = await setFreeze(db.api, { scope: { cluster: 'main', namespace: own, action: 'restart_pod' }, reason: 'r', principal: alice })
    const theirs = await setFreeze(db.api, { scope: { cluster: 'main', namespace: other, action: 'restart_pod' }, reason: 'r', principal: alice })
    const listed = (await items('/api/v1/freeze', 'user')) as unknown as { freezeId: string }[]
    expect(listed.map((one) => one.freezeId)).toEqual(expect.arrayContaining([freezeId, mine.freezeId]))
    expect(listed.map((one) => one.freezeId)).not.toContain(theirs.freezeId)
  })
})

test('in a namespace stand the roles that hold there: an approver elsewhere is no argument here', async () => {
  const { key } = await keyFor(db.api, ['user'], 'mixed')
  const mixed = JSON.stringify([{ role: 'user', cluster: 'main', namespace: own }, { role: 'admin', cluster: 'main', namespace: other }])
  await db.owner.raw(`update control.api_key set bindings = ?::jsonb where owner = 'mixed'`, [mixed])
  const asked = await api.call('POST', '/api/v1/remediations', { key, body: bodies['POST /api/v1/remediations']!(own) })
  const { rows } = await db.owner.raw('select principal from ledger.request where id = ?', [String(asked.body['id'])])
  expect(rows[0].principal).toMatchObject({ roles: ['user'], bindings: [{ role: 'user', cluster: 'main', namespace: own }] })
})

test('a freeze of more than one may freeze is refused, and nothing is frozen', async () => {
  const before = await api.call('GET', '/api/v1/freeze', { key: bound.admin })
  for (const scope of [{}, { cluster: 'main' }, { namespace: own }, { cluster: 'edge', namespace: own }]) {
    const got = await api.call('POST', '/api/v1/freeze', { key: bound.approver, body: { scope, reason: 'r' } })
    expect([got.status, got.problem.code]).toEqual([403, 'not_permitted_there'])
  }
  expect((await api.call('GET', '/api/v1/freeze', { key: bound.admin })).body).toEqual(before.body)
})

test('alerts for namespaces that a key may not speak for are refused one by one', async () => {
  const alert = (namespace: string) => ({ status: 'firing', labels: { alertname: 'HighRequestLatency', namespace, deployment: 'web', severity: 'critical' }, annotations: {}, startsAt: new Date(Date.now() - 600_000).toISOString(), endsAt: '0001-01-01T00:00:00Z', generatorURL: '', fingerprint: randomUUID().replaceAll('-', '').slice(0, 16) })
  const hook = { version: '4', groupKey: 'k', truncatedAlerts: 0, status: 'firing', receiver: 'aegis', groupLabels: {}, commonLabels: {}, commonAnnotations: {}, externalURL: '', alerts: [alert(own), alert(other)] }
  const got = await api.call('POST', '/api/v1/alerts', { key: bound.service, body: hook })
  expect((got.body['results'] as { result: string; reason: string }[]).map(({ result, reason }) => [result, reason.split(':')[0]])).toEqual([['accepted', expect.any(String)], ['refused', 'not_permitted_there']])
  expect(await areaOfRemediation(db.api, randomUUID())).toBeUndefined()
})
