import type { Knex } from 'knex'
import type { Rung } from '../../domain/autonomy/rung.ts'
import type { Plan, PreflightCard, Refusal } from '../../domain/plan.ts'
import { uuidTimeMs } from '../../domain/uuid.ts'
import type { ActionName, EffectPhase, Ending, Outcome, Phase, RemediationRequest, Target, Verdict } from '../../domain/remediation.ts'
import { stepsFrom } from '../../domain/approvals/escalation.ts'
import { answersOf, type Answer } from './answers.ts'
import { latestDecision, type StoredDecision } from './decisions.ts'
import { areasParameter, within, type Readable } from './areas.ts'
import { waitingOf } from './escalations.ts'
import { guarded } from './failures.ts'
import { intentsOf, type Intent } from './intents.ts'
import { withinItsMonth } from './ledger.ts'
import { fromCursor, toPage, type Page } from './pages.ts'
import { loadPreflight, toStoredPlan, type StoredPlan } from './plans.ts'
import { loadRequest } from './requests.ts'
import { demotionsOf } from './rungs.ts'
import type { StepResult } from './steps.ts'
import { first, iso, isoOrNull, orNull, rows } from './sql.ts'

export { listAudit, type AuditFilter, type AuditItem } from './audit.ts'
export type { Page } from './pages.ts'

export type StepView = {
  step: string
  /** Which call of this step, from 1. */
  ordinal: number
  attempt: number
  phase: EffectPhase | null
  startedAt: string
  endedAt: string
  durationMs: number
  result: StepResult
  code: string | null
  summary: string
}

export type RemediationView = {
  request: RemediationRequest
  phase: Phase
  firstRunId: string | null
  ending: (Ending & { closedAt: string; source: 'workflow' | 'reconciler' }) | null
  /** The newest plan. */
  plan: { digest: string; plan: Plan; observedAt: string } | null
  /** The newest preflight of that plan. */
  card: { card: PreflightCard; refusal: Refusal | null; at: string } | null
  decision: StoredDecision | null
  /** While people are asked: to whom the voices of groups come, and when they do or did. */
  escalations: EscalationView[]
  answers: Answer[]
  /** Act before undo. */
  effects: Intent[]
  /** Policies that its ending took down a rung. */
  demotions: Rung[]
  steps: StepView[]
}

export type EscalationView = { group: string; to: string; at: string; /** When it was put on record; null: not yet. */ saidAt: string | null }

/** One remediation whole. Undefined: there is none of that id. */
export const getRemediation = guarded(async (db: Knex, id: string): Promise<RemediationView | undefined> => {
  const request = await loadRequest(db, id)
  if (!request) return undefined
  const { phase, firstRunId, startedAt: _started, resolvedAt: _resolved, stopAttempts: _stop, ...accepted } = request
  const plan = await newestPlan(db, id)
  const decision = (await latestDecision(db, id)) ?? null
  return {
    request: accepted,
    phase,
    firstRunId,
    ending: await endingOf(db, id),
    plan: plan && { digest: plan.digest, plan: plan.plan, observedAt: plan.observedAt },
    card: plan ? ((await loadPreflight(db, id, plan.digest)) ?? null) : null,
    decision,
    escalations: phase === 'awaiting_approval' && decision ? await escalationsOf(db, id, decision) : [],
    answers: await answersOf(db, id),
    effects: await intentsOf(db, [id]),
    demotions: await demotionsOf(db, id),
    steps: await stepsOf(db, id),
  }
})

/** Of the groups that the decision asks for, by the rules of now. */
async function escalationsOf(db: Knex, id: string, { planDigest }: StoredDecision): Promise<EscalationView[]> {
  const { rules, wanted, askedAt, done } = await waitingOf(db, id, planDigest)
  if (askedAt === null) return []
  const saidAt = (group: string, to: string) => done.find((one) => one.group === group && one.to === to)?.at ?? null
  return wanted.flatMap((group) => stepsFrom(group, rules).map(({ to, afterMs }) => ({ group, to, at: new Date(Date.parse(askedAt) + afterMs).toISOString(), saidAt: saidAt(group, to) })))
}

async function newestPlan(db: Knex, id: string): Promise<StoredPlan | null> {
  const row = await first<Parameters<typeof toStoredPlan>[0]>(
    db,
    'select digest, plan, baseline, labels, terms, observed_at from ledger.plan where id = :id order by saved_at desc limit 1',
    { id },
  )
  return row ? toStoredPlan(row) : null
}

async function endingOf(db: Knex, id: string): Promise<RemediationView['ending']> {
  const row = await first<Ending & { closed_at: Date; source: 'workflow' | 'reconciler' }>(
    db,
    'select outcome, reason, message, verdict, source, closed_at from ledger.terminal where id = :id',
    { id },
  )
  if (!row) return null
  const { closed_at: closedAt, ...ending } = row
  return { ...ending, closedAt: iso(closedAt) }
}

/** More attempts than this are in the ledger, not on a page. */
const stepLimit = 1_000

type StepBody = Omit<StepView, 'ordinal' | 'phase' | 'durationMs'> & { call: string }

async function stepsOf(db: Knex, id: string): Promise<StepView[]> {
  const found = await rows<{ body: StepBody }>(
    db,
    `select ((entry::jsonb) -> 'body') - 'facts' as body from ledger.audit_event
     where stream = :id and kind = 'step' ${withinItsMonth(id)} order by seq limit ${stepLimit}`,
    { id, ms: uuidTimeMs(id) ?? null },
  )
  const calls: Record<string, string[]> = {}
  return found.map(({ body: { call, ...step } }) => {
    const known = (calls[step.step] ??= [])
    if (!known.includes(call)) known.push(call)
    const durationMs = Date.parse(step.endedAt) - Date.parse(step.startedAt)
    return { ...step, ordinal: known.indexOf(call) + 1, phase: phaseOf[step.step] ?? null, durationMs }
  })
}

/** The two steps that change the cluster. */
const phaseOf: Partial<Record<string, EffectPhase>> = { executeAction: 'act', rollback: 'undo' }

export type RemediationSummary = {
  id: string
  door: RemediationRequest['door']
  action: ActionName
  target: Target
  severity: RemediationRequest['severity']
  reason: string
  attempt: number
  requestedBy: string
  acceptedAt: string
  deadlineAt: string
  phase: Phase
  outcome: Outcome | null
  endReason: string | null
  verdict: Verdict | null
  closedAt: string | null
}

export type RemediationFilter = {
  status?: 'open' | Phase
  cluster?: string
  namespace?: string
  action?: ActionName
  outcome?: Outcome
  /** Where the asker may look. */
  areas: Readable
  /** 1 to 200. */
  limit: number
  cursor?: string
}

type SummaryRow = Omit<RemediationSummary, 'target' | 'requestedBy' | 'acceptedAt' | 'deadlineAt' | 'endReason' | 'closedAt'> & {
  cluster: string
  namespace: string
  kind: Target['kind']
  name: string
  requested_by: string
  accepted_at: Date
  deadline_at: Date
  end_reason: string | null
  closed_at: Date | null
}

/** Newest first. Throws `Failure('invalid', 'bad_cursor')` for a cursor that was not given out. */
export const listRemediations = guarded(async (db: Knex, filter: RemediationFilter): Promise<Page<RemediationSummary>> => {
  const { status, cluster, namespace, action, outcome, cursor } = filter
  const [after = null] = fromCursor(cursor, ['id'])
  const parameters = { status, cluster, namespace, action, outcome, after, limit: filter.limit, ...areasParameter(filter.areas) }
  const found = await rows<SummaryRow>(db, listSql, orNull(parameters))
  return toPage(found.map(toSummary), filter.limit, ({ id }) => [id])
})

const listSql = `
  select r.id, r.door, r.action, r.cluster, r.namespace, r.kind, r.name, r.severity, r.reason, r.attempt, r.principal_id as requested_by,
    r.accepted_at, r.deadline_at, r.phase, t.outcome, t.reason as end_reason, t.verdict, t.closed_at
  from ledger.request r left join ledger.terminal t using (id)
  where (:after::uuid is null or r.id < :after::uuid)
    and (:status::text is null or r.phase = :status or (:status = 'open' and r.phase <> 'closed'))
    and (:cluster::text is null or r.cluster = :cluster) and (:namespace::text is null or r.namespace = :namespace)
    and (:action::text is null or r.action = :action) and (:outcome::text is null or t.outcome = :outcome)
    and ${within('r')}
  order by r.id desc limit least(:limit::integer, 200) + 1`

const toSummary = (row: SummaryRow): RemediationSummary => ({
  id: row.id,
  door: row.door,
  action: row.action,
  target: { cluster: row.cluster, namespace: row.namespace, kind: row.kind, name: row.name },
  severity: row.severity,
  reason: row.reason,
  attempt: row.attempt,
  requestedBy: row.requested_by,
  acceptedAt: iso(row.accepted_at),
  deadlineAt: iso(row.deadline_at),
  phase: row.phase,
  outcome: row.outcome,
  endReason: row.end_reason,
  verdict: row.verdict,
  closedAt: isoOrNull(row.closed_at),
})

export type Statistics = {
  total: number
  open: number
  byAction: { action: ActionName; outcome: Outcome; count: number }[]
  /** From acceptance to the terminal row, of those that ended; null when none did. */
  durationMs: { p50: number; p95: number; p99: number } | null
}

type StatisticsRow = { total: number; open: number; p50: number | null; p95: number | null; p99: number | null }

/** Of remediations accepted from `from` to before `to`, in these areas. */
export const statistics = guarded(async (db: Knex, { from, to, areas }: { from: Date; to: Date; areas: Readable }): Promise<Statistics> => {
  const parameters = { from, to, ...areasParameter(areas) }
  const row = await first<StatisticsRow>(db, totalsSql, parameters)
  const byAction = await rows<{ action: ActionName; outcome: Outcome; count: number }>(
    db,
    `select r.action, t.outcome, count(*)::integer as count from ledger.request r join ledger.terminal t using (id)
     where r.accepted_at >= :from and r.accepted_at < :to and ${within('r')} group by 1, 2 order by 1, 2`,
    parameters,
  )
  const { total = 0, open = 0, p50, p95, p99 } = row ?? {}
  const ended = typeof p50 === 'number' && typeof p95 === 'number' && typeof p99 === 'number'
  return { total, open, byAction, durationMs: ended ? { p50, p95, p99 } : null }
})

const totalsSql = `
  select count(*)::integer as total, (count(*) filter (where r.phase <> 'closed'))::integer as open,
    percentile_cont(0.5) within group (order by ms)::float8 as p50, percentile_cont(0.95) within group (order by ms)::float8 as p95,
    percentile_cont(0.99) within group (order by ms)::float8 as p99
  from ledger.request r left join ledger.terminal t using (id),
    lateral (select extract(epoch from t.closed_at - r.accepted_at) * 1000 as ms) took
  where r.accepted_at >= :from and r.accepted_at < :to and ${within('r')}`
