import { canonicalJson } from './canonical.ts'
import type { Plan } from './plan.ts'

/** Hashing arrives as an argument: nothing in `domain` knows a crypto library. Hex, lower case. */
export type Sha256 = (text: string) => string

/** Of what is pinned: whether a rollout was up when it was looked at is status, which moves while people decide. */
export function planDigest(plan: Plan, sha256: Sha256): string {
  const { complete: _status, ...pinned } = plan as Plan & { complete?: boolean | undefined }
  return `sha256:${sha256(canonicalJson(pinned))}`
}
