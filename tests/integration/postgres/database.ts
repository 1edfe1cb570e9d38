/** A migrated database of a test's own, a pool per role, and a remediation brought to any point of its story. */
import { randomBytes, randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import { connectDatabase, migrate } from '../../../adapters/postgres/connect.ts'
import { saveDecision } from '../../../adapters/postgres/decisions.ts'
import type { Proceed } from '../../../domain/policy/mode.ts'
import { recordIntent } from '../../../adapters/postgres/intents.ts'
import { savePlan } from '../../../adapters/postgres/plans.ts'
import { acceptRequest, bindRun, setPhase, type RequestDraft } from '../../../adapters/postgres/requests.ts'
import { reserve, type Reservation } from '../../../adapters/postgres/reserve.ts'
import { createLoginRoles, databaseRoles, loginName, type DatabaseRole } from '../../../adapters/postgres/roles.ts'
import { saveWarrant, type WarrantRow } from '../../../adapters/postgres/warrants.ts'
import type { Standing } from '../../../domain/autonomy/standing.ts'
import type { BreakerRules } from '../../../domain/guards/breaker.ts'
import type { Plan } from '../../../domain/plan.ts'
import type { EffectPhase, Principal, WorkloadRef } from '../../../domain/remediation.ts'
import { uuidv7 } from '../../../domain/uuid.ts'
import { freshDatabase } from '../../helpers/stack.ts'

export type TestDatabase = Record<DatabaseRole, Knex> & {
  /** A superuser: for looking behind the scenes, and as the strongest attacker. */
  owner: Knex
  urlOf(role: DatabaseRole): string
  ownerUrl: string
  /** A further pool, closed with the rest. */
  connect(role: DatabaseRole, poolMax?: number): Knex
  close(): Promise<void>
}

export async function openDatabase(): Promise<TestDatabase> {
  const fresh = await freshDatabase()
  await migrate(fresh.ownerUrl)
  const urlOf = (role: DatabaseRole) => fresh.urlFor(loginName(role))
  const password = (role: DatabaseRole) => decodeURIComponent(new URL(urlOf(role)).password)
  await createLoginRoles(fresh.ownerUrl, Object.fromEntries(databaseRoles.map((role) => [role, password(role)])) as Record<DatabaseRole, string>)
  const pools: Knex[] = []
  const open = (url: string, poolMax: number) => {
    const pool = connectDatabase({ url, applicationName: 'aegis-test', poolMax })
    pools.push(pool)
    return pool
  }
  const connect = (role: DatabaseRole, poolMax = 20) => open(urlOf(role), poolMax)
  const byRole = Object.fromEntries(databaseRoles.map((role) => [role, connect(role)])) as Record<DatabaseRole, Knex>
  const owner = open(fresh.ownerUrl, 5)
  return {
    ...byRole,
    ...{ owner, urlOf, connect },
    ownerUrl: fresh.ownerUrl,
    async close() {
      await Promise.all(pools.map((pool) => pool.destroy()))
      await fresh.drop()
    },
  }
}

export const freshId = () => uuidv7(Date.now(), randomBytes(10))

export const person = (name: string): Principal => ({ id: name, kind: 'person', owner: name, roles: ['user', 'approver'] })
export const alice = person('alice')
export const bob = person('bob')

export const draftOf = (over: Partial<RequestDraft> = {}): RequestDraft => ({
  id: freshId(),
  door: 'api',
  principal: alice,
  action: 'scale_deployment',
  target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'web' },
  parameters: { replicas: 4 },
  reason: 'too slow',
  severity: 'high',
  fault: null,
  incident: null,
  deadlineMs: 600_000,
  idempotency: null,
  ...over,
})

export const workload = (name = 'web', namespace = 'shop'): WorkloadRef => ({ cluster: 'main', namespace, kind: 'Deployment', name, uid: `uid-${name}` })

export const health = { desired: 2, updated: 2, ready: 2, available: 2, failing: 0, restarts: 0, faults: [] }

export const planOf = (of = workload()): Plan => ({
  action: 'scale_deployment',
  target: { cluster: of.cluster, namespace: of.namespace, kind: 'Deployment', name: of.name, uid: of.uid, generation: 3 },
  workload: of,
  replicas: { from: 2, to: 4 },
  templateHash: 'aa',
  undo: { replicas: { from: 4, to: 2 } },
}) as Plan

export const digest = `sha256:${'d'.repeat(64)}`

export const reservationOf = (id: string, over: Partial<Reservation> = {}): Reservation => ({
  id,
  workload: workload(),
  action: 'scale_deployment',
  limits: [],
  concurrency: [],
  undo: true,
  planDigest: digest,
  budgets: [],
  objection: null,
  flap: { limit: 1_000, windowMs: 60_000 },
  afterActionMs: 0,
  ...over,
})

/** An accepted request whose run is bound. */
export async function started(db: TestDatabase, over: Partial<RequestDraft> = {}): Promise<string> {
  const { request } = await acceptRequest(db.api, draftOf(over))
  await bindRun(db.decision, request.id, `run-${request.id}`)
  return request.id
}

/** Planned and decided. */
export async function decided(db: TestDatabase, over: Partial<RequestDraft> & { proceed?: Proceed; answerBy?: Date; input?: object; standing?: Standing[]; binding?: string[]; groups?: string[] } = {}) {
  const { proceed = 'act', answerBy = null, input = { action: 'deployment:scale' }, standing = [], binding = [], groups = [], ...draft } = over
  const id = await started(db, draft)
  const decisionId = randomUUID()
  await savePlan(db.decision, { id, plan: planOf(), digest, baseline: health, labels: { workload: {}, namespace: null }, terms: null, observedAt: new Date().toISOString(), watch: { settleMs: 0, timeoutMs: 0 } })
  await answered(db, { decisionId, id, input, proceed, answerBy, standing, binding, groups })
  if (proceed === 'ask') await setPhase(db.decision, id, 'awaiting_approval')
  return { id, decisionId }
}

type Answered = { id: string; proceed: Proceed; decisionId?: string; input?: object; answerBy?: Date | null; standing?: Standing[]; approvals?: { given: number; breakGlass?: string[] }; binding?: string[]; groups?: string[] }

/** Policy's answer, on record; `groups`: those that it asks for, and has not heard. */
export const answered = (db: TestDatabase, { id, proceed, decisionId = randomUUID(), input = {}, answerBy = null, standing = [], approvals = { given: 0 }, binding = [], groups = [] }: Answered): Promise<void> => {
  const decision = { approvals: { ...approvals, missingGroups: groups }, obligations: { approverGroups: groups }, effect: 'allow', code: 'allowed', snapshot: 'sha256:s', now: Date.now(), tzdata: '2025b', binding: binding.map((policy) => ({ id: policy, mode: 'auto' })) }
  const autonomy = { given: 'auto' as const, rungs: [], standing, mode: 'auto' as const, code: 'allowed', message: 'm' }
  return saveDecision(db.decision, { decisionId, id, planDigest: digest, input, decision, autonomy, proceed, answerBy })
}

export type Permitted = { id: string; phase: EffectPhase; planDigest: string; warrantId: string; claimToken: number }

export async function warranted(db: TestDatabase, of: { id: string; decisionId: string }, phase: EffectPhase, lifeMs = 60_000): Promise<string> {
  const warrantId = randomUUID()
  const issuedAt = (await db.decision.raw('select clock_timestamp() as now')).rows[0].now as Date
  await saveWarrant(db.decision, {
    ...{ warrantId, id: of.id, phase, planDigest: digest, decisionId: of.decisionId, keyId: 'k1', issuedAt },
    ...{ expiresAt: new Date(issuedAt.getTime() + lifeMs), nonce: randomUUID(), document: `{"warrantId":"${warrantId}"}`, signature: 'c2ln' },
  })
  return warrantId
}

export async function storedWarrant(db: TestDatabase, warrantId: string): Promise<WarrantRow> {
  const columns = `warrant_id as "warrantId", id, phase, plan_digest as "planDigest", decision_id as "decisionId", key_id as "keyId",
    issued_at as "issuedAt", expires_at as "expiresAt", nonce, document, signature`
  return (await db.reader.raw(`select ${columns} from ledger.warrant where warrant_id = ?`, [warrantId])).rows[0]
}

type Over = { name?: string; namespace?: string; phase?: EffectPhase; lifeMs?: number; limits?: Reservation['limits']; standing?: Standing[]; binding?: string[] }

/** Decided, reserved and warranted: what `recordIntent` needs. */
export async function permitted(
  db: TestDatabase,
  { name = randomUUID(), namespace = 'shop', phase = 'act', lifeMs = 60_000, limits = [], standing = [], binding = [] }: Over = {},
): Promise<Permitted & { decisionId: string }> {
  const target = { cluster: 'main', namespace, kind: 'Deployment', name } as const
  const { id, decisionId } = await decided(db, { target, standing, binding })
  const reserved = await reserve(db.decision, reservationOf(id, { workload: workload(name, namespace), limits }))
  if (!reserved.reserved) throw new Error(`not reserved: ${reserved.because}`)
  return { id, phase, planDigest: digest, warrantId: await warranted(db, { id, decisionId }, phase, lifeMs), claimToken: reserved.claimToken, decisionId }
}

/** With its intent on record. */
export async function recorded(db: TestDatabase, over: Parameters<typeof permitted>[1] = {}): Promise<Permitted & { decisionId: string }> {
  const given = await permitted(db, over)
  const answer = await recordIntent(db.execution, { ...given, runId: 'run' })
  if (answer !== 'recorded') throw new Error(`not recorded: ${answer}`)
  return given
}

/** For tests of other things, in which one policy permits much that ends badly. */
export const neverBreaks: BreakerRules = { failures: 1_000, windowMs: 1, percent: 100, last: 1_000 }

export const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index))
