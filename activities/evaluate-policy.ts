import type { Autonomy } from '../adapters/postgres/decisions.ts'
import type { FactsForDecision } from '../adapters/postgres/facts.ts'
import type { StoredPlan } from '../adapters/postgres/plans.ts'
import type { Rung } from '../domain/autonomy/rung.ts'
import { standingOf } from '../domain/autonomy/standing.ts'
import { decideBy } from '../domain/policy/decide.ts'
import type { Decision } from '../domain/policy/decision.ts'
import { policyInput, type Approval, type Facts, type PolicyInput } from '../domain/policy/input.ts'
import { capByMode, rungsOf, type Capped } from '../domain/policy/mode.ts'
import type { RemediationRequest } from '../domain/remediation.ts'
import type { DecisionDeps } from './deps.ts'
import { loadPlanned } from './committed.ts'
import { ended } from './ended.ts'
import { endingWith } from './recording.ts'
import type { DecisionSteps, Evaluated } from './results.ts'

/** Windows a policy may count over, by the name it uses for them. */
const windows = { '5m': 300_000, '1h': 3_600_000, '24h': 86_400_000 } as const

/** Asks the policy with the facts of now, and records question and answer whole. */
export const evaluatePolicy =
  (deps: DecisionDeps): DecisionSteps['evaluatePolicy'] =>
  async ({ id, digest }) => {
    const { db, store, settings } = deps
    const { request, plan: stored, now: at, approvals, rungs } = await loadPlanned(deps, id, digest)
    const now = at.getTime()
    const input = await inputOf(deps, request, stored, approvals.map(toApproval), now)
    const { decision, capped, autonomy } = judge(deps, input, request.target.namespace, rungs)

    const decisionId = deps.freshId()
    const answerTimeoutMs = decision.obligations.approvalTtlMs ?? settings.approvalTimeoutMs
    const answerBy = capped.proceed === 'ask' ? new Date(now + answerTimeoutMs) : null
    const row = { decisionId, id, planDigest: digest, input, decision, autonomy, proceed: capped.proceed, answerBy }
    const evaluated = answerOf(capped, decision, decisionId, answerTimeoutMs)
    return endingWith((step) => store.saveDecision(db, row, step), () => evaluated)
  }

type Judged = { decision: Decision; capped: Capped; autonomy: Autonomy }

function judge({ policies, settings }: DecisionDeps, input: PolicyInput, namespace: string, standing: readonly Rung[]): Judged {
  const decision = decideBy(policies.current(), input)
  const given = settings.modeOf(namespace)
  const rungs = rungsOf(decision, standing)
  const capped = capByMode(decision, given, rungs)
  const { mode, code, message } = capped
  return { decision, capped, autonomy: { given, rungs, standing: standingOf(decision.binding, given, rungs), mode, code, message } }
}

async function inputOf(
  { db, store, settings }: DecisionDeps,
  request: RemediationRequest,
  { plan, baseline, labels }: Pick<StoredPlan, 'plan' | 'baseline' | 'labels'>,
  approvals: Approval[],
  now: number,
): Promise<PolicyInput> {
  const history = await store.historyCounts(db, { workload: plan.workload, action: request.action }, Object.values(windows))
  return policyInput({
    request: publicFacts(request),
    plan,
    health: baseline,
    labels: labels.workload,
    ...(labels.namespace ? { namespaceLabels: labels.namespace } : {}),
    podReady: plan.action === 'restart_pod' && plan.podReady,
    history: historyFacts(history),
    approvals,
    now,
    tzdata: settings.tzdata,
  })
}

/** The request as it was accepted, without the row's bookkeeping. */
function publicFacts({ id, door, principal, action, target, parameters, reason, severity, fault, incident, attempt, acceptedAt, deadlineAt }: RemediationRequest): RemediationRequest {
  return { id, door, principal, action, target, parameters, reason, severity, fault, incident, attempt, acceptedAt, deadlineAt }
}

type History = Awaited<ReturnType<DecisionDeps['store']['historyCounts']>>

function historyFacts({ sinceLastActionMs, ...scopes }: History): Facts {
  const named = (counts: History['workload']) =>
    Object.fromEntries(Object.keys(windows).map((name, index) => [name, { effects: counts[index]?.effects ?? null, bad: counts[index]?.bad ?? null }]))
  return {
    sinceLastActionMs,
    workload: named(scopes.workload),
    namespace: named(scopes.namespace),
    action: named(scopes.action),
  }
}

const toApproval = ({ principal, at }: FactsForDecision['approvals'][number]): Approval =>
  ({ principalId: principal.id, owner: principal.owner, roles: principal.roles, groups: principal.groups ?? [], at: Date.parse(at) })

function answerOf({ proceed, code, message }: Capped, { obligations }: Decision, decisionId: string, answerTimeoutMs: number): Evaluated {
  switch (proceed) {
    case 'deny':
      return { proceed: 'stop', ...ended('denied', code, message) }
    case 'observe':
      return { proceed: 'stop', ...ended('observed', code, message) }
    case 'suggest':
      return { proceed: 'stop', ...ended('suggested', code, message) }
    case 'ask':
      return { proceed: 'ask', decisionId, answerTimeoutMs, summary: `approval wanted: ${message}` }
    case 'act':
      return { proceed: 'act', decisionId, undoSame: obligations.undoOn.includes('same'), summary: `allowed: ${message}` }
  }
}
