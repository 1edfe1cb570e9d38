import { warrantLifeMs, warrantText, type Warrant } from '../domain/warrant.ts'
import { Failure } from '../domain/failure.ts'
import { planned } from './committed.ts'
import type { DecisionDeps, Store } from './deps.ts'
import { endingWith } from './recording.ts'
import type { DecisionSteps } from './results.ts'

/** Signs the permission for one phase of one plan. Only a recorded decision to act gives grounds for it. */
export const issueWarrant =
  (deps: DecisionDeps): DecisionSteps['issueWarrant'] =>
  async ({ id, digest, phase, decisionId, answers }) => {
    const { db, store, signer } = deps
    const { plan: stored, now, latest, act } = await store.factsForWarrant(db, id, digest)
    const { plan } = planned(id, digest, stored)
    const grounds = phase === 'act' ? decisionToAct(latest, digest, decisionId) : decisionBehindAct(act, digest)
    if (grounds === undefined) throw new Failure('forbidden', 'no_decision', `no decision of \`${id}\` allows this plan`)
    const issuedAtMs = now.getTime()
    const warrant: Warrant = {
      type: 'aegis-warrant-v1',
      audience: plan.target.cluster,
      warrantId: deps.freshId(),
      remediationId: id,
      phase,
      planDigest: digest,
      decisionId: grounds.decisionId,
      approvals: answers,
      issuedAtMs,
      // A window that closes takes its warrants with it; an expired one sends the run back to the policy.
      expiresAtMs: Math.min(issuedAtMs + warrantLifeMs, grounds.validUntilMs ?? Infinity),
      nonce: deps.freshNonce(),
      keyId: signer.keyId,
    }
    const document = warrantText(warrant)
    const { warrantId, keyId, nonce } = warrant
    const signature = signer.sign(document)
    const row = {
      warrantId, id, phase, planDigest: digest, decisionId: grounds.decisionId, keyId, nonce, document, signature,
      issuedAt: new Date(issuedAtMs), expiresAt: new Date(warrant.expiresAtMs),
    }
    return endingWith((step) => store.saveWarrant(db, row, step), (saved) => {
      if (saved === 'closed') throw new Failure('conflict', 'closed', `remediation \`${id}\` is closed; it gets no warrant`)
      return { warrantId, summary: `warrant \`${warrantId}\` for ${warrantLifeMs / 1000} s` }
    })
  }

type Facts = Awaited<ReturnType<Store['factsForWarrant']>>
type Grounds = { decisionId: string; validUntilMs: number | null }

/** The newest decision counts: what was allowed a minute ago may be denied by now. */
function decisionToAct(latest: Facts['latest'], digest: string, decisionId: string): Grounds | undefined {
  const allows = latest?.decisionId === decisionId && latest.proceed === 'act' && latest.planDigest === digest
  return allows ? { decisionId, validUntilMs: latest.decision['validUntil'] as number | null } : undefined
}

/** The undo was authorised with the act and asks no policy again: the grounds are those of the act's own warrant. */
function decisionBehindAct(act: Facts['act'], digest: string): Grounds | undefined {
  if (act?.planDigest !== digest || (act.result !== 'applied' && act.result !== 'presumed')) return undefined
  return { decisionId: act.decisionId, validUntilMs: null }
}
