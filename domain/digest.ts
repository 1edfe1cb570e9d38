import { canonicalJson } from './canonical.ts'
import type { Plan } from './plan.ts'

/** Hashing arrives as an argument: nothing in `domain` knows a crypto library. Hex, lower case. */
export type Sha256 = (text: string) => string

/** Of what is pinned. Plans of before said whether a rollout was up when it was looked at, which is none of that. */
export function planDigest(plan: Plan, sha256: Sha256): string {
  const { complete: _status, ...pinned } = plan as Plan & { complete?: unknown }
  return `sha256:${sha256(canonicalJson(pinned))}`
}
