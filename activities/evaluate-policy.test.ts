import { describe, expect, test } from '@jest/globals'
import { compileFiles } from '../adapters/policies/files.ts'
import type { DecisionRow } from '../adapters/postgres/decisions.ts'
import type { Waiting } from '../adapters/postgres/escalations.ts'
import { deploymentSample } from '../domain/actions/fixtures/deployment.ts'
import type { StandIn } from '../domain/approvals/stand-in.ts'
import { scaleDeployment } from '../domain/actions/scale_deployment.ts'
import type { Principal } from '../domain/remediation.ts'
import type { DecisionDeps } from './deps.ts'
import { evaluatePolicy } from './evaluate-policy.ts'

const allow = `
apiVersion: aegis.dev/policy/v1
id: allow
name: Anything
effect: allow
actions: ['*']
resources: ['k8s:*/**']
owner: tests
`
const ask = allow.replace('id: allow', 'id: ask').replace('effect: allow', 'effect: require_approval')
const evenings = `
apiVersion: aegis.dev/policy/v1
id: evenings
name: Nobody touches anything in the evening
effect: deny
actions: ['*']
resources: ['k8s:*/**']
owner: tests
when:
  time:
    zone: Europe/Berlin
    windows: [{ days: [mon, tue, wed, thu, fri, sat, sun], from: '18:00', to: '23:00' }]
`

const at = (time: string) => new Date(`2026-06-03T${time}:00+02:00`)
const person = (id: string): Principal => ({ id, kind: 'person', owner: id, roles: ['approver'] })
const none = { windowMs: 0, effects: 0, bad: 0 }

type Given = { principal: Principal; at: string; standsFor?: StandIn[]; breakGlass?: boolean }
type Moment = { policies: string; now: Date; replicas?: number; approvals?: Given[]; waiting?: Partial<Waiting>; exhausted?: boolean; production?: boolean; since?: string; trialMs?: number }

/** One evaluation with the rows as they are at that moment. */
async function evaluate({ policies, now, replicas = 5, approvals = [], waiting = {}, exhausted = false, production = false, since, trialMs = 86_400_000 }: Moment) {
  const saved: DecisionRow[] = []
  const snapshot = compileFiles([{ name: 'p.yaml', text: policies }]).snapshot!
  const terms = { ...deploymentSample.terms, errorBudgetExhausted: exhausted }
  const plan = scaleDeployment.plan(deploymentSample, { replicas }, null)
  const request = { id: 'r', door: 'api', principal: person('alice'), action: 'scale_deployment', target: deploymentSample.target, parameters: {}, reason: '', severity: 'high', fault: null, incident: null, attempt: 1, acceptedAt: '', deadlineAt: '2026-06-04T00:00:00Z' }
  const deps = {
    db: {},
    store: {
      factsForDecision: async () => ({ request, plan: { plan, digest: 'd', baseline: deploymentSample.health, labels: deploymentSample.labels, terms, observedAt: now.toISOString() }, now, approvals: approvals.map((one) => ({ standsFor: [], breakGlass: false, ...one })), askedUntil: null, rungs: [] }),
      waitingOf: async () => ({ rules: [], askedAt: null, waitedMs: 0, wanted: [], done: [], ...waiting }),
      historyCounts: async () => ({ workload: [none], namespace: [none], action: [none], sinceLastActionMs: null }),
      saveDecision: async (_db: unknown, row: DecisionRow) => void saved.push(row),
    },
    policies: { current: () => ({ snapshot, published: since === undefined ? null : { documents: snapshot.policies.map(({ document }) => document), members: snapshot.policies.map(() => ({ since })) }, ageMs: 0, stale: false }) },
    freshId: () => 'decision',
    settings: { modeOf: () => 'auto', policyTrialMs: trialMs, isProduction: () => production, approvalTimeoutMs: 60 * 60_000, tzdata: 't' },
  }
  const result = await evaluatePolicy(deps as unknown as DecisionDeps)({ id: 'r', cluster: 'main', digest: 'd' })
  return { result, saved: saved[0]! }
}

describe('a freeze window that recurs is a policy that denies', () => {
  const bob = { principal: person('bob'), at: at('17:59').toISOString() }
  test('it is asked again when the action is about to be carried out, not only when it was asked for', async () => {
    const both = `${ask}---${evenings}`
    expect((await evaluate({ policies: both, now: at('17:50') })).result).toMatchObject({ proceed: 'ask' })
    expect((await evaluate({ policies: both, now: at('17:59'), approvals: [bob] })).result).toMatchObject({ proceed: 'act' })
    const late = await evaluate({ policies: both, now: at('18:00'), approvals: [bob] })
    expect(late.result).toMatchObject({ proceed: 'stop', ending: { outcome: 'denied' } })
  })
  test('and a decision of just before it holds only until it begins', async () => {
    const { saved } = await evaluate({ policies: `${allow}---${evenings}`, now: at('17:59') })
    expect((saved.decision as unknown as { validUntil: number }).validUntil).toBe(at('18:00').getTime())
  })
})

describe('the floor under every policy', () => {
  const yes = (id: string, time = '12:00') => ({ principal: person(id), at: at(time).toISOString() })
  test('a scale to 0 that policy allows waits for two people, and the decision keeps why', async () => {
    const asked = await evaluate({ policies: allow, now: at('12:01'), replicas: 0, approvals: [yes('bob')] })
    expect(asked.result).toMatchObject({ proceed: 'ask', answerTimeoutMs: 15 * 60_000, summary: expect.stringContaining('a scale to 0 needs the approval of 2 people') })
    expect(asked.saved.autonomy).toMatchObject({ code: 'floor', floor: { reasons: ['a scale to 0'], needed: 2, given: 1 } })
    expect(asked.saved.proceed).toBe('ask')
  })
  test('and acts once they agreed, as long as their word is fresh', async () => {
    const approvals = [yes('bob'), yes('carol')]
    expect((await evaluate({ policies: allow, now: at('12:14'), replicas: 0, approvals })).result).toMatchObject({ proceed: 'act' })
    expect((await evaluate({ policies: allow, now: at('12:15'), replicas: 0, approvals })).result).toMatchObject({ proceed: 'ask' })
  })
  test('a spent error budget denies what takes capacity away, and policies see it', async () => {
    const { result, saved } = await evaluate({ policies: allow, now: at('12:00'), replicas: 2, exhausted: true })
    expect(result).toMatchObject({ proceed: 'stop', ending: { outcome: 'denied', reason: 'error_budget_exhausted' } })
    expect(saved).toMatchObject({ proceed: 'deny', input: { target: { errorBudget: 'exhausted' } } })
    expect((await evaluate({ policies: allow, now: at('12:00'), replicas: 5, exhausted: true })).result).toMatchObject({ proceed: 'act' })
  })
})

describe('a new allow policy', () => {
  const at12 = { policies: allow, now: at('12:00') }
  test('suggests for as long as its trial lasts, and says what it would have done', async () => {
    const { result, saved } = await evaluate({ ...at12, since: '2026-06-02T12:00:01+02:00' })
    expect(result).toMatchObject({ proceed: 'stop', ending: { outcome: 'suggested', reason: 'policy_trial' } })
    expect(saved).toMatchObject({ proceed: 'suggest', autonomy: { code: 'policy_trial', trial: { policies: ['allow'], otherwise: 'act' } } })
    expect((await evaluate({ ...at12, since: '2026-06-02T12:00:00+02:00' })).result).toMatchObject({ proceed: 'act' })
    expect((await evaluate({ ...at12, since: at('11:59').toISOString(), trialMs: 0 })).result).toMatchObject({ proceed: 'act' })
  })
})

describe('a group that is asked for and does not answer', () => {
  const dba = ask.replace('owner: tests', 'owner: tests\nobligations: { approverGroups: [dba], approvalTtl: 20m }')
  const minute = 60_000
  const waiting = { rules: [{ group: 'dba', to: 'sre', afterMs: 5 * minute }, { group: 'sre', to: 'leads', afterMs: 10 * minute }, { group: 'other', to: 'sre', afterMs: minute }] }
  const asking = { policies: dba, now: at('12:00') }
  test('is told with the question when its voice comes to others, within the time for answers', async () => {
    expect((await evaluate({ ...asking, waiting })).result).toMatchObject({ proceed: 'ask', answerTimeoutMs: 20 * minute, escalations: [{ group: 'dba', to: 'sre', inMs: 5 * minute }, { group: 'dba', to: 'leads', inMs: 15 * minute }] })
    const later = { ...waiting, waitedMs: 6 * minute, done: [{ group: 'dba', to: 'sre', at: '' }] }
    expect((await evaluate({ ...asking, waiting: later })).result).toMatchObject({ escalations: [{ group: 'dba', to: 'leads', inMs: 9 * minute }] })
    expect((await evaluate({ ...asking, policies: dba.replace('20m', '15m'), waiting })).result).toMatchObject({ escalations: [{ to: 'sre' }] })
  })
  test('without a rule the answer is as it always was', async () => {
    expect((await evaluate(asking)).result).not.toHaveProperty('escalations')
    expect((await evaluate({ ...asking, policies: ask, waiting })).result).not.toHaveProperty('escalations')
  })
  test('is spoken for by whoever stood in for it when they approved, and the input on record shows it', async () => {
    const bob = { principal: person('bob'), at: at('11:59').toISOString() }
    expect((await evaluate({ ...asking, approvals: [bob] })).result).toMatchObject({ proceed: 'ask' })
    const { result, saved } = await evaluate({ ...asking, approvals: [{ ...bob, standsFor: [{ group: 'dba', because: 'escalation', from: 'sre' }] }] })
    expect([result.proceed, saved.input]).toMatchObject(['act', { approvals: [{ owner: 'bob', groups: ['dba'] }] }])
  })
})

describe('a break-glass', () => {
  const glass = (id: string) => ({ principal: person(id), at: at('11:59').toISOString(), breakGlass: true })
  test('of whoever asked lets policy’s question be', async () => {
    const { result, saved } = await evaluate({ policies: ask, now: at('12:00'), approvals: [glass('alice')] })
    expect([result.proceed, saved.decision.code, saved.input]).toMatchObject(['act', 'break_glass', { approvals: [{ owner: 'alice', breakGlass: true }] }])
  })
  test('does not pass the floor: it is one of two approvals there, and the requester’s none', async () => {
    const zero = { policies: ask, now: at('12:00'), replicas: 0 }
    expect((await evaluate({ ...zero, approvals: [glass('alice')] })).saved.autonomy).toMatchObject({ code: 'floor', floor: { needed: 2, given: 0 } })
    expect((await evaluate({ ...zero, approvals: [glass('bob')] })).saved.autonomy).toMatchObject({ code: 'floor', floor: { needed: 2, given: 1 } })
    expect((await evaluate({ ...zero, approvals: [glass('bob'), { ...glass('carol'), breakGlass: false }] })).result).toMatchObject({ proceed: 'act' })
  })
})

test('no policies at all deny', async () => {
  const { result } = await evaluate({ policies: '', now: at('12:00') })
  expect(result).toMatchObject({ proceed: 'stop', ending: { outcome: 'denied', reason: 'no_policy_matched' } })
})
