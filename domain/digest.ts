import { canonicalJson } from './canonical.ts'
import type { Plan } from './plan.ts'

/** Hashing arrives as an argument: nothing in `domain` knows a crypto library. Hex, lower case. */
export type Sha256 = (text: string) => string

export const planDigest = (plan: Plan, sha256: Sha256): string => `sha256:${sha256(canonicalJson(plan))}`
