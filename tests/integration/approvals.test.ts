/** Delegation, escalation and break-glass over HTTP and by the command line: who may, and what each refusal says. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { globally } from '../../domain/identity.ts'
import type { Role } from '../../domain/remediation.ts'
import { keyFor, startApi, type TestApi } from '../helpers/api.ts'
import { cli, type Runner } from '../helpers/cli.ts'
import { loggedInBefore, login, personWith } from '../helpers/people.ts'
import { decided, digest, openDatabase, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let admin: string
beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: '127.0.0.1:1', directory: null })
  admin = (await keyFor(db.api, ['admin'])).key
})
afterAll(async () => {
  await api.close()
  await db.close()
})

type Someone = { name: string; key: string }
async function someone(roles: Role[] = ['approver'], groups: string[] = []): Promise<Someone> {
  const { username } = await personWith(db.api, globally(roles), { groups })
  return { name: username, key: (await login(api, username)).accessToken }
}
const before = async ({ name }: Someone): Promise<Someone> => ({ name, key: await loggedInBefore(api, db.owner, name) })
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString()
const call = (method: string, path: string, key: string, body?: object) => api.call(method, `/api/v1/${path}`, { key, ...(body === undefined ? {} : { body }) })
const waiting = (owner = 'ann', groups: string[] = []) =>
  decided(db, { proceed: 'ask', groups, answerBy: new Date(Date.now() + 600_000), principal: { id: `key:${owner}`, kind: 'key', owner, roles: ['user'] }, target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: `a-${randomUUID().slice(0, 8)}` } }).then(({ id }) => id)
const shown = async (id: string) => (await call('GET', `remediations/${id}`, admin)).body as { decision: { approvals: object }; answers: object[] }
const aegis = (key: string): Runner => cli({ url: api.url, key, directory: '/nonexistent' })

describe('a delegation', () => {
  const lend = (from: Someone, body: object) => call('POST', 'delegations', from.key, { until: inDays(1), reason: 'away', ...body })

  test('is given, listed, used by an approval that says so, and taken back', async () => {
    const [dora, ben] = [await someone(['approver'], ['dba']), await someone()]
    const given = await lend(dora, { delegate: ben.name.toUpperCase() })
    expect([given.status, given.body]).toMatchObject([201, { delegator: dora.name, delegate: ben.name, reason: 'away', revokedAt: null }])
    const listed = (await call('GET', 'delegations', ben.key)).body['items']
    expect(listed).toContainEqual(given.body)
    const id = await waiting('ann', ['dba'])
    expect((await call('POST', `remediations/${id}/approve`, ben.key, { planDigest: digest })).status).toBe(202)
    expect((await shown(id)).answers).toMatchObject([{ owner: ben.name, breakGlass: false, standsFor: [{ group: 'dba', because: 'delegation', from: dora.name }] }])
    expect((await aegis(admin)('show', id)).out).toContain(`answer    approve by ${ben.name}, for dba (delegation from ${dora.name})`)
    const path = `delegations/${given.body['delegationId'] as string}`
    expect((await call('DELETE', path, ben.key)).problem).toMatchObject({ status: 403, code: 'not_your_delegation' })
    expect((await call('DELETE', path, dora.key)).body).toEqual({ revoked: true })
    expect((await call('DELETE', path, dora.key)).problem).toMatchObject({ status: 404, code: 'no_such_delegation' })
    expect((await call('GET', 'delegations?state=all', ben.key)).body['items']).toContainEqual(expect.objectContaining({ delegationId: given.body['delegationId'], revokedAt: expect.any(String) }))
  })

  test.each<[string, (dora: Someone, ben: Someone) => object, number, string]>([
    ['to oneself', (dora) => ({ delegate: dora.name.toUpperCase() }), 400, 'own_delegation'],
    ['to nobody', () => ({ delegate: 'no-such-person' }), 400, 'unknown_account'],
    ['of somebody else’s voice', (_dora, ben) => ({ delegate: ben.name, delegator: 'carol' }), 403, 'not_your_delegation'],
    ['for more than 30 days', (_dora, ben) => ({ delegate: ben.name, until: inDays(31) }), 400, 'bad_request'],
    ['that is over', (_dora, ben) => ({ delegate: ben.name, until: inDays(-1) }), 400, 'bad_request'],
    ['that begins in half a year', (_dora, ben) => ({ delegate: ben.name, from: inDays(180), until: inDays(181) }), 400, 'bad_request'],
    ['without a reason', (_dora, ben) => ({ delegate: ben.name, reason: '' }), 400, 'bad_request'],
  ])('%s is refused', async (_name, body, status, code) => {
    const [dora, ben] = [await someone(), await someone()]
    expect((await lend(dora, body(dora, ben))).problem).toMatchObject({ status, code })
  })

  test('is with one person at a time', async () => {
    const [dora, ben, cat] = [await someone(), await someone(), await someone()]
    expect((await lend(dora, { delegate: ben.name })).status).toBe(201)
    expect((await lend(dora, { delegate: cat.name })).problem).toMatchObject({ status: 409, code: 'delegation_overlaps' })
  })

  test('is given by somebody who has just logged in; by a key only where it is an admin’s', async () => {
    const [dora, ben] = [await someone(), await someone()]
    const key = (await keyFor(db.api, ['approver'], dora.name)).key
    expect((await lend({ ...dora, key }, { delegate: ben.name })).problem).toMatchObject({ status: 403, code: 'persons_only' })
    const bound = (await keyFor(db.api, ['admin'], 'local-admin', { cluster: 'main', namespace: 'shop' })).key
    expect((await lend({ ...dora, key: bound }, { delegate: ben.name, delegator: dora.name })).problem.code).toBe('not_your_delegation')
    const given = await lend({ ...dora, key: admin }, { delegate: ben.name, delegator: dora.name })
    expect(given.body).toMatchObject({ delegator: dora.name, givenBy: expect.stringMatching(/^key:/) })
    expect((await call('DELETE', `delegations/${given.body['delegationId'] as string}`, admin)).status).toBe(200)
    expect((await lend(await before(dora), { delegate: ben.name })).problem.code).toBe('step_up_required')
  })
})

describe('an escalation', () => {
  const rule = (group: string, to: string, afterMs = 300_000) => call('PUT', `escalations/${encodeURIComponent(group)}`, admin, { to, afterMs })

  test('is kept by admins, for groups of any name, and shown with what waits for it', async () => {
    const [group, to] = [`team/db ä-${randomUUID()}`, `leads-${randomUUID()}`]
    expect((await rule(group, to)).body).toMatchObject({ group, to, afterMs: 300_000 })
    const approver = await someone()
    expect((await call('GET', 'escalations', approver.key)).body['items']).toContainEqual(expect.objectContaining({ group, to }))
    expect((await call('PUT', `escalations/x`, approver.key, { to, afterMs: 300_000 })).status).toBe(403)
    const id = await waiting('ann', [group])
    expect((await shown(id)).decision.approvals).toMatchObject({ missingGroups: [group], escalations: [{ group, to, at: expect.any(String), saidAt: null }] })
    const { out } = await aegis(admin)('show', id)
    expect(out).toMatch(new RegExp(`wanted    0 of \\d+ approvals; missing: the group ${group}; until`))
    expect(out).toMatch(new RegExp(`or        ${to} for ${group}, from 20`))
    expect((await call('DELETE', `escalations/${encodeURIComponent(group)}`, admin)).body).toEqual({ removed: true })
    expect((await call('DELETE', `escalations/${encodeURIComponent(group)}`, admin)).problem).toMatchObject({ status: 404, code: 'no_such_escalation' })
    expect((await shown(id)).decision.approvals).toMatchObject({ escalations: [] })
  })

  test.each([[59_999], [86_400_001], [90_000.5]])('after %d ms is none', async (afterMs) => expect((await rule('a', 'b', afterMs)).status).toBe(400))

  test('that leads back is refused with the way out', async () => {
    const [a, b] = [randomUUID(), randomUUID()]
    await rule(a, b)
    expect((await rule(b, a)).problem).toMatchObject({ status: 409, code: 'escalation_circle', nextStep: expect.stringContaining('GET /api/v1/escalations') })
  })
})

describe('the emergency door', () => {
  const reason = 'the shop is down and nobody of the group answers'
  const open = (id: string, key: string, body: object = {}) => call('POST', `remediations/${id}/break-glass`, key, { planDigest: digest, reason, ...body })
  const review = (answerId: string, key: string, body: object = {}) => call('POST', `break-glass/${answerId}/review`, key, { verdict: 'justified', comment: 'I looked', ...body })

  test('is opened by whoever asked, shown as what it is, and reviewed by an auditor', async () => {
    const [ann, eve] = [await someone(), await someone(['auditor'])]
    const id = await waiting(ann.name, ['dba'])
    const given = await open(id, ann.key)
    expect([given.status, given.body['state']]).toEqual([202, 'recorded'])
    const answerId = given.body['answerId'] as string
    expect((await shown(id)).answers).toMatchObject([{ kind: 'approve', breakGlass: true, comment: reason, owner: ann.name }])
    expect((await aegis(admin)('show', id)).out).toContain(`answer    break-glass by ${ann.name}: ${reason}`)
    expect((await call('GET', 'break-glass?state=open', eve.key)).body['items']).toContainEqual(expect.objectContaining({ answerId, remediationId: id, review: null }))
    expect((await review(answerId, ann.key)).problem).toMatchObject({ status: 403, code: 'own_review' })
    expect((await review(answerId, (await keyFor(db.api, ['approver'], ann.name)).key)).problem).toMatchObject({ status: 403, code: 'own_review' })
    expect((await review(answerId, admin)).problem).toMatchObject({ status: 403, code: 'persons_only' })
    expect((await review(randomUUID(), eve.key)).problem).toMatchObject({ status: 404, code: 'no_such_break_glass' })
    expect((await review(answerId, eve.key, { verdict: 'fine' })).status).toBe(400)
    expect((await review(answerId, eve.key, { verdict: 'unjustified' })).body).toMatchObject({ answerId, review: { verdict: 'unjustified', comment: 'I looked' } })
    expect((await review(answerId, eve.key)).problem).toMatchObject({ status: 409, code: 'reviewed_already' })
  })

  test('opens to no key, for no short reason, to no other plan, and not once reviews are due', async () => {
    const ben = await someone()
    const id = await waiting()
    expect((await open(id, (await keyFor(db.api, ['approver'], ben.name)).key)).problem).toMatchObject({ status: 403, code: 'persons_only' })
    expect((await open(id, ben.key, { reason: 'because I say so' })).problem).toMatchObject({ status: 400, errors: [{ field: 'reason', message: 'must be at least 20 characters' }] })
    expect((await open(id, ben.key, { planDigest: `sha256:${'0'.repeat(64)}` })).problem.code).toBe('other_digest')
    expect((await open(id, (await someone(['user'])).key)).status).toBe(403)
    for (let count = 0; count < 3; count++) expect((await open(await waiting(), ben.key)).status).toBe(202)
    expect((await open(id, ben.key)).problem).toMatchObject({ status: 409, code: 'review_due', nextStep: expect.stringContaining('aegis reviews') })
  })

  test('and its review take a login of the last five minutes', async () => {
    const [ben, eve] = [await someone(), await someone(['auditor'])]
    const { answerId } = (await open(await waiting(), ben.key)).body as { answerId: string }
    expect((await open(await waiting(), (await before(ben)).key)).problem.code).toBe('step_up_required')
    expect((await review(answerId, (await before(eve)).key)).problem.code).toBe('step_up_required')
  })
})

describe('the commands', () => {
  const reason = 'the shop is down and nobody of the group answers'

  test('break the glass with the plan in view, list what waits for a review, and review it', async () => {
    const [ben, eve] = [await someone(), await someone(['auditor'])]
    const id = await waiting('ann', ['dba'])
    expect(await aegis(ben.key)('break-glass', id)).toMatchObject({ code: 2, err: expect.stringContaining('--reason') })
    const broken = await aegis(ben.key)('break-glass', id, '--reason', reason)
    expect(broken).toMatchObject({ code: 0, out: 'break-glass: recorded; the run is told as soon as it can be\n' })
    expect(broken.err).toMatch(new RegExp(`plan      ${digest}[^]*has to review this within 24 hours`))
    const { out } = await aegis(eve.key)('reviews')
    const answerId = new RegExp(`^(\\S+) +${ben.name} .* open +${reason}`, 'm').exec(out)?.[1] ?? ''
    expect(await aegis(eve.key)('review', answerId, '--comment', 'x')).toMatchObject({ code: 2 })
    expect(await aegis(eve.key)('review', answerId, '--justified', '--unjustified', '--comment', 'x')).toMatchObject({ code: 2 })
    expect(await aegis(eve.key)('review', answerId, '--justified', '--comment', 'nobody was there')).toMatchObject({ code: 0, out: `the break-glass of ${ben.name} is justified\n` })
    expect((await aegis(eve.key)('reviews')).out).not.toContain(answerId)
    expect((await aegis(eve.key)('reviews', '--all')).out).toMatch(new RegExp(`^${answerId} .* justified`, 'm'))
  })

  test('hand a voice over and take it back', async () => {
    const [dora, ben] = [await someone(), await someone()]
    expect(await aegis(dora.key)('delegate', ben.name)).toMatchObject({ code: 2, err: expect.stringContaining('--until') })
    const given = await aegis(dora.key)('delegate', ben.name, '--until', inDays(2), '--reason', 'holiday')
    expect(given).toMatchObject({ code: 0, out: expect.stringContaining(`${ben.name} speaks for the groups of ${dora.name} from`) })
    const id = /undelegate (\S+)/.exec(given.out)?.[1] ?? ''
    expect((await aegis(ben.key)('delegate')).out).toMatch(new RegExp(`^${id} +${dora.name} +${ben.name} .* holiday`, 'm'))
    expect(await aegis(dora.key)('undelegate', id)).toMatchObject({ code: 0, out: 'taken back\n' })
    expect(await aegis(admin)('delegate', ben.name, '--for', dora.name, '--until', inDays(2), '--reason', 'ill')).toMatchObject({ code: 0 })
  })

  test('keep the rules of escalation', async () => {
    const group = `g-${randomUUID()}`
    expect(await aegis(admin)('escalation', 'set', group, '--to', 'leads', '--after', 'soon')).toMatchObject({ code: 2 })
    expect(await aegis(admin)('escalation', 'set', group, '--to', 'leads', '--after', '2h')).toMatchObject({ code: 0, out: `leads may speak for ${group} after 120 min without enough answers\n` })
    expect((await aegis(admin)('escalation')).out).toMatch(new RegExp(`^${group} +leads +120 min`, 'm'))
    expect(await aegis(admin)('escalation', 'remove', group)).toMatchObject({ code: 0, out: `the voice of ${group} stays with it\n` })
  })
})
