import type { ActionName } from './remediation.ts'

export type LimitScope = 'namespace' | 'cluster' | 'workload'

/** At most `limit` effects of `action` (`*`: of any) in every window of `windowMs`, per scope. `key` names the rule in answers. */
export type LimitRule = { key: string; action: ActionName | '*'; scope: LimitScope; limit: number; windowMs: number }

/** At most `limit` remediations between `reserve` and `close` at once, per scope. */
export type ConcurrencyRule = { key: string; scope: 'namespace' | 'cluster'; limit: number }

/** Effects of one workload that are too many: the next is left to a person. */
export type FlapRule = { limit: number; windowMs: number }

/** Room taken in a limit. `effectAtMs` is null until the effect is known: it may still come at any time. */
export type LimitEntry = { amount: number; effectAtMs: number | null }

export type Admission = { admitted: true } | { admitted: false; retryAfterMs: number }

/**
 * The exact sliding log. An entry holds its room until its effect's time plus the window, so no window
 * that ends now or later can hold more than `limit`. `retryAfterMs` is the earliest time at which
 * asking again can help, if every effect still pending came at once; never more than the window.
 */
export function admit(
  entries: readonly LimitEntry[],
  rule: Pick<LimitRule, 'limit' | 'windowMs'>,
  amount: number,
  nowMs: number,
): Admission {
  const held = entries.filter((entry) => holdsRoom(entry, rule.windowMs, nowMs))
  const taken = held.reduce((sum, entry) => sum + entry.amount, 0)
  const tooMany = taken + amount - rule.limit
  if (tooMany <= 0) return { admitted: true }
  return { admitted: false, retryAfterMs: waitFor(held, tooMany, rule.windowMs, nowMs) }
}

/** The window is half-open: effects exactly one window apart do not share one. */
export const holdsRoom = ({ effectAtMs }: LimitEntry, windowMs: number, nowMs: number): boolean =>
  effectAtMs === null || effectAtMs + windowMs > nowMs

function waitFor(held: readonly LimitEntry[], tooMany: number, windowMs: number, nowMs: number): number {
  const leaving = held
    .map(({ amount, effectAtMs }) => ({ amount, inMs: (effectAtMs ?? nowMs) + windowMs - nowMs }))
    .sort((a, b) => a.inMs - b.inMs)
  let freed = 0
  for (const { amount, inMs } of leaving) {
    freed += amount
    if (freed >= tooMany) return Math.min(inMs, windowMs)
  }
  return windowMs // more is asked for than the limit ever gives
}
