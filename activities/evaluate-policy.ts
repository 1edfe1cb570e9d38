import type { CurrentPolicies } from '../adapters/policies/published.ts'
import type { Autonomy } from '../adapters/postgres/decisions.ts'
import type { FactsForDecision } from '../adapters/postgres/facts.ts'
import type { StoredPlan } from '../adapters/postgres/plans.ts'
import { escalationsAhead, type Escalation } from '../domain/approvals/escalation.ts'
import type { Rung } from '../domain/autonomy/rung.ts'
import { standingOf } from '../domain/autonomy/standing.ts'
import { decideBy } from '../domain/policy/decide.ts'
import type { Decision } from '../domain/policy/decision.ts'
import { capByFloor, floorTtlMs } from '../domain/policy/floor.ts'
import { policyInput, type Approval, type Facts, type PolicyInput, type RemediationFacts } from '../domain/policy/input.ts'
import { capByMode, rungsOf, type Capped } from '../domain/policy/mode.ts'
import { capByTrial, onTrial, type Tried } from '../domain/policy/trial.ts'
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
    const { request, plan: stored, now: at, approvals, askedUntil, rungs } = await loadPlanned(deps, id, digest)
    const now = at.getTime()
    const input = await inputOf(deps, request, stored, approvals.map(toApproval), now)
    const { decision, capped, autonomy } = judge(deps, input, { request, stored, rungs })

    const decisionId = deps.freshId()
    const answerTimeoutMs = Math.min(decision.obligations.approvalTtlMs ?? settings.approvalTimeoutMs, autonomy.floor ? floorTtlMs : Infinity)
    const answerBy = capped.proceed === 'ask' ? answerEnd(now + answerTimeoutMs, request, askedUntil) : null
    const row = { decisionId, id, planDigest: digest, input, decision, autonomy, proceed: capped.proceed, answerBy }
    const escalations = answerBy ? await escalationsIn(deps, { id, digest }, decision.approvals, answerBy.getTime() - now) : []
    const evaluated = answerOf(capped, decision, { decisionId, answerTimeoutMs, escalations })
    return endingWith((step) => store.saveDecision(db, row, step), () => evaluated)
  }

/** A second question about the same plan does not begin the wait anew, and none outlasts the remediation. */
const answerEnd = (untilMs: number, { deadlineAt }: RemediationRequest, askedUntil: Date | null): Date =>
  new Date(Math.min(untilMs, Date.parse(deadlineAt), askedUntil?.getTime() ?? Infinity))

type Judged = { decision: Decision; capped: Capped; autonomy: Autonomy }

type Subject = { request: RemediationRequest; stored: Pick<StoredPlan, 'plan'>; rungs: readonly Rung[] }

function judge({ policies, settings }: DecisionDeps, input: PolicyInput, { request, stored, rungs: standing }: Subject): Judged {
  const { target, principal: requester } = request
  const current = policies.current()
  const decision = decideBy(current, input)
  const given = settings.modeOf(target.namespace)
  const rungs = rungsOf(decision, standing)
  const { approvals, now } = input
  const { floor, ...asked } = capByFloor(capByMode(decision, given, rungs), {
    plan: stored.plan, approvals, requester, now, excepted: decision.excepted,
    production: settings.isProduction(target), errorBudgetExhausted: input.target['errorBudget'] === 'exhausted',
  })
  const { trial, ...capped } = capByTrial(asked, onTrial(decision.binding, triedOf(current), settings.policyTrialMs, now), settings.policyTrialMs)
  const { mode, code, message } = capped
  return { decision, capped, autonomy: { given, rungs, standing: standingOf(decision.binding, given, rungs), mode, code, message, floor, trial } }
}

const triedOf = ({ published }: CurrentPolicies): Tried[] =>
  (published?.documents ?? []).map(({ id, effect }, at) => ({ id, effect, sinceMs: Date.parse(published!.members[at]!.since) }))

async function inputOf(deps: DecisionDeps, request: RemediationRequest, stored: StoredPlan, approvals: Approval[], now: number): Promise<PolicyInput> {
  const { db, store, settings } = deps
  const { plan } = stored
  const [seen, history] = await Promise.all([seenNow(deps, stored, now), store.historyCounts(db, { workload: plan.workload, action: request.action }, Object.values(windows))])
  return policyInput({ request, plan, ...seen, history: historyFacts(history), approvals, now, tzdata: settings.tzdata })
}

/** A plan is judged by its own look for this long: as it is made and checked, nothing is read twice. */
const freshMs = 5_000

type Seen = Pick<RemediationFacts, 'health' | 'podReady' | 'errorBudgetExhausted' | 'labels' | 'namespaceLabels'>

/**
 * The target as it is now. A run that waited, for people or for its turn, is not judged by what it saw before: the
 * ready pods that a bound counts on may be gone. Of what is no longer the same object nothing is known.
 */
async function seenNow({ clusters }: DecisionDeps, { plan, baseline, labels, terms, observedAt }: StoredPlan, now: number): Promise<Seen> {
  const podReady = plan.action === 'restart_pod' && plan.podReady
  if (now - Date.parse(observedAt) <= freshMs) return { health: baseline, podReady, ...termFacts(terms), ...labelFacts(labels) }
  const { cluster, namespace, kind, name, uid } = plan.target
  const observation = await clusters(cluster).observe({ cluster, namespace, kind, name })
  if (observation?.uid !== uid) return { health: null, podReady }
  return { health: observation.health, podReady: observation.kind === 'Pod' && observation.ready, ...termFacts(observation.terms), ...labelFacts(observation.labels) }
}

const termFacts = (terms: StoredPlan['terms']): Pick<Seen, 'errorBudgetExhausted'> => ({ errorBudgetExhausted: terms?.errorBudgetExhausted ?? false })

const labelFacts = ({ workload, namespace }: StoredPlan['labels']): Pick<Seen, 'labels' | 'namespaceLabels'> =>
  ({ labels: workload, ...(namespace ? { namespaceLabels: namespace } : {}) })

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

/** Whoever stood in for a group when they approved counts as one of it. */
const toApproval = ({ principal, at, standsFor, breakGlass }: FactsForDecision['approvals'][number]): Approval => ({
  principalId: principal.id,
  owner: principal.owner,
  roles: principal.roles,
  groups: [...new Set([...(principal.groups ?? []), ...standsFor.map(({ group }) => group)])],
  at: Date.parse(at),
  ...(breakGlass ? { breakGlass } : {}),
})

/** When the voice of a group that is still missing comes to another, as long as people are asked. */
async function escalationsIn({ db, store }: DecisionDeps, { id, digest }: { id: string; digest: string }, { met, missingGroups }: Decision['approvals'], withinMs: number): Promise<Escalation[]> {
  if (met || missingGroups.length === 0) return []
  const { rules, waitedMs, done } = await store.waitingOf(db, id, digest)
  return escalationsAhead(missingGroups, rules, waitedMs, done).filter(({ inMs }) => inMs < withinMs)
}

type Asked = { decisionId: string; answerTimeoutMs: number; escalations: Escalation[] }

function answerOf({ proceed, code, message }: Capped, { obligations }: Decision, { decisionId, answerTimeoutMs, escalations }: Asked): Evaluated {
  switch (proceed) {
    case 'deny':
      return { proceed: 'stop', ...ended('denied', code, message) }
    case 'observe':
      return { proceed: 'stop', ...ended('observed', code, message) }
    case 'suggest':
      return { proceed: 'stop', ...ended('suggested', code, message) }
    case 'ask':
      return { proceed: 'ask', decisionId, answerTimeoutMs, ...(escalations.length > 0 ? { escalations } : {}), summary: `approval wanted: ${message}` }
    case 'act':
      return { proceed: 'act', decisionId, undoSame: obligations.undoOn.includes('same'), summary: `allowed: ${message}` }
  }
}
