import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { asyncLocalStorage, type Context } from '@temporalio/activity'
import type { ActivityExecuteInput } from '@temporalio/worker'
import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import { decisionSteps } from '../../../activities/decision.ts'
import type { DecisionDeps, ExecutionDeps, GuardRules } from '../../../activities/deps.ts'
import { executionSteps } from '../../../activities/execution.ts'
import { stepInterceptor } from '../../../activities/interceptor.ts'
import type { StepRecord } from '../../../adapters/postgres/steps.ts'
import type { DecisionSteps, ExecutionSteps } from '../../../activities/results.ts'
import { compileFiles } from '../../../adapters/policies/files.ts'
import { connectDatabase } from '../../../adapters/postgres/connect.ts'
import * as store from '../../../adapters/postgres/store.ts'
import { sha256Hex } from '../../../adapters/signing.ts'
import type { DeploymentObservation } from '../../../domain/actions/observation.ts'
import type { AttemptRead } from '../../../domain/actions/situation.ts'
import { usualBreaker } from '../../../domain/guards/breaker.ts'
import { firstBrokenLink } from '../../../domain/ledger.ts'
import { countingProxy, type Count, type CountingProxy } from './counting-proxy.ts'
import { draftOf, freshId, health, openDatabase, workload, type TestDatabase } from './database.ts'

type Side = 'decision' | 'execution'

let db: TestDatabase
const proxies = {} as Record<Side, CountingProxy>
const pools = {} as Record<Side, Knex>
beforeAll(async () => {
  db = await openDatabase()
  for (const side of ['decision', 'execution'] as const) {
    proxies[side] = await countingProxy(db.urlOf(side))
    pools[side] = connectDatabase({ url: proxies[side].url, applicationName: 'aegis-test', poolMax: 5 })
  }
})
afterAll(async () => {
  for (const side of ['decision', 'execution'] as const) {
    await pools[side]?.destroy()
    await proxies[side]?.close()
  }
  await db?.close()
})

const policy = `
apiVersion: aegis.dev/policy/v1
id: allow
name: Anything
effect: allow
actions: ['*']
resources: ['k8s:*/**']
owner: tests
`

const name = randomUUID()
const target = { cluster: 'main', namespace: 'shop', kind: 'Deployment', name } as const

const observation: DeploymentObservation = {
  kind: 'Deployment', target, uid: `uid-${name}`, resourceVersion: '1', workload: workload(name), ignored: false, health, labels: { workload: {}, namespace: {} }, terms: { errorBudgetExhausted: false, minAvailable: null, maxUnavailable: 1 }, stamps: [],
  generation: 3, observedGeneration: 3, replicas: 2, paused: false, templateHash: 'aa', revisionHistoryLimit: 10, revisions: [], managers: [],
}
const read: AttemptRead = { exists: true, kind: 'Deployment', uid: `uid-${name}`, resourceVersion: '1', stamps: [], generation: 3, replicas: 2, paused: false, templateHash: 'aa', annotated: true }
const scaled = { ...health, desired: 4, updated: 4, ready: 4, available: 4 }
const timing = { settleMs: 0, verifyTimeoutMs: 1_000, undoTimeoutMs: 1_000, fenceTimeoutMs: 1_000 }

const guards: GuardRules = {
  disruption: { workloadPercent: 20, namespacePercent: 10, windowMs: 60_000 }, majorityPercent: 40, afterRolloutMs: 60_000, afterActionMs: 60_000,
  flap: { limit: 1_000, windowMs: 60_000 }, breaker: usualBreaker,
}

const decisionDeps = () => ({
  db: pools.decision, store, sha256: sha256Hex, freshId, freshNonce: randomUUID,
  clusters: () => ({ name: 'main', observe: async () => observation, health: async () => ({ health: scaled, rollout: 'complete', podGone: null }) }),
  policies: { current: () => ({ snapshot: compileFiles([{ name: 'allow.yaml', text: policy }]).snapshot!, ageMs: 0, stale: false }) },
  signer: { keyId: 'k1', sign: () => 'c2ln' },
  settings: {
    modeOf: () => 'auto', tzdata: '2025b', timing, approvalTimeoutMs: 1_000,
    limits: [{ key: 'scale', action: 'scale_deployment', scope: 'workload', limit: 9, windowMs: 60_000 }],
    concurrency: [{ key: 'at-once', scope: 'cluster', limit: 9 }],
    namespaces: ['shop'], policyTrialMs: 86_400_000, isProduction: () => false, guards,
  },
}) as unknown as DecisionDeps

const executionDeps = () => ({
  db: pools.execution, store, sha256: sha256Hex, verify: () => true, keyedDigest: sha256Hex, allowedNamespaces: ['shop'], sleep: async () => undefined, nowMs: Date.now,
  cluster: {
    name: 'main', preflight: async () => ({ checks: [], diff: [], refusal: null }), read: async () => read,
    send: async () => ({ sent: 'applied', resourceVersion: '2' }), health: async () => ({ health: scaled, rollout: 'complete', podGone: null }),
  },
}) as unknown as ExecutionDeps

type Around = (input: ActivityExecuteInput, next: (input: ActivityExecuteInput) => Promise<unknown>) => Promise<unknown>

/** Runs steps as a worker does, around each the real interceptor, and keeps what each cost. */
function worker(side: Side, steps: DecisionSteps | ExecutionSteps) {
  let calls = 0
  const record = (attempt: StepRecord) => store.recordStep(pools[side], attempt)
  const execute = stepInterceptor({ heartbeatEveryMs: 60_000, onEnd() {}, onFailure() {}, record }).execute as Around
  return async <Result>(step: string, input: object, attempt = 1): Promise<{ result: Result; cost: Count }> => {
    const info = { activityType: step, activityId: `${++calls}`, attempt, workflowExecution: { runId: 'run' }, isLocal: false }
    const next = ({ args }: ActivityExecuteInput) => (steps as unknown as Record<string, (given: unknown) => Promise<unknown>>)[step]!(args[0])
    proxies[side].take()
    const context = { info, heartbeat() {} } as unknown as Context
    const result = await asyncLocalStorage.run(context, () => execute({ args: [input], headers: {} }, next))
    return { result: result as Result, cost: proxies[side].take() }
  }
}

/** One remediation from the bound run to its ending, as the workflow asks for it. */
async function heal(): Promise<{ id: string; costs: Record<string, Count> }> {
  const costs: Record<string, Count> = {}
  const [decide, execute] = [worker('decision', decisionSteps(decisionDeps())), worker('execution', executionSteps(executionDeps()))]
  const { request: { id } } = await store.acceptRequest(db.api, draftOf({ target }))
  const ref = { id, cluster: 'main' }
  const told: Record<string, unknown> = {}
  const step = async (side: typeof decide, called: string, input: object) => {
    const { result, cost } = await side<Record<string, unknown>>(called, { ...ref, ...told, ...input })
    costs[called] = cost
    for (const key of ['digest', 'decisionId', 'claimToken', 'warrantId']) if (key in result) told[key] = result[key]
    return result
  }
  await step(decide, 'detect', { firstRunId: 'run' })
  await step(decide, 'plan', { expected: null })
  await step(execute, 'preflight', {})
  await step(decide, 'evaluatePolicy', {})
  await step(decide, 'reserve', {})
  await step(decide, 'issueWarrant', { phase: 'act' })
  await step(execute, 'validateSignature', { phase: 'act' })
  await step(execute, 'recordIntent', { phase: 'act', runId: 'run' })
  expect(await step(execute, 'executeAction', {})).toMatchObject({ effect: 'applied' })
  expect(await step(execute, 'verify', { startMs: Date.now(), settleMs: 0, timeoutMs: 1_000 })).toMatchObject({ verdict: expect.any(String) })
  const ending = { outcome: 'healed', reason: 'verified', message: 'm', verdict: 'better' }
  expect(await step(decide, 'close', { ending, runId: 'run', firstRunId: 'run', source: 'workflow' })).toMatchObject({ ending })
  return { id, costs }
}

const total = (costs: Record<string, Count>, what: keyof Count) => Object.values(costs).reduce((sum, cost) => sum + cost[what], 0)

test('a healed remediation takes at most 23 transactions and 43 statements', async () => {
  await heal() // connections are opened, and the workload has been acted on before
  const { costs } = await heal()
  console.log(Object.entries(costs).map(([step, { statements, transactions }]) => `${step}: ${statements} in ${transactions}`).join('\n'))
  expect(total(costs, 'transactions')).toBeLessThanOrEqual(23)
  expect(total(costs, 'statements')).toBeLessThanOrEqual(43)
})

const told = (stream: store.StoredEntry[]) => stream.map(({ kind, body }) => (kind === 'step' ? `${String(body['step'])} ${String(body['result'])}` : kind))

test('each step is one entry, behind the entry of what it did', async () => {
  const { id } = await heal()
  const stream = await store.readStream(db.reader, id)
  expect(told(stream)).toEqual([
    ...['requested', 'detect ok', 'planned', 'plan ok', 'preflight', 'preflight ok', 'decision', 'evaluatePolicy ok', 'reserved', 'reserve ok'],
    ...['warrant', 'issueWarrant ok', 'validateSignature ok', 'intent', 'recordIntent ok', 'attempt', 'settled', 'executeAction ok', 'verified', 'verify ok', 'closed'],
  ])
  expect(stream.find(({ body }) => body['step'] === 'plan')?.body).toMatchObject({ attempt: 1, call: 'run/2', summary: expect.stringContaining('from 2 to 4'), facts: { planned: true } })
  expect(firstBrokenLink(stream.map(({ text }) => text), sha256Hex)).toBeUndefined()
})

/** A request brought to the end of its plan. */
async function plannedBy(decide: ReturnType<typeof worker>, over: Partial<store.RequestDraft> = {}) {
  const { request: { id } } = await store.acceptRequest(db.api, draftOf({ target, ...over }))
  const ref = { id, cluster: 'main' }
  await decide('detect', { ...ref, firstRunId: 'run' })
  const { result: { digest } } = await decide<{ digest: string }>('plan', { ...ref, expected: null })
  return { ...ref, digest }
}

test('a run that hands its wish on says so in the transaction that does it', async () => {
  const decide = worker('decision', decisionSteps(decisionDeps()))
  const holder = await plannedBy(decide)
  await decide('reserve', holder)
  const coalesced = await plannedBy(decide)
  const { result, cost: { transactions } } = await decide('reserve', coalesced)
  expect(result).toMatchObject({ reserved: false, retryMs: null, ending: { outcome: 'coalesced' } })
  expect(transactions).toBe(2) // the plan is read before, for the cluster may have to be looked at in between
  expect(told(await store.readStream(db.reader, coalesced.id)).slice(-2)).toEqual(['handed_off', 'reserve ok'])
  const ending = { outcome: 'cancelled', reason: 'test', message: 'm', verdict: null } as const
  for (const { id } of [coalesced, holder]) {
    await store.closeRemediation(db.decision, { id, ending, source: 'reconciler', runId: null, firstRunId: null, newId: freshId })
  }
})

const declined = `insert into ledger.answer (answer_id, id, kind, principal, owner, comment) values (gen_random_uuid(), ?, 'reject', '{}', 'carol', 'no')`

test.each([
  ['a person declined', declined, { outcome: 'declined', reason: 'rejected', message: 'carol declined: no' }],
  ['the alert stopped', 'update ledger.request set resolved_at = now() where id = ?', { outcome: 'no_action_needed', reason: 'alert_resolved' }],
])('where %s meanwhile, `reserve` ends the run', async (_what, meanwhile, ending) => {
  const decide = worker('decision', decisionSteps(decisionDeps()))
  const ref = await plannedBy(decide)
  await db.owner.raw(meanwhile, [ref.id])
  expect((await decide('reserve', ref)).result).toMatchObject({ reserved: false, retryMs: null, ending })
})

test('a run that waits for a disruption budget is not in flight until it is planned again', async () => {
  const cluster = `budget-${randomUUID()}`
  const refusal = { outcome: 'blocked', reason: 'pdb_exhausted', message: 'spent' }
  const { cluster: calm, ...rest } = executionDeps()
  const execute = worker('execution', executionSteps({ ...rest, cluster: { ...calm, preflight: async () => ({ checks: [], diff: [], refusal }) } } as unknown as ExecutionDeps))
  const decide = worker('decision', decisionSteps(decisionDeps()))
  const inFlight = async () => (await store.inFlightCounts(db.decision)).get(cluster) ?? 0

  const ref = await plannedBy(decide, { target: { ...target, cluster } })
  expect(await inFlight()).toBe(1)
  expect((await execute('preflight', ref)).result).toMatchObject({ clear: false, retryMs: expect.any(Number) })
  expect(await inFlight()).toBe(0)
  await decide('plan', { ...ref, expected: null })
  expect(await inFlight()).toBe(1)

  await store.setPhase(db.decision, ref.id, 'acting')
  await execute('preflight', ref, 2) // the late word of an attempt that was given up
  expect(await inFlight()).toBe(1)
})

test('an attempt that finds its work done is recorded all the same, and one that is refused as well', async () => {
  const decide = worker('decision', decisionSteps(decisionDeps()))
  const { request: { id } } = await store.acceptRequest(db.api, draftOf({ target }))
  const ref = { id, cluster: 'main' }
  for (const attempt of [1, 2]) await decide('plan', { ...ref, expected: null }, attempt)
  const { result: { digest } } = await decide<{ digest: string }>('plan', { ...ref, expected: null })
  const { result: { decisionId } } = await decide<{ decisionId: string }>('evaluatePolicy', { ...ref, digest })
  await worker('execution', executionSteps(executionDeps()))('preflight', { ...ref, digest })
  for (const attempt of [1, 2]) await decide('reserve', { ...ref, digest }, attempt)
  const ending = { outcome: 'cancelled', reason: 'test', message: 'm', verdict: null } as const
  await store.closeRemediation(db.decision, { id, ending, source: 'reconciler', runId: null, firstRunId: null, newId: freshId })
  await expect(decide('issueWarrant', { ...ref, digest, decisionId, phase: 'act' })).rejects.toMatchObject({ type: 'conflict' })

  const stream = await store.readStream(db.reader, id)
  expect(told(stream)).toEqual([
    ...['requested', 'planned', 'plan ok', 'plan ok', 'plan ok', 'decision', 'evaluatePolicy ok', 'preflight', 'preflight ok', 'reserved', 'reserve ok', 'reserve ok', 'closed', 'issueWarrant failed'],
  ])
  expect(firstBrokenLink(stream.map(({ text }) => text), sha256Hex)).toBeUndefined()
})
