import type { AttemptRead } from '../../domain/actions/situation.ts'
import { Failure } from '../../domain/failure.ts'
import type { Plan } from '../../domain/plan.ts'
import type { EffectPhase } from '../../domain/remediation.ts'
import { templateFor } from './attempt.ts'
import { freezePolicy } from './backstop/names.ts'
import type { SendRefused, SendResult } from './cluster.ts'
import type { Answer, Call, Connection } from './connection.ts'
import { causeFields, deniedBy, failureOf, hasCause, isBudgetAmbiguous, reasonOf } from './errors.ts'
import { evictionCall, rollbackCall, scaleCall } from './mutations.ts'

/** Exactly what a send of this phase would ask for. A dry run asks for the same. */
export function callFor(plan: Plan, phase: EffectPhase, remediationId: string, read: AttemptRead): Call {
  if (read.exists && read.kind === 'Pod' && plan.action === 'restart_pod' && phase === 'act') return evictionCall(plan, remediationId, read)
  if (read.exists && read.kind === 'Deployment') {
    if (plan.action === 'scale_deployment') return scaleCall(plan, phase, remediationId, read)
    if (plan.action === 'rollback_deployment') {
      const { to } = phase === 'act' ? plan.revision : plan.undo.revision
      return rollbackCall(plan, phase, remediationId, read, templateFor(read, to))
    }
  }
  throw new Failure('invalid', 'nothing_to_send', `there is nothing to send for the ${phase} of \`${plan.action}\` with this read`)
}

/** 409: stale. 422 on the UID: another object. Any other refusal proves that nothing changed. */
export function sendResult(connection: Connection, plan: Plan, answer: Answer): SendResult {
  const { status } = answer
  if (status >= 200 && status < 300) return { sent: 'applied', resourceVersion: plan.action === 'restart_pod' ? null : resourceVersionOf(answer) }
  // An object that is gone is seen as such by the next read, as is a pod whose UID changed.
  if (status === 409 || status === 404) return { sent: 'conflict' }
  if (status === 422 && causeFields(answer).includes('metadata.uid')) return { sent: 'other_object' }
  // A failed `test` of the UID says nothing of why: the next read will.
  if (status === 422 && plan.action === 'rollback_deployment' && causeFields(answer).length === 0 && !deniedBy(answer)) return { sent: 'conflict' }
  const refused = refusalOf(plan, answer)
  if (refused) return refused
  throw failureOf(connection.cluster, `change ${plan.target.kind.toLowerCase()} \`${plan.target.name}\``, answer)
}

function refusalOf(plan: Plan, answer: Answer): SendRefused | undefined {
  const { status, retryAfterMs } = answer
  const name = `${plan.target.kind.toLowerCase()} \`${plan.target.namespace}/${plan.target.name}\``
  const no = (code: string, message: string): SendRefused => ({ sent: 'refused', code, message, retryable: false, retryAfterMs: null })
  if (status === 429 && hasCause(answer, 'DisruptionBudget')) {
    return { sent: 'refused', code: 'pdb_exhausted', message: `the disruption budget of ${name} is spent: wait until more of its pods are ready`, retryable: true, retryAfterMs }
  }
  if (status === 429) return { sent: 'refused', code: 'throttled', message: 'the API server is throttling us: try again later', retryable: true, retryAfterMs }
  if (isBudgetAmbiguous(answer)) return no('pdb_ambiguous', `${name} is matched by more than one PodDisruptionBudget and can never be evicted: leave one`)
  if (status >= 500 || status === 401) return undefined
  const policy = deniedBy(answer)
  if (policy === freezePolicy) return no('frozen', `the cluster itself refused the change of ${name}: it is frozen there`)
  if (policy) return no('admission_denied', `admission by \`${policy}\` refused the change of ${name}`)
  const because = [reasonOf(answer), ...causeFields(answer)].filter((word) => word !== null).join(', ')
  if (status === 403) return no('forbidden', `the cluster refused the change of ${name} (${because || status}): check RBAC, quotas and admission`)
  return no('invalid', `the API server refused the change of ${name} as invalid (${because || status})`)
}

const resourceVersionOf = ({ body }: Answer): string | null =>
  (body as { metadata?: { resourceVersion?: string } } | null)?.metadata?.resourceVersion ?? null
