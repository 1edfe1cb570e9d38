import { warrantLifeMs, warrantText, type Warrant } from '../domain/warrant.ts'
import { Failure } from '../domain/failure.ts'
import { unknownObligations } from '../domain/policy/obligations.ts'
import { planned } from './committed.ts'
import type { DecisionDeps, Store } from './deps.ts'
import { endingWith } from './recording.ts'
import type { DecisionSteps } from './results.ts'

/** Signs the permission for one phase of one plan. Only rows give grounds for it: nothing that a task says does. */
export const issueWarrant =
  (deps: DecisionDeps): DecisionSteps['issueWarrant'] =>
  async ({ id, digest, phase, decisionId }) => {
    const { db, store, signer } = deps
    const facts = await store.factsForWarrant(db, id, digest)
    const { now } = facts
    const { plan } = planned(id, digest, facts.plan)
    const grounds = phase === 'act' ? groundsToAct(facts, digest, decisionId) : groundsToUndo(facts, digest)
    const issuedAtMs = now.getTime()
    const warrant: Warrant = {
      type: 'aegis-warrant-v1',
      audience: plan.target.cluster,
      warrantId: deps.freshId(),
      remediationId: id,
      phase,
      planDigest: digest,
      decisionId: grounds.decisionId,
      approvals: facts.approvals.filter(({ at }) => Date.parse(at) <= grounds.decidedAtMs).map(({ answerId }) => answerId),
      issuedAtMs,
      // An expired one sends the run back to the policy.
      expiresAtMs: Math.min(issuedAtMs + warrantLifeMs, grounds.untilMs),
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
type Grounds = { decisionId: string; decidedAtMs: number; untilMs: number }

/** The newest decision counts, and the newest preflight: what was allowed and clear a minute ago may not be by now. */
function groundsToAct({ latest, preflight }: Facts, digest: string, decisionId: string): Grounds {
  const allows = latest?.decisionId === decisionId && latest.proceed === 'act' && latest.planDigest === digest
  if (!allows) throw new Failure('forbidden', 'no_decision', 'no decision that stands allows this plan')
  if (preflight !== 'clear') throw new Failure('forbidden', 'no_preflight', 'the newest preflight of this plan is not clear')
  const unknown = unknownObligations(latest.decision['obligations'] as object)
  if (unknown.length > 0) throw new Failure('forbidden', 'obligation_unknown', `this version cannot honour what the decision obliges it to (${unknown.join(', ')}): update the workers`)
  const decidedAtMs = Date.parse(latest.decidedAt)
  // What was decided a minute ago is asked again, and a window that closes takes its warrants with it.
  return { decisionId, decidedAtMs, untilMs: Math.min(decidedAtMs + warrantLifeMs, (latest.decision['validUntil'] as number | null) ?? Infinity) }
}

/**
 * The undo was authorised with the act and asks no policy again: the grounds are those of the act's own warrant,
 * and a verdict on record that is one to undo on.
 */
function groundsToUndo({ act, verdict }: Facts, digest: string): Grounds {
  if (act?.planDigest !== digest || (act.result !== 'applied' && act.result !== 'presumed')) {
    throw new Failure('forbidden', 'no_decision', 'there is no change of this plan to undo')
  }
  const calledFor = verdict === 'worse' || (verdict === 'same' && act.undoSame)
  if (!calledFor) throw new Failure('forbidden', 'no_verdict', `the verdict on record (${verdict ?? 'none'}) does not ask for an undo`)
  return { decisionId: act.decisionId, decidedAtMs: Date.parse(act.decidedAt), untilMs: Infinity }
}
