/** Waiting for people on a real Temporal and PostgreSQL, answered over HTTP; the cluster alone is told what to say. */
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Client, Connection } from '@temporalio/client'
import { NativeConnection, Worker } from '@temporalio/worker'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Knex } from 'knex'
import { decisionSteps } from '../../activities/decision.ts'
import type { DecisionDeps, ExecutionDeps } from '../../activities/deps.ts'
import { executionSteps } from '../../activities/execution.ts'
import { compileFiles } from '../../adapters/policies/files.ts'
import { setEscalation } from '../../adapters/postgres/escalations.ts'
import { readStream } from '../../adapters/postgres/ledger.ts'
import * as store from '../../adapters/postgres/store.ts'
import { sha256Hex } from '../../adapters/signing.ts'
import type { DeploymentObservation } from '../../domain/actions/observation.ts'
import { usualBreaker } from '../../domain/guards/breaker.ts'
import { globally } from '../../domain/identity.ts'
import type { Role, Target } from '../../domain/remediation.ts'
import { decideQueue, executeQueue } from '../../temporal/names.ts'
import { startRelay } from '../../temporal/relay.ts'
import { startApi, type TestApi } from '../helpers/api.ts'
import { login, personWith } from '../helpers/people.ts'
import { eventually, stack } from '../helpers/stack.ts'
import { bundle } from '../replay/stage.ts'
import { alice, freshId, health, openDatabase, workload, type TestDatabase } from './postgres/database.ts'

let db: TestDatabase
let api: TestApi
let client: Client
let ending: () => Promise<void>

const answerTimeoutMs = 12_000
const policy = `
apiVersion: aegis.dev/policy/v1
id: ask-dba
effect: require_approval
actions: ['*']
resources: ['k8s:**']
obligations: { approverGroups: [dba] }
owner: tests
`

beforeAll(async () => {
  db = await openDatabase()
  api = await startApi({ db: db.api, temporal: stack.temporal.address, directory: null })
  client = new Client({ connection: await Connection.connect({ address: stack.temporal.address }) })
  // A rule waits for a minute at least, and these tests do not: the bound is set aside in this database alone.
  await db.owner.raw('alter table ledger.escalation_rule drop constraint escalation_rule_after_ms_check')
  await setEscalation(db.api, { group: 'dba', to: 'sre-leads', afterMs: 3_000 }, alice)
  ending = await startWorkers()
}, 60_000)
afterAll(async () => {
  await ending()
  await client.connection.close()
  await api.close()
  await db.close()
})

async function startWorkers(): Promise<() => Promise<void>> {
  const connection = await NativeConnection.connect({ address: stack.temporal.address })
  const common = { connection, namespace: 'default', shutdownGraceTime: 0 }
  const workers = [
    await Worker.create({ ...common, taskQueue: decideQueue, workflowBundle: await bundle(), activities: decisionSteps(decisionDeps(db.decision)) }),
    await Worker.create({ ...common, taskQueue: executeQueue('main'), activities: executionSteps(executionDeps(db.execution)) }),
  ]
  const running = workers.map((worker) => worker.run())
  const pool = db.decision
  const outbox = {
    unstarted: (limit: number) => store.unstartedRequests(pool, limit), markStarted: (id: string) => store.markStarted(pool, id), inFlight: () => store.inFlightCounts(pool),
    undelivered: (limit: number) => store.undeliveredAnswers(pool, limit), markDelivered: (answerId: string) => store.markDelivered(pool, answerId),
  }
  const relay = startRelay({ client, outbox, inFlightLimit: 10, everyMs: 200, onFailure: () => undefined })
  return async () => {
    await relay.stop()
    workers.forEach((worker) => worker.shutdown())
    await Promise.all(running)
    await connection.close()
  }
}

const timing = { settleMs: 0, verifyTimeoutMs: 2_000, undoTimeoutMs: 1_000, fenceTimeoutMs: 1_000 }
const observed = ({ name }: Target): DeploymentObservation => ({
  kind: 'Deployment', target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name }, uid: `uid-${name}`, resourceVersion: '1', workload: workload(name), ignored: false, health,
  labels: { workload: {}, namespace: {} }, terms: { errorBudgetExhausted: false, minAvailable: null, maxUnavailable: 1 }, stamps: [],
  generation: 3, observedGeneration: 3, replicas: 2, paused: false, templateHash: 'aa', revisionHistoryLimit: 10, revisions: [], managers: [],
})
const after = { ...health, desired: 4, updated: 4, ready: 4, available: 4 }

const decisionDeps = (pool: Knex) => ({
  db: pool, store, sha256: sha256Hex, freshId, freshNonce: randomUUID, page: () => undefined,
  clusters: () => ({ name: 'main', observe: async (target: Target) => observed(target), crowd: async () => [], health: async () => ({ health: after, rollout: 'complete', podGone: null }) }),
  policies: { current: () => ({ snapshot: compileFiles([{ name: 'ask.yaml', text: policy }]).snapshot!, ageMs: 0, stale: false }) },
  signer: { keyId: 'k1', sign: () => 'c2ln' },
  settings: {
    modeOf: () => 'auto', tzdata: '2025b', timing, approvalTimeoutMs: answerTimeoutMs, limits: [], concurrency: [], namespaces: ['shop'], policyTrialMs: 0, isProduction: () => false,
    guards: { disruption: { workloadPercent: 100, namespacePercent: 100, windowMs: 1 }, majorityPercent: 0, afterRolloutMs: 0, afterActionMs: 0, flap: { limit: 1_000, windowMs: 1 }, breaker: usualBreaker },
  },
}) as unknown as DecisionDeps

const executionDeps = (pool: Knex) => ({
  db: pool, store, sha256: sha256Hex, verify: () => true, keyedDigest: sha256Hex, allowedNamespaces: ['shop'], sleep, nowMs: Date.now,
  cluster: {
    name: 'main', preflight: async () => ({ checks: [], diff: [], undo: 'planned', refusal: null }),
    read: async ({ target }: { target: Target }) => ({ exists: true, kind: 'Deployment', uid: `uid-${target.name}`, resourceVersion: '1', stamps: [], generation: 3, replicas: 2, paused: false, templateHash: 'aa', annotated: true }),
    send: async () => ({ sent: 'applied', resourceVersion: '2' }), health: async () => ({ health: after, rollout: 'complete', podGone: null }),
  },
}) as unknown as ExecutionDeps

async function someone(roles: Role[], groups: string[] = []) {
  const { username } = await personWith(db.api, globally(roles), { groups })
  return { name: username, key: (await login(api, username)).accessToken }
}

type Shown = { phase: string; outcome: string | null; plan: { digest: string } | null; decision: { code: string; decidedAt: string; autonomy: { code: string } | null; approvals: { missingGroups: string[]; escalations: { to: string; saidAt: string | null }[] } } | null; closedAt: string | null }

/** Asked for by this person; the relay starts it. */
async function asked(by: { key: string }, replicas = 4) {
  const body = { action: 'scale_deployment', target: { namespace: 'shop', kind: 'Deployment', name: `web-${randomUUID().slice(0, 8)}` }, parameters: { replicas }, reason: 'too slow' }
  const { body: accepted } = await api.call('POST', '/api/v1/remediations', { key: by.key, body })
  const id = accepted['id'] as string
  const show = async () => (await api.call('GET', `/api/v1/remediations/${id}`, { key: by.key })).body as Shown
  const until = (what: string, holds: (shown: Shown) => boolean) => eventually(`the remediation ${what}`, async () => {
    const shown = await show()
    return holds(shown) && shown
  })
  const waits = await until('waits for people', ({ phase, decision }) => phase === 'awaiting_approval' && decision !== null)
  const say = async (verb: string, who: { key: string }, more: object = {}) => {
    const { status, problem } = await api.call('POST', `/api/v1/remediations/${id}/${verb}`, { key: who.key, body: { planDigest: waits.plan!.digest, ...more } })
    return status === 200 || status === 202 ? 'taken' : problem.code
  }
  return { id, show, until, say, ends: () => until('ends', ({ outcome }) => outcome !== null) }
}
const reason = 'the shop is down and nobody of the group answers'

test('nobody of the group answers: its voice comes to another, whose member answers, and the run goes on', async () => {
  const [ann, lead] = [await someone(['user']), await someone(['approver'], ['sre-leads'])]
  const run = await asked(ann)
  expect(await run.say('approve', lead)).toBe('taken')
  const short = await run.until('counts the early answer', ({ decision, phase }) => phase === 'awaiting_approval' && decision?.approvals.missingGroups.length === 1)
  expect(short.decision?.approvals.escalations).toMatchObject([{ to: 'sre-leads', saidAt: null }])
  await run.until('escalates', ({ decision }) => decision?.approvals.escalations[0]?.saidAt !== null)
  expect((await client.workflow.getHandle(run.id).query<{ step: string }>('status')).step).toBe('escalated to `sre-leads`')
  expect(await run.say('approve', lead)).toBe('taken')
  expect(await run.ends()).toMatchObject({ outcome: 'healed', decision: { code: 'approved' } })
  expect((await readStream(db.reader, run.id)).filter(({ kind }) => kind === 'approval_escalated')).toHaveLength(1)
})

test('nobody answers at all: it ends unanswered, when it would have without the escalation', async () => {
  const run = await asked(await someone(['user']))
  const { closedAt, decision } = await run.ends()
  expect((await run.show()).outcome).toBe('unanswered')
  const waitedMs = Date.parse(closedAt!) - Date.parse(decision!.decidedAt)
  expect(waitedMs).toBeGreaterThanOrEqual(answerTimeoutMs)
  expect(waitedMs).toBeLessThan(answerTimeoutMs + 4_000)
  expect((await readStream(db.reader, run.id)).filter(({ kind }) => kind === 'approval_escalated')).toHaveLength(1)
})

test('whoever asked breaks the glass: it acts, and the decision says by whose hand', async () => {
  const ann = await someone(['approver'])
  const run = await asked(ann)
  expect(await run.say('approve', ann)).toBe('own_request')
  expect(await run.say('break-glass', ann, { reason })).toBe('taken')
  expect(await run.ends()).toMatchObject({ outcome: 'healed', decision: { code: 'break_glass', approvals: { breakGlass: [ann.name], given: 0 } } })
})

test('at the floor a broken glass keeps waiting: it takes two people besides', async () => {
  const [ann, ben] = [await someone(['approver']), await someone(['approver'])]
  const run = await asked(ann, 0)
  expect(await run.say('break-glass', ann, { reason })).toBe('taken')
  expect(await run.until('is judged again', ({ decision, phase }) => phase === 'awaiting_approval' && decision?.code === 'break_glass')).toMatchObject({ decision: { autonomy: { code: 'floor', floor: { needed: 2, given: 0 } } } })
  expect(await run.say('approve', ben)).toBe('taken')
  await run.until('counts one person', ({ decision }) => (decision?.autonomy as { floor?: { given: number } } | null)?.floor?.given === 1)
  expect(await run.ends()).toMatchObject({ outcome: 'unanswered' })
})
