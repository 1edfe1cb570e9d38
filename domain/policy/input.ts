import type { Health, Plan } from '../plan.ts'
import { policyAction, type Principal, type RemediationRequest, type Role, type Target } from '../remediation.ts'

/** A value a policy can read. What is absent or null is unknown to a policy, never empty or zero. */
export type Fact = string | number | boolean | null | readonly Fact[] | { readonly [name: string]: Fact | undefined }
export type Facts = { readonly [name: string]: Fact | undefined }

export const requestTypes = ['self_healing', 'api_access'] as const
export type RequestType = (typeof requestTypes)[number]

/** One committed yes. `at` is epoch milliseconds of the approval row's commit. */
export type Approval = {
  principalId: string
  /** The person behind the approver: two approvals of one owner count once, the requester's not at all. */
  owner: string
  roles: readonly Role[]
  /** Those they stood in for then as well. */
  groups: readonly string[]
  at: number
  /** Given by the emergency door. */
  breakGlass?: boolean
}

/**
 * Everything a decision depends on, and nothing else: the same input under the same snapshot gives
 * the same decision, bit for bit. It is stored whole in the ledger, so it must not hold secrets.
 */
export type PolicyInput = {
  principal: Principal
  /** `deployment:scale`, or a declared alias such as `scale_deployment`. */
  action: string
  /** `k8s:<cluster>/<namespace>/<kind>/<name>` (kind in lower case) or `api:/api/v1/…`. */
  resource: string
  type: RequestType
  /** severity, door, fault, cluster, namespace, labels, … */
  context: Facts
  /** What is asked for, in numbers computed by the server: replicas, deltaReplicas, percentOfReady, undo, … */
  request: Facts
  /** The target as observed: desired, ready, failing, … */
  target: Facts
  /** Counts of what happened lately, and `sinceLastActionMs` (null: never). */
  history: Facts
  approvals: readonly Approval[]
  /** Epoch milliseconds by the server's clock, never the caller's. */
  now: number
  /** Version of the time zone data in use, kept so that a decision can be repeated. */
  tzdata: string
}

/** How policies spell a target. */
export const resourceOf = ({ cluster, namespace, kind, name }: Target): string =>
  `k8s:${cluster}/${namespace}/${kind.toLowerCase()}/${name}`

export type RemediationFacts = {
  request: RemediationRequest
  plan: Plan
  /** Of the workload; null when there is none to be seen. */
  health: Health | null
  /** For a pod: whether it was ready. Replacing an unready pod costs no ready pod. */
  podReady: boolean
  /** Somebody said so beside the workload. */
  errorBudgetExhausted?: boolean
  /** Labels of the workload and of its namespace; leave out what could not be read. */
  labels?: Readonly<Record<string, string>>
  namespaceLabels?: Readonly<Record<string, string>>
  history: Facts
  approvals: readonly Approval[]
  now: number
  tzdata: string
}

/** The input of a remediation's decision. A fault nobody named is the word `none`, so that it can be compared. */
export function policyInput(facts: RemediationFacts): PolicyInput {
  const { request, plan, health } = facts
  const { labels, namespaceLabels } = facts
  return {
    principal: request.principal,
    action: policyAction[request.action],
    resource: resourceOf(request.target),
    type: 'self_healing',
    context: {
      severity: request.severity,
      door: request.door,
      fault: request.fault ?? 'none',
      cluster: request.target.cluster,
      namespace: request.target.namespace,
      workload: { kind: plan.workload.kind.toLowerCase(), name: plan.workload.name },
      attempt: request.attempt,
      ...(labels ? { labels } : {}),
      ...(namespaceLabels ? { namespaceLabels } : { unread: ['namespaceLabels'] }),
    },
    request: requestFacts(plan, health, facts.podReady),
    target: health === null ? {} : { ...health, errorBudget: facts.errorBudgetExhausted ? 'exhausted' : 'unsaid' },
    history: facts.history,
    approvals: facts.approvals,
    now: facts.now,
    tzdata: facts.tzdata,
  }
}

function requestFacts(plan: Plan, health: Health | null, podReady: boolean): Facts {
  const undo = plan.undo === null ? 'none' : 'planned'
  const percent = percentOfReady(plan, health, podReady)
  if (plan.action === 'restart_pod') return { undo, ...percent }
  if (plan.action === 'rollback_deployment') return { undo, revision: plan.revision.to.revision, ...percent }
  return { undo, replicas: plan.replicas.to, deltaReplicas: plan.replicas.to - plan.replicas.from, ...percent }
}

/** Exact, so that `<= 25` on three pods means none of them: a percent bound rounds down, never up to one. */
function percentOfReady(plan: Plan, health: Health | null, podReady: boolean): Facts {
  if (health === null) return {}
  const { ready } = health
  const touched = touchedPods(plan, ready, podReady)
  if (touched === 0) return { percentOfReady: 0 }
  return ready > 0 ? { percentOfReady: (100 * touched) / ready } : {}
}

function touchedPods(plan: Plan, ready: number, podReady: boolean): number {
  if (plan.action === 'restart_pod') return podReady ? 1 : 0
  if (plan.action === 'rollback_deployment') return ready // it may replace every ready pod
  return Math.min(ready, Math.max(0, plan.replicas.from - plan.replicas.to))
}
