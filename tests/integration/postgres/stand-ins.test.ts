/** Who speaks for a group besides its members, by the rows of the moment. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import { loadAnswer, recordAnswer, type AnswerDraft } from '../../../adapters/postgres/answers.ts'
import { closeRemediation } from '../../../adapters/postgres/close.ts'
import { giveDelegation, listDelegations, revokeDelegation } from '../../../adapters/postgres/delegations.ts'
import { listEscalations, recordEscalation, removeEscalation, setEscalation, waitingOf } from '../../../adapters/postgres/escalations.ts'
import { factsForDecision } from '../../../adapters/postgres/facts.ts'
import { createApiKey, revokeApiKey } from '../../../adapters/postgres/keys.ts'
import { readStream, systemActor } from '../../../adapters/postgres/ledger.ts'
import { changeUser } from '../../../adapters/postgres/users.ts'
import { newApiKey } from '../../../api/authentication.ts'
import { globally } from '../../../domain/identity.ts'
import type { Principal, Role } from '../../../domain/remediation.ts'
import { personWith, type Person } from '../../helpers/people.ts'
import { alice, answered, bob, decided, digest, freshId, openDatabase, times, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const approver = globally(['approver'])
const someone = (groups: string[] = [], roles: Role[] = ['approver']) => personWith(db.api, globally(roles), { groups })
const principalOf = ({ userId, username }: Person, groups: string[] = []): Principal => ({ id: `user:${userId}`, kind: 'person', owner: username, roles: ['approver'], bindings: approver, groups })
const waiting = (groups = ['dba'], by = alice) => decided(db, { proceed: 'ask', groups, principal: by }).then(({ id }) => id)
const answer = (id: string, principal: Principal, over: Partial<AnswerDraft> = {}) =>
  recordAnswer(db.api, { answerId: randomUUID(), id, kind: 'approve', principal, planDigest: digest, comment: 'go', ...over })
/** What an approval by this person stands for, as the decision reads it. */
async function voices(principal: Principal, id?: string): Promise<object[]> {
  const of = id ?? (await waiting())
  expect(await answer(of, principal)).toMatchObject({ recorded: true })
  return (await factsForDecision(db.decision, of, digest))!.approvals.at(-1)!.standsFor
}

const inMs = (ms: number) => new Date(Date.now() + ms)
const dayMs = 86_400_000
const lend = async (from: Person, to: Person, over: { from?: Date; until?: Date } = {}) =>
  giveDelegation(db.api, { delegationId: freshId(), delegator: from.username, delegate: to.username, from: inMs(-1_000), until: inMs(dayMs), reason: 'away', principal: principalOf(from), ...over })
const lent = async (...[from, to, over]: Parameters<typeof lend>) => {
  const done = await lend(from, to, over)
  if (!done.given) throw new Error(done.because)
  return done.delegation.delegationId
}

describe('a voice that was handed over', () => {
  test('counts for the delegator’s groups, and row, entry and facts say whose it is', async () => {
    const [dora, ben] = [await someone(['dba', 'sre']), await someone()]
    await lent(dora, ben)
    const id = await waiting()
    const given = await answer(id, principalOf(ben))
    const expected = [{ group: 'dba', because: 'delegation', from: dora.username }, { group: 'sre', because: 'delegation', from: dora.username }]
    expect((await loadAnswer(db.decision, (given as { answerId: string }).answerId))?.standsFor).toEqual(expected)
    expect((await readStream(db.reader, id)).find(({ kind }) => kind === 'answer')?.body['standsFor']).toEqual(expected)
    expect((await factsForDecision(db.decision, id, digest))?.approvals[0]?.standsFor).toEqual(expected)
  })

  test('is that of the groups as they are when it is used', async () => {
    const [dora, ben] = [await someone(['old']), await someone()]
    await lent(dora, ben)
    await changeUser(db.api, dora.userId, { groups: ['dba'] }, systemActor)
    expect(await voices(principalOf(ben))).toEqual([{ group: 'dba', because: 'delegation', from: dora.username }])
  })

  const cases: [string, (dora: Person, ben: Person) => Promise<{ giver?: Principal; requester?: Principal } | void>][] = [
    ['that has not begun', async (dora, ben) => void (await lent(dora, ben, { from: inMs(60_000) }))],
    ['that is over', async (dora, ben) => {
      const id = await lent(dora, ben)
      await db.owner.raw(`update control.delegations set from_at = now() - interval '2 days', until_at = now() - interval '1 second' where delegation_id = ?`, [id])
    }],
    ['that was taken back', async (dora, ben) => void (await revokeDelegation(db.api, await lent(dora, ben), principalOf(dora)))],
    ['of somebody whose account is disabled', async (dora, ben) => {
      await lent(dora, ben)
      await changeUser(db.api, dora.userId, { state: 'disabled' }, systemActor)
    }],
    ['of somebody who may not approve any more', async (dora, ben) => {
      await lent(dora, ben)
      await changeUser(db.api, dora.userId, { bindings: globally(['user']) }, systemActor)
    }],
    ['of somebody who may approve elsewhere', async (dora, ben) => {
      await lent(dora, ben)
      await changeUser(db.api, dora.userId, { bindings: [{ role: 'approver', cluster: 'main', namespace: 'bank' }] }, systemActor)
    }],
    ['of whoever asked', async (dora, ben) => {
      await lent(dora, ben)
      return { requester: { id: 'key:1', kind: 'key', owner: dora.username, roles: ['user'] } }
    }],
    ['by a key of the delegate', async (dora, ben) => {
      await lent(dora, ben)
      return { giver: { id: 'key:2', kind: 'key', owner: ben.username, roles: ['approver'] } }
    }],
    ['that was handed to the delegator', async (dora, ben) => {
      const between = await someone()
      await lent(dora, between)
      await lent(between, ben)
    }],
  ]
  test.each(cases)('%s counts for nothing', async (_name, arrange) => {
    const [dora, ben] = [await someone(['dba']), await someone()]
    const { giver = principalOf(ben), requester = alice } = (await arrange(dora, ben)) ?? {}
    expect(await voices(giver, await waiting(['dba'], requester))).toEqual([])
  })

  test('taken back between an approval and its use: what the approval said stands', async () => {
    const [dora, ben] = [await someone(['dba']), await someone()]
    const delegation = await lent(dora, ben)
    const id = await waiting()
    await answer(id, principalOf(ben))
    await revokeDelegation(db.api, delegation, principalOf(dora))
    expect((await factsForDecision(db.decision, id, digest))?.approvals[0]?.standsFor).toMatchObject([{ group: 'dba' }])
    expect(await voices(principalOf(ben))).toEqual([])
  })

  test('whoever approved before it came to them may say so again, once; they stay one person', async () => {
    const [dora, ben] = [await someone(['dba']), await someone()]
    const id = await waiting()
    expect(await answer(id, principalOf(ben))).toMatchObject({ recorded: true })
    expect(await answer(id, principalOf(ben))).toEqual({ recorded: false, because: 'already_answered' })
    await lent(dora, ben)
    expect(await answer(id, principalOf(ben))).toMatchObject({ recorded: true })
    expect(await answer(id, principalOf(ben))).toEqual({ recorded: false, because: 'already_answered' })
    await answer(id, bob, { kind: 'reject', planDigest: null })
    await lent(await someone(['other']), ben)
    expect(await answer(id, principalOf(ben))).toEqual({ recorded: false, because: 'already_answered' })
  })

  test('is with one person at a time, and what is over or was taken back makes room', async () => {
    const [dora, ben, cat] = [await someone(), await someone(), await someone()]
    const first = await lent(dora, ben)
    expect(await lend(dora, cat, { from: inMs(3_600_000) })).toEqual({ given: false, because: 'overlaps' })
    await lent(dora, cat, { from: inMs(dayMs), until: inMs(2 * dayMs) })
    await revokeDelegation(db.api, first, principalOf(dora))
    expect(await revokeDelegation(db.api, first, principalOf(dora))).toBe(false)
    await lent(dora, cat, { until: inMs(3_600_000) })
    const both = await Promise.all([lend(cat, ben), lend(cat, dora)])
    expect(both.filter(({ given }) => given)).toHaveLength(1)
    expect((await listDelegations(db.api, { all: false, limit: 200 })).items.filter(({ delegator }) => delegator === dora.username)).toHaveLength(2)
    expect((await listDelegations(db.api, { all: true, limit: 200 })).items.filter(({ delegator }) => delegator === dora.username)).toHaveLength(3)
  })

  test('goes to an account that is there and enabled, twenty times at most', async () => {
    const [dora, ben] = [await someone(), await someone()]
    expect(await lend({ userId: '', username: 'no-such' }, ben)).toEqual({ given: false, because: 'no_such_delegator' })
    expect(await lend(dora, { userId: '', username: 'no-such' })).toEqual({ given: false, because: 'no_such_delegate' })
    for (let hour = 1; hour <= 20; hour++) await lent(dora, ben, { from: inMs(hour * 3_600_000), until: inMs(hour * 3_600_000 + 60_000) })
    expect(await lend(dora, ben, { from: inMs(50 * 3_600_000), until: inMs(51 * 3_600_000) })).toEqual({ given: false, because: 'too_many' })
    await changeUser(db.api, ben.userId, { state: 'disabled' }, systemActor)
    expect(await lend(await someone(), ben)).toEqual({ given: false, because: 'no_such_delegate' })
  })

  test('for longer than 30 days, or to oneself, the database refuses', async () => {
    const [dora, ben] = [await someone(), await someone()]
    await expect(lend(dora, ben, { until: inMs(31 * dayMs) })).rejects.toMatchObject({ code: 'refused_by_database' })
    await expect(lend(dora, dora)).rejects.toMatchObject({ code: 'refused_by_database' })
  })
})

const minute = 60_000
const admin = { ...alice, roles: ['admin' as const] }
const rule = (group: string, to: string, minutes = 5) => setEscalation(db.api, { group, to, afterMs: minutes * minute }, admin)
const freshGroups = (count: number) => times(count, (at) => `g${at}-${randomUUID()}`)
/** As if people had been asked so long ago. */
const askedFor = (id: string, minutes: number) => db.owner.raw(`update ledger.decision set decided_at = now() - ? * interval '1 minute' where id = ?`, [minutes, id])

describe('a voice that comes to another group', () => {
  test('does so when its time is over, by the database’s clock, from the first question on, up to three steps', async () => {
    const [a, b, c] = freshGroups(3) as [string, string, string]
    await rule(a, b)
    await rule(b, c, 10)
    const [ben, cat] = [principalOf(await someone([b]), [b]), principalOf(await someone([c]), [c])]
    const at = async (minutes: number, who: Principal) => {
      const id = await waiting([a])
      await askedFor(id, minutes)
      await answered(db, { id, proceed: 'ask', groups: [a] })
      return voices(who, id)
    }
    expect(await at(4.9, ben)).toEqual([])
    expect(await at(5.1, ben)).toEqual([{ group: a, because: 'escalation', from: b }])
    expect(await at(14.9, cat)).toMatchObject([{ group: b }])
    expect(await at(15.1, cat)).toMatchObject([{ group: a, because: 'escalation', from: c }, { group: b }])
    await removeEscalation(db.api, a, admin)
    expect(await at(60, ben)).toEqual([])
  })

  test('is not with whom a member handed their own to', async () => {
    const [a, b] = freshGroups(2) as [string, string]
    await rule(a, b)
    const ben = await someone()
    await lent(await someone([b]), ben)
    const id = await waiting([a])
    await askedFor(id, 60)
    expect(await voices(principalOf(ben), id)).toMatchObject([{ group: b, because: 'delegation' }])
  })

  test('is on record once for a plan, however many say so at once, and not after the end', async () => {
    const [a, b] = freshGroups(2) as [string, string]
    const id = await waiting([a])
    const said = await Promise.all(times(5, () => recordEscalation(db.decision, { id, planDigest: digest, group: a, to: b })))
    expect(said.filter((one) => one)).toHaveLength(1)
    expect((await readStream(db.reader, id)).filter(({ kind }) => kind === 'approval_escalated')).toMatchObject([{ body: { planDigest: digest, group: a, to: b }, actor: { kind: 'system' } }])
    expect((await waitingOf(db.decision, id, digest)).done).toEqual([{ group: a, to: b, at: expect.stringMatching(/Z$/) }])
    await closeRemediation(db.decision, { id, ending: { outcome: 'unanswered', reason: 'r', message: 'm', verdict: null }, source: 'workflow', runId: 'r', firstRunId: null, newId: freshId })
    expect(await recordEscalation(db.decision, { id, planDigest: digest, group: a, to: 'x' })).toBe(false)
  })

  test('has one rule a group, none that leads back, and each change is on record', async () => {
    const [a, b, c] = freshGroups(3) as [string, string, string]
    expect(await rule(a, b)).toMatchObject({ set: true, rule: { group: a, to: b, afterMs: 5 * minute } })
    await rule(b, c)
    expect(await rule(c, a)).toEqual({ set: false, because: 'circle' })
    expect(await rule(a, a)).toEqual({ set: false, because: 'circle' })
    expect(await rule(a, c, 7)).toMatchObject({ set: true, rule: { to: c, afterMs: 7 * minute } })
    expect((await listEscalations(db.api)).filter(({ group }) => group === a)).toHaveLength(1)
    expect([await removeEscalation(db.api, a, admin), await removeEscalation(db.api, a, admin)]).toEqual([true, false])
    expect((await readStream(db.reader, 'escalations')).filter(({ body }) => body['group'] === a).map(({ kind }) => kind)).toEqual(['escalation_set', 'escalation_set', 'escalation_removed'])
    const [one, other] = freshGroups(2) as [string, string]
    const both = await Promise.all([rule(one, other), rule(other, one)])
    expect(both.filter(({ set }) => set)).toHaveLength(1)
  })

  test.each([[0.5], [24 * 60 + 1]])('after %d minutes the database refuses', async (minutes) => {
    const [a, b] = freshGroups(2) as [string, string]
    await expect(rule(a, b, minutes)).rejects.toMatchObject({ code: 'refused_by_database' })
  })

  test('has a hundred rules at most', async () => {
    await db.owner.raw(`insert into ledger.escalation_rule (group_name, to_group, after_ms, set_by) select 'full-' || n, 'nobody', 60000, 'test' from generate_series(1, 100) n`)
    expect(await rule('one-more', 'nobody')).toEqual({ set: false, because: 'too_many' })
    await db.owner.raw(`delete from ledger.escalation_rule where group_name like 'full-%'`)
  })
})

describe('an approval counts no more', () => {
  const counted = async (id: string) => (await factsForDecision(db.decision, id, digest))!.approvals.map(({ principal: { owner } }) => owner)
  const approved = async (giver: Principal) => {
    const id = await waiting()
    expect(await answer(id, giver)).toMatchObject({ recorded: true })
    expect(await counted(id)).toEqual([giver.owner])
    return id
  }

  test('once its giver is disabled, also one that came by their key', async () => {
    const ben = await someone()
    const [by, key] = [principalOf(ben), { id: `key:${randomUUID()}`, kind: 'key', owner: ben.username, roles: ['approver'] } as const]
    const ids = [await approved(by), await approved({ ...key, roles: [...key.roles] })]
    await changeUser(db.api, ben.userId, { state: 'disabled' }, systemActor)
    for (const id of ids) expect(await counted(id)).toEqual([])
    await changeUser(db.api, ben.userId, { state: 'active' }, systemActor)
    for (const id of ids) expect(await counted(id)).toEqual([ben.username])
  })

  test('once the role that it took is taken from them there, and not for one of elsewhere', async () => {
    const ben = await someone()
    const id = await approved(principalOf(ben))
    await changeUser(db.api, ben.userId, { bindings: [{ role: 'approver', cluster: null, namespace: 'elsewhere' }, { role: 'user', cluster: null, namespace: null }] }, systemActor)
    expect(await counted(id)).toEqual([])
    await changeUser(db.api, ben.userId, { bindings: [{ role: 'admin', cluster: 'main', namespace: 'shop' }] }, systemActor)
    expect(await counted(id)).toEqual([ben.username])
  })

  test('once the key that it came by is revoked', async () => {
    const { key, draft } = newApiKey({ name: 'mallory', owner: 'mallory', roles: ['approver'], bindings: null, expiresAt: inMs(dayMs) })
    expect(key).toMatch(/^aegis_/)
    const { keyId } = await createApiKey(db.api, draft, bob)
    const id = await approved({ id: `key:${keyId}`, kind: 'key', owner: 'mallory', roles: ['approver'] })
    expect(await revokeApiKey(db.api, keyId, bob)).toBe(true)
    expect(await counted(id)).toEqual([])
  })
})
