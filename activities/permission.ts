import { planDigest } from '../domain/digest.ts'
import type { Plan } from '../domain/plan.ts'
import type { EffectPhase, FaultClass } from '../domain/remediation.ts'
import { checkWarrant, type WarrantRefusal } from '../domain/warrant.ts'
import { namespaceAllowed } from '../domain/namespaces.ts'
import type { ExecutionDeps } from './deps.ts'

export type Permitted = {
  plan: Plan
  /** What it is for, and not done once it is over; null: a person wishes it. */
  fault: FaultClass | null
}

export type PermissionRefusal = WarrantRefusal | 'warrant_unknown' | 'plan_unknown' | 'plan_altered' | 'namespace_not_allowed'

/**
 * What the execution side believes: the plan as committed, under its own digest, and a warrant for it
 * that verifies under a key it was given. Nothing a task says counts. Checked again at each attempt.
 */
export async function permission(
  { db, store, cluster, verify, sha256, allowedNamespaces }: ExecutionDeps,
  { id, digest, phase, warrantId }: { id: string; digest: string; phase: EffectPhase; warrantId: string },
): Promise<Permitted | { refused: PermissionRefusal }> {
  const { plan: stored, warrant: row, now, fault } = await store.factsForExecution(db, id, digest, warrantId)
  if (!stored) return { refused: 'plan_unknown' }
  const { plan } = stored
  if (planDigest(plan, sha256) !== digest) return { refused: 'plan_altered' }
  if (!namespaceAllowed(allowedNamespaces, plan.target)) return { refused: 'namespace_not_allowed' }

  if (!row) return { refused: 'warrant_unknown' }
  const use = { cluster: cluster.name, remediationId: id, phase, planDigest: digest, nowMs: now.getTime() }
  const warrant = checkWarrant(row.document, row.signature, use, verify)
  if (typeof warrant === 'string') return { refused: warrant }
  if (warrant.warrantId !== warrantId || plan.target.cluster !== cluster.name) return { refused: 'warrant_other_cluster' }
  return { plan, fault }
}

export const refusalMessage: Record<PermissionRefusal, string> = {
  warrant_malformed: 'the warrant is not one in canonical form',
  warrant_key_unknown: 'the warrant is signed with a key this worker was not given; check AEGIS_WARRANT_PUBLIC_KEYS_FILE',
  warrant_signature: 'the warrant does not verify under its key',
  warrant_other_cluster: 'the warrant is for another cluster',
  warrant_other_remediation: 'the warrant is for another remediation',
  warrant_other_phase: 'the warrant is for another phase',
  warrant_other_plan: 'the warrant is for another plan',
  warrant_expired: 'the warrant has expired',
  warrant_unknown: 'there is no such warrant',
  plan_unknown: 'there is no such plan',
  plan_altered: 'the stored plan does not have its digest',
  namespace_not_allowed: 'the namespace is not in AEGIS_NAMESPACES of the execution worker; an empty list allows none',
}
