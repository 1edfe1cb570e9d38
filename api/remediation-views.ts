/** How a remediation looks from outside: the read models of the database in the words of the API. */
import { z } from 'zod'
import type { Autonomy } from '../adapters/postgres/decisions.ts'
import type { RemediationSummary, RemediationView } from '../adapters/postgres/views.ts'
import type { Plan } from '../domain/plan.ts'
import type { ApprovalState } from '../domain/policy/approvals.ts'
import { answerKinds } from '../domain/transition.ts'
import { remediationUrl } from './accept.ts'
import { rungView } from './autonomy.ts'
import type { ApiSettings } from './route.ts'
import * as shape from './shapes.ts'

const time = z.string()
const nullableTime = time.nullable()

const common = {
  id: z.uuid(),
  url: z.string(),
  action: shape.action,
  target: shape.target,
  door: shape.door,
  requestedBy: z.string(),
  requestReason: z.string(),
  severity: shape.severity,
  attempt: z.int(),
  phase: shape.phase,
  /** Null while it is open; so are `reason` (a stable code) and `verdict`. */
  outcome: shape.outcome.nullable(),
  reason: z.string().nullable(),
  verdict: shape.verdict.nullable(),
  acceptedAt: time,
  deadlineAt: time,
  closedAt: nullableTime,
}

export const remediationSummary = z.strictObject(common)

const pinnedTarget = z.strictObject({ ...shape.target.shape, uid: z.string(), generation: z.int().nullable() })
const workload = z.strictObject({ cluster: z.string(), namespace: z.string(), kind: z.string(), name: z.string(), uid: z.string() })
const change = z.strictObject({ from: z.int(), to: z.int() })
const pin = z.strictObject({ revision: z.int(), replicaSet: z.string(), replicaSetUid: z.string(), templateHash: z.string() })
const revisions = z.strictObject({ from: pin, to: pin })
const planCommon = { target: pinnedTarget, workload }

const plan = z.discriminatedUnion('action', [
  z.strictObject({ ...planCommon, action: z.literal('restart_pod'), podReady: z.boolean(), undo: z.null() }),
  z.strictObject({ ...planCommon, action: z.literal('scale_deployment'), replicas: change, templateHash: z.string(), undo: z.strictObject({ replicas: change }) }),
  z.strictObject({ ...planCommon, action: z.literal('rollback_deployment'), replicas: z.int(), revision: revisions, complete: z.boolean().optional(), undo: z.strictObject({ revision: revisions }) }),
]) satisfies z.ZodType<Plan>

const preflight = z.strictObject({
  checks: z.array(z.strictObject({ name: z.string(), status: z.enum(['pass', 'fail', 'warn']), message: z.string() })),
  diff: z.array(z.strictObject({ path: z.string(), before: z.string().nullable(), after: z.string().nullable() })),
  undo: z.enum(['planned', 'none']),
  refusal: z.strictObject({ outcome: shape.outcome, reason: z.string(), message: z.string() }).nullable(),
  at: time,
})

/** What needs two people whatever policy says. */
const floor = z.strictObject({ reasons: z.array(z.string()), needed: z.int(), given: z.int() })

/** What people are asked for and have said, as it stood when it was decided. */
const approvals = z.strictObject({
  met: z.boolean(),
  needed: z.int(),
  given: z.int(),
  missingGroups: z.array(z.string()),
  missingRoles: z.array(z.string()),
  /** Owners whose break-glass stands in the place of what is missing. */
  breakGlass: z.array(z.string()),
  /** While people are asked: from `at` on members of `to` may speak for `group`, by the rules of now; `saidAt`: when that came on record. */
  escalations: z.array(z.strictObject({ group: z.string(), to: z.string(), at: time, saidAt: nullableTime })),
})

const decision = z.strictObject({
  decisionId: z.string(),
  planDigest: z.string(),
  effect: z.string(),
  code: z.string(),
  reason: z.string(),
  proceed: z.enum(['act', 'ask', 'suggest', 'observe', 'deny']),
  /** How far it went and why not further, with the rungs of the policies that permit; null for decisions of before. */
  autonomy: z.strictObject({ mode: shape.mode, code: z.string(), message: z.string(), rungs: z.array(rungView), floor: floor.nullable() }).nullable(),
  /** Null where the request could not be judged. */
  approvals: approvals.nullable(),
  answerBy: nullableTime,
  decidedAt: time,
  /** Everything the engine had to say; null without the permission to read the audit. */
  explanation: z.record(z.string(), z.unknown()).nullable(),
})

const answer = z.strictObject({
  answerId: z.string(),
  kind: z.enum(answerKinds),
  by: z.string(),
  owner: z.string(),
  planDigest: z.string().nullable(),
  comment: z.string(),
  /** By the emergency door. */
  breakGlass: z.boolean(),
  /** Groups that its giver spoke for at that moment besides their own, and why. */
  standsFor: z.array(z.strictObject({ group: z.string(), because: z.enum(['delegation', 'escalation']), from: z.string() })),
  at: time,
  deliveredAt: nullableTime,
})

const effect = z.strictObject({
  phase: z.enum(['act', 'undo']),
  state: z.string(),
  attempts: z.int(),
  planDigest: z.string(),
  result: z.string().nullable(),
  recordedAt: time,
  sentAt: nullableTime,
  settledAt: nullableTime,
})

const step = z.strictObject({
  step: z.string(),
  ordinal: z.int(),
  attempt: z.int(),
  phase: z.enum(['act', 'undo']).nullable(),
  startedAt: time,
  endedAt: time,
  durationMs: z.number(),
  result: z.enum(['ok', 'failed']),
  code: z.string().nullable(),
  summary: z.string(),
})

const scaleBounds = z.strictObject({
  change: z.union([z.strictObject({ step: z.int() }), z.strictObject({ percent: z.number() })]),
  min: z.int(),
  max: z.int(),
})

export const remediationDetail = z.strictObject({
  ...common,
  message: z.string().nullable(),
  /** `scale` is an alert rule's step, which the plan makes absolute. */
  parameters: z.strictObject({ replicas: z.int().optional(), revision: z.int().optional(), scale: scaleBounds.optional() }),
  fault: shape.fault.nullable(),
  incident: z.strictObject({ fingerprint: z.string(), startsAt: z.string() }).nullable(),
  plan: z.strictObject({ digest: z.string(), observedAt: time, plan }).nullable(),
  preflight: preflight.nullable(),
  decision: decision.nullable(),
  answers: z.array(answer),
  effects: z.array(effect),
  /** Policies that its ending took down a rung. */
  demotions: z.array(rungView),
  steps: z.array(step),
  workflowId: z.string(),
  temporalUrl: z.string(),
})
export type RemediationDetail = z.infer<typeof remediationDetail>
export type RemediationItem = z.infer<typeof remediationSummary>

export const toSummary = (row: RemediationSummary): RemediationItem => {
  const { reason, endReason, ...rest } = row
  return { ...rest, url: remediationUrl(row.id), requestReason: reason, reason: endReason }
}

export function toDetail(view: RemediationView, settings: ApiSettings, mayReadAudit: boolean): RemediationDetail {
  const { request, phase, ending, plan, answers, effects, demotions, steps } = view
  const { id, action, target, door, severity, attempt, acceptedAt, deadlineAt, fault, incident } = request
  return {
    id, url: remediationUrl(id), action, target, door, severity, attempt, acceptedAt, deadlineAt, fault, incident, phase,
    requestedBy: request.principal.id,
    requestReason: request.reason,
    outcome: ending?.outcome ?? null,
    reason: ending?.reason ?? null,
    verdict: ending?.verdict ?? null,
    message: ending?.message ?? null,
    closedAt: ending?.closedAt ?? null,
    parameters: shape.given(request.parameters),
    plan,
    preflight: view.card && { ...view.card.card, refusal: view.card.refusal, at: view.card.at },
    decision: toDecision(view, mayReadAudit),
    answers: answers.map(({ answerId, kind, principal, planDigest, comment, breakGlass, standsFor, at, deliveredAt }) => ({
      answerId, kind, by: principal.id, owner: principal.owner, planDigest, comment, breakGlass, standsFor, at, deliveredAt,
    })),
    effects: effects.map(({ phase, state, attempts, planDigest, result, recordedAt, sentAt, settledAt }) => ({
      phase, state, attempts, planDigest, result, recordedAt, sentAt, settledAt,
    })),
    demotions,
    steps,
    workflowId: id,
    temporalUrl: `${settings.temporalUiUrl}/namespaces/${encodeURIComponent(settings.temporalNamespace)}/workflows/${id}`,
  }
}

const toAutonomy = ({ mode, code, message, rungs, floor = null }: Autonomy) => ({ mode, code, message, rungs, floor })

const toApprovals = (state: Partial<ApprovalState> | undefined, escalations: RemediationView['escalations']) => {
  if (!state) return null
  const { met = false, needed = 0, given = 0, missingGroups = [], missingRoles = [], breakGlass = [] } = state
  return { met, needed, given, missingGroups, missingRoles, breakGlass, escalations: escalations.filter(({ group }) => missingGroups.includes(group)) }
}

function toDecision({ decision: stored, escalations }: RemediationView, mayReadAudit: boolean): RemediationDetail['decision'] {
  if (!stored) return null
  const { decisionId, planDigest, proceed, answerBy, decidedAt, decision } = stored
  const autonomy = stored.autonomy && toAutonomy(stored.autonomy)
  const { effect, code } = decision
  const reason = typeof decision['reason'] === 'string' ? decision['reason'] : ''
  const approvals = toApprovals(decision['approvals'] as Partial<ApprovalState> | undefined, escalations)
  return { decisionId, planDigest, effect, code, reason, proceed, autonomy, approvals, answerBy, decidedAt, explanation: mayReadAudit ? decision : null }
}
