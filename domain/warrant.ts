import { canonicalJson } from './canonical.ts'
import type { EffectPhase } from './remediation.ts'

/**
 * Permission for one plan and one phase, signed by the decision side and checked by whoever holds
 * cluster rights. Times are epoch milliseconds by database time.
 */
export type Warrant = {
  type: 'aegis-warrant-v1'
  /** The cluster it is good for; a warrant for one is worth nothing in another. */
  audience: string
  warrantId: string
  remediationId: string
  phase: EffectPhase
  planDigest: string
  decisionId: string
  /** Ids of the committed approvals of this plan that were on record when it was decided. */
  approvals: string[]
  issuedAtMs: number
  expiresAtMs: number
  nonce: string
  keyId: string
}

/** A warrant lives at most this long, so that a policy change or a freeze takes hold within it. */
export const warrantLifeMs = 60_000

export const warrantText = (warrant: Warrant): string => canonicalJson(warrant)

export type WarrantRefusal =
  | 'warrant_malformed'
  | 'warrant_key_unknown'
  | 'warrant_signature'
  | 'warrant_other_cluster'
  | 'warrant_other_remediation'
  | 'warrant_other_phase'
  | 'warrant_other_plan'
  | 'warrant_expired'

export type WarrantUse = { cluster: string; remediationId: string; phase: EffectPhase; planDigest: string; nowMs: number }
/** True when `signature` over `text` verifies under `keyId`; undefined when the key is not known. */
export type VerifySignature = (keyId: string, text: string, signature: string) => boolean | undefined

/** Says why this signed text is no permission for this use, or returns the warrant it is. */
export function checkWarrant(text: string, signature: string, use: WarrantUse, verify: VerifySignature): Warrant | WarrantRefusal {
  const warrant = parseWarrant(text)
  if (!warrant) return 'warrant_malformed'
  const verified = verify(warrant.keyId, text, signature)
  if (verified === undefined) return 'warrant_key_unknown'
  if (!verified) return 'warrant_signature'
  if (warrant.audience !== use.cluster) return 'warrant_other_cluster'
  if (warrant.remediationId !== use.remediationId) return 'warrant_other_remediation'
  if (warrant.phase !== use.phase) return 'warrant_other_phase'
  if (warrant.planDigest !== use.planDigest) return 'warrant_other_plan'
  if (use.nowMs >= warrant.expiresAtMs || warrant.expiresAtMs - warrant.issuedAtMs > warrantLifeMs) return 'warrant_expired'
  return warrant
}

function parseWarrant(text: string): Warrant | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const warrant = value as Warrant
  const strings = [warrant.audience, warrant.warrantId, warrant.remediationId, warrant.planDigest, warrant.decisionId, warrant.nonce, warrant.keyId]
  const sound =
    warrant.type === 'aegis-warrant-v1' &&
    strings.every((field) => typeof field === 'string' && field !== '') &&
    (warrant.phase === 'act' || warrant.phase === 'undo') &&
    Number.isSafeInteger(warrant.issuedAtMs) &&
    Number.isSafeInteger(warrant.expiresAtMs)
  // Only the canonical form counts: two texts for one meaning would be two things to sign.
  return sound && canonicalJson(value) === text ? warrant : undefined
}
