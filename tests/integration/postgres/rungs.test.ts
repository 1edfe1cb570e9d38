import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { randomUUID } from 'node:crypto'
import type { DecisionDeps } from '../../../activities/deps.ts'
import { evaluatePolicy } from '../../../activities/evaluate-policy.ts'
import { compileFiles } from '../../../adapters/policies/files.ts'
import { demoteRung, listLadder } from '../../../adapters/postgres/autonomy.ts'
import { closeRemediation, type Closing } from '../../../adapters/postgres/close.ts'
import { beginAttempt, recordIntent, settleIntent } from '../../../adapters/postgres/intents.ts'
import { readStream } from '../../../adapters/postgres/ledger.ts'
import * as store from '../../../adapters/postgres/store.ts'
import { saveVerification } from '../../../adapters/postgres/verifications.ts'
import { standingOf } from '../../../domain/autonomy/standing.ts'
import { capByMode } from '../../../domain/policy/mode.ts'
import type { Decision } from '../../../domain/policy/decision.ts'
import type { Mode, Outcome, Verdict } from '../../../domain/remediation.ts'
import { bob, decided, digest, freshId, neverBreaks, openDatabase, permitted, recorded, times, warranted, type Permitted, type TestDatabase } from './database.ts'

let db: TestDatabase
beforeAll(async () => (db = await openDatabase()))
afterAll(() => db.close())

const stood = (mode: Mode, ...policies: string[]) => policies.map((policy) => ({ policy, ceiling: 'auto' as const, mode }))

/** An act that landed, of policies that stood at `mode`, in a namespace where nothing has happened yet. */
async function acted({ mode = 'auto', policies = ['scale'], namespace = `n-${randomUUID()}`, verdict }: { mode?: Mode; policies?: string[]; namespace?: string; verdict?: Verdict } = {}) {
  const given = await recorded(db, { namespace, standing: stood(mode, ...policies) })
  await beginAttempt(db.execution, given)
  await settleIntent(db.execution, { id: given.id, phase: 'act', result: 'applied', detail: {} })
  if (verdict) await saveVerification(db.execution, { id: given.id, digest, verdict, evidence: 'seen' })
  return { ...given, namespace }
}

async function undo(given: Awaited<ReturnType<typeof acted>>): Promise<void> {
  const key: Permitted = { ...given, phase: 'undo', warrantId: await warranted(db, given, 'undo') }
  expect(await recordIntent(db.execution, { ...key, runId: 'run' })).toBe('recorded')
  await beginAttempt(db.execution, key)
  await settleIntent(db.execution, { id: given.id, phase: 'undo', result: 'applied', detail: {} })
}

const close = (id: string, outcome: Outcome, over: Partial<Closing> = {}) =>
  closeRemediation(db.decision, { id, ending: { outcome, reason: 'because', message: 'm', verdict: null }, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId, breaker: neverBreaks, ...over })

const rungs = async (namespace: string) =>
  (await db.reader.raw('select policy_id as policy, mode, kind, remediation_id from ledger.rung where namespace = ? order by seq', [namespace])).rows as { policy: string; mode: Mode; kind: string; remediation_id: string | null }[]
const entriesOf = async (namespace: string) => (await readStream(db.reader, 'autonomy')).filter(({ body }) => body['namespace'] === namespace)

describe('a bad outcome takes the policies that permitted the act down a rung', () => {
  test('undone: each of them, where it happened, on record', async () => {
    const given = await acted({ policies: ['scale', 'extra'], verdict: 'worse' })
    await undo(given)
    expect(await close(given.id, 'undone')).toMatchObject({ ending: { outcome: 'undone', verdict: 'worse' } })
    expect(await rungs(given.namespace)).toEqual(['extra', 'scale'].map((policy) => ({ policy, mode: 'approve', kind: 'demoted', remediation_id: given.id })))
    expect(await entriesOf(given.namespace)).toMatchObject(['extra', 'scale'].map((policy) => ({
      kind: 'demoted', actor: { id: 'aegis' }, about: { namespace: given.namespace }, body: { policy, mode: 'approve', remediationId: given.id, reason: `remediation \`${given.id}\` ended undone`, evidence: { verdict: 'worse', actedAt: 'auto' } },
    })))
    expect((await store.getRemediation(db.api, given.id))?.demotions).toMatchObject([{ policy: 'extra' }, { policy: 'scale', mode: 'approve' }])
  })

  test.each<[Mode, Mode[]]>([['auto', ['approve']], ['approve', ['suggest']], ['suggest', []]])('from `%s` to %j', async (mode, expected) => {
    const given = await acted({ mode, verdict: 'same' })
    await close(given.id, 'needs_human')
    expect((await rungs(given.namespace)).map((rung) => rung.mode)).toEqual(expected)
  })

  test('whatever the run made of it: what the rows make a person’s case counts, and so does a lost run', async () => {
    const [denied, lost] = [await acted(), await acted()]
    expect(await close(denied.id, 'no_action_needed')).toMatchObject({ ending: { outcome: 'needs_human' } })
    await close(lost.id, 'needs_human', { source: 'reconciler', runId: null })
    expect(await rungs(denied.namespace)).toHaveLength(1)
    expect(await rungs(lost.namespace)).toHaveLength(1)
  })

  test('a call that may still land counts as one that did', async () => {
    const given = { ...(await recorded(db, { namespace: `n-${randomUUID()}`, standing: stood('auto', 'scale') })) }
    await beginAttempt(db.execution, given)
    expect(await close(given.id, 'blocked', { source: 'reconciler', runId: null })).toMatchObject({ ending: { outcome: 'needs_human', reason: 'unfenced' } })
    const { rows: found } = await db.reader.raw('select mode from ledger.rung where remediation_id = ?', [given.id])
    expect(found).toEqual([{ mode: 'approve' }])
  })

  test('healed takes nobody down, and neither does what never acted', async () => {
    const healed = await acted({ verdict: 'better' })
    await close(healed.id, 'healed')
    const idle = await permitted(db, { namespace: `n-${randomUUID()}`, standing: stood('auto', 'scale') })
    await close(idle.id, 'needs_human')
    expect(await rungs(healed.namespace)).toEqual([])
    expect((await db.reader.raw('select count(*) from ledger.rung where remediation_id = ?', [idle.id])).rows[0].count).toBe('0')
  })

  test('once, however often and by however many it is closed', async () => {
    const given = await acted()
    await Promise.all(times(10, (index) => close(given.id, 'needs_human', index % 2 ? { source: 'reconciler', runId: null } : {})))
    await close(given.id, 'needs_human')
    expect(await rungs(given.namespace)).toHaveLength(1)
    expect(await entriesOf(given.namespace)).toHaveLength(1)
  })

  test('in the transaction of the ending: without the one there is not the other', async () => {
    const given = await acted()
    const trx = await db.decision.transaction()
    await closeRemediation(trx, { id: given.id, ending: { outcome: 'needs_human', reason: 'r', message: 'm', verdict: null }, source: 'workflow', runId: 'run', firstRunId: null, newId: freshId, breaker: neverBreaks })
    await trx.rollback()
    expect(await rungs(given.namespace)).toEqual([])
    await close(given.id, 'needs_human')
    expect(await rungs(given.namespace)).toHaveLength(1)
  })

  test('two at once are two rungs, and many more end at `suggest`', async () => {
    const namespace = `n-${randomUUID()}`
    const given = [await acted({ namespace }), await acted({ namespace }), await acted({ namespace }), await acted({ namespace })]
    await Promise.all(given.map(({ id }) => close(id, 'needs_human')))
    expect((await rungs(namespace)).map(({ mode }) => mode)).toEqual(['approve', 'suggest'])
  })
})

const policy = `
apiVersion: aegis.dev/policy/v1
id: scale
effect: allow
actions: ['deployment:scale']
resources: ['k8s:*/**']
---
apiVersion: aegis.dev/policy/v1
id: elsewhere
effect: allow
actions: ['pod:restart']
resources: ['k8s:*/**']
`

describe('the next decision', () => {
  const evaluate = async (namespace: string, { cluster = 'main', stale = false }: { cluster?: string; stale?: boolean } = {}) => {
    const target = { cluster, namespace, kind: 'Deployment', name: randomUUID() } as const
    const { id } = await decided(db, { target })
    const deps = {
      db: db.decision, store, freshId, settings: { modeOf: () => 'auto', policyTrialMs: 0, isProduction: () => false, approvalTimeoutMs: 60_000, tzdata: 't' },
      policies: { current: () => ({ snapshot: compileFiles([{ name: 'a.yaml', text: policy }]).snapshot!, ageMs: 0, stale, ...(stale ? { error: 'away' } : {}) }) },
    } as unknown as DecisionDeps
    const result = await evaluatePolicy(deps)({ id, cluster, digest })
    return { id, result, stored: (await store.latestDecision(db.reader, id))! }
  }

  test('asks a person, says why, and can be made again from its row', async () => {
    const given = await acted()
    expect((await evaluate(given.namespace)).result).toMatchObject({ proceed: 'act' })
    await close(given.id, 'needs_human')
    const { result, stored } = await evaluate(given.namespace)
    const message = `the mode is \`approve\`: a person is asked first, because policy \`scale\` was demoted to \`approve\` in main/${given.namespace} after remediation \`${given.id}\` ended needs_human`
    expect(result).toMatchObject({ proceed: 'ask', summary: `approval wanted: ${message}` })
    const { given: settings, rungs: kept, standing, floor, trial, ...capped } = stored.autonomy!
    expect([floor, trial]).toEqual([null, null])
    expect(capped).toEqual({ mode: 'approve', code: 'mode_approve', message })
    expect(standing).toEqual([{ policy: 'scale', ceiling: 'auto', mode: 'approve' }])
    const decision = stored.decision as unknown as Decision
    expect(capByMode(decision, settings, kept)).toEqual({ proceed: stored.proceed, ...capped })
    expect(standingOf(decision.binding, settings, kept)).toEqual(standing)
  })

  test('goes by the newest rung', async () => {
    const given = await acted()
    await close(given.id, 'needs_human')
    const again = await acted({ mode: 'approve', namespace: given.namespace })
    await close(again.id, 'needs_human')
    const { result } = await evaluate(given.namespace)
    expect(result).toMatchObject({ proceed: 'stop', ending: { outcome: 'suggested', reason: 'mode_suggest', message: expect.stringContaining(`after remediation \`${again.id}\``) } })
  })

  test('is a denial where the policies could not be confirmed, whatever they would say', async () => {
    const { result } = await evaluate(`n-${randomUUID()}`, { stale: true })
    expect(result).toMatchObject({ proceed: 'stop', ending: { outcome: 'denied', reason: 'policy_stale', message: expect.stringContaining('away') } })
  })

  test('elsewhere, and of policies that do not permit it, is as before', async () => {
    const [given, other] = [await acted(), await acted({ policies: ['elsewhere'] })]
    await close(given.id, 'needs_human')
    await close(other.id, 'needs_human')
    expect((await evaluate(`n-${randomUUID()}`)).result).toMatchObject({ proceed: 'act' })
    expect((await evaluate(other.namespace)).result).toMatchObject({ proceed: 'act' })
    expect((await evaluate(given.namespace, { cluster: 'edge' })).result).toMatchObject({ proceed: 'act' })
  })

  test('is not made where rungs cannot be read', async () => {
    const given = await acted()
    await db.owner.raw('alter table ledger.rung rename to hidden')
    await expect(evaluate(given.namespace).finally(() => db.owner.raw('alter table ledger.hidden rename to rung'))).rejects.toMatchObject({ kind: 'unavailable' })
  })
})

describe('rights', () => {
  const given = { policy_id: 'scale', cluster: 'main', namespace: 'rights', mode: 'approve', kind: 'demoted', reason: 'r', evidence: '{}', principal: 'p', owner: 'o' }
  const insert = (role: 'api' | 'decision', change: object) => db[role]('ledger.rung').insert({ rung_id: randomUUID(), ...given, ...change })
  const idOf = async () => (await acted()).id

  test('the decision worker can only demote, and only after a remediation', async () => {
    await expect(insert('decision', {})).rejects.toMatchObject({ code: '42501' })
    await expect(insert('decision', { kind: 'promoted', mode: 'auto', remediation_id: await idOf() })).rejects.toMatchObject({ code: '42501' })
    await expect(insert('decision', { mode: 'auto', remediation_id: await idOf() })).rejects.toMatchObject({ code: 'AE006' })
    await expect(insert('decision', { at: '2020-01-01', remediation_id: await idOf() })).rejects.toMatchObject({ code: '42501' })
  })

  test.each([
    ['up by a demotion', { mode: 'approve' }, { mode: 'auto' }],
    ['nowhere', { mode: 'approve' }, { mode: 'approve' }],
    ['up two rungs', { mode: 'suggest' }, { kind: 'promoted', mode: 'auto' }],
    ['down by a promotion', { mode: 'approve' }, { kind: 'promoted', mode: 'suggest' }],
  ])('nobody steps %s', async (_where, first, second) => {
    const namespace = `n-${randomUUID()}`
    await insert('api', { namespace, ...first })
    await expect(insert('api', { namespace, ...second })).rejects.toMatchObject({ code: 'AE006' })
  })

  test('a rung is for ever, for the owner as well', async () => {
    await insert('api', { namespace: 'for-ever' })
    for (const sql of [`update ledger.rung set mode = 'auto'`, 'delete from ledger.rung', 'truncate ledger.rung']) await expect(db.owner.raw(sql)).rejects.toMatchObject({ code: 'AE004' })
  })
})

test('a person steps down any number of rungs, and not where it stands already', async () => {
  const key = { policy: 'scale', cluster: 'main', namespace: `n-${randomUUID()}`, reason: 'a sale is on', principal: bob }
  expect(await demoteRung(db.api, { ...key, mode: 'suggest' })).toMatchObject({ stepped: true, rung: { mode: 'suggest', by: 'bob', remediationId: null } })
  expect(await demoteRung(db.api, { ...key, mode: 'approve' })).toEqual({ stepped: false, because: 'not_lower', stands: 'suggest' })
  expect(await entriesOf(key.namespace)).toMatchObject([{ kind: 'demoted', actor: { id: 'bob' }, body: { mode: 'suggest', reason: 'a sale is on', evidence: { from: 'auto' } } }])
  expect(await listLadder(db.api, { areas: null, namespace: key.namespace })).toMatchObject([{ mode: 'suggest', held: true, proposal: null }])
})
