import type { ExecutionDeps } from './deps.ts'
import { planDigest } from '../domain/digest.ts'
import { ended } from './ended.ts'
import { Failure } from '../domain/failure.ts'
import type { Refusal } from '../domain/plan.ts'
import { endingWith } from './recording.ts'
import type { ExecutionSteps, Preflighted } from './results.ts'

/** A disruption budget refills when pods become ready; the plan is judged anew after this long. */
const budgetRetryMs = 5_000

/** Checks the plan under the identity that will act, and keeps the card people look at. Changes nothing. */
export const preflight =
  ({ db, store, cluster, allowedNamespaces, keyedDigest, sha256 }: ExecutionDeps): ExecutionSteps['preflight'] =>
  async ({ id, digest }) => {
    const stored = await store.loadPlan(db, id, digest)
    if (!stored || planDigest(stored.plan, sha256) !== digest) {
      throw new Failure('missing', 'plan_missing', `remediation \`${id}\` has no plan \`${digest}\``)
    }
    const { refusal, ...card } = await cluster.preflight(stored.plan, { allowedNamespaces, keyedDigest, remediationId: id })
    const result: Preflighted = refusal ? refused(refusal) : { clear: true, summary: `${card.checks.length} checks passed` }
    const told = await endingWith<void, Preflighted>((step) => store.savePreflight(db, { id, digest, card, refusal }, step), () => result)
    if (!told.clear && told.retryMs !== null) await store.awaitPreflight(db, id)
    return told
  }

function refused({ outcome, reason, message }: Refusal): Preflighted {
  const retryMs = reason === 'pdb_exhausted' ? budgetRetryMs : null
  return { clear: false, retryMs, ...ended(outcome, reason, message) }
}
