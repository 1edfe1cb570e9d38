import { warrantLifeMs, warrantText, type Warrant } from '../domain/warrant.ts'
import { Failure } from '../domain/failure.ts'
import type { DecisionDeps } from './deps.ts'
import { loadPlan } from './evaluate-policy.ts'
import type { DecisionSteps } from './results.ts'

/** Signs the permission for one phase of one plan. Only a recorded decision to act gives grounds for it. */
export const issueWarrant =
  (deps: DecisionDeps): DecisionSteps['issueWarrant'] =>
  async ({ id, digest, phase, decisionId, answers }) => {
    const { db, store, signer } = deps
    const { plan } = await loadPlan(deps, id, digest)
    const decision = await store.latestDecision(db, id)
    if (decision?.decisionId !== decisionId || decision.proceed !== 'act' || decision.planDigest !== digest) {
      throw new Failure('forbidden', 'no_decision', `the latest decision of \`${id}\` does not allow this plan`)
    }
    const issuedAtMs = (await store.databaseNow(db)).getTime()
    const warrant: Warrant = {
      type: 'aegis-warrant-v1',
      audience: plan.target.cluster,
      warrantId: deps.freshId(),
      remediationId: id,
      phase,
      planDigest: digest,
      decisionId,
      approvals: answers,
      issuedAtMs,
      expiresAtMs: issuedAtMs + warrantLifeMs,
      nonce: deps.freshNonce(),
      keyId: signer.keyId,
    }
    const document = warrantText(warrant)
    const { warrantId, keyId, nonce } = warrant
    const signature = signer.sign(document)
    const saved = await store.saveWarrant(db, {
      warrantId, id, phase, planDigest: digest, decisionId, keyId, nonce, document, signature,
      issuedAt: new Date(issuedAtMs), expiresAt: new Date(warrant.expiresAtMs),
    })
    if (saved === 'closed') throw new Failure('conflict', 'closed', `remediation \`${id}\` is closed; it gets no warrant`)
    return { warrantId, summary: `warrant \`${warrantId}\` for ${warrantLifeMs / 1000} s` }
  }
