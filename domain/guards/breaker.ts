/** `failures` within `windowMs`, or more than `percent` of the `last` remediations, open a policy's breaker. */
export type BreakerRules = { failures: number; windowMs: number; percent: number; last: number }

export const usualBreaker: BreakerRules = { failures: 3, windowMs: 3_600_000, percent: 30, last: 10 }

/** Endings of remediations that one policy permitted and that acted, the newest among them; since its breaker was last closed. */
export type BreakerEvidence = {
  /** That failed or were taken back, within the window. */
  badInWindow: number
  /** Of the newest `last`. */
  counted: number
  badOfCounted: number
}

/** Why it opens, or null. A share says something only of as many as it is of: with fewer the count alone decides. */
export function breakerReason({ failures, windowMs, percent, last }: BreakerRules, { badInWindow, counted, badOfCounted }: BreakerEvidence): string | null {
  if (badInWindow >= failures) return `${badInWindow} remediations failed or were taken back within ${windowMs / 1000} s, and ${failures} are too many`
  if (counted >= last && badOfCounted * 100 > percent * counted) return `${badOfCounted} of the last ${counted} remediations failed or were taken back, and more than ${percent} % is too many`
  return null
}
