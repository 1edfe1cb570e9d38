import type { Settled } from './health.ts'
import type { Health } from './plan.ts'
import type { Verdict } from './remediation.ts'

/** One look. `atMs` is epoch milliseconds by the clock of whoever looked. */
export type Sample = { atMs: number; settled: Settled }

/** `settleMs`: how long a state must hold to count. `timeoutMs` counts from `startMs`. */
export type VerifyWindow = { settleMs: number; timeoutMs: number; startMs: number; nowMs: number }

export type Judgement = {
  verdict: Verdict | 'not_yet'
  /** One line for people. */
  evidence: string
  /** When what holds now will have held for the settle time, if it goes on; null while nothing does that counts. */
  dueMs: number | null
}

/** Looks further apart than this (or than the settle time) leave a gap in which anything may have happened. */
const longestGapMs = 10_000

/**
 * Did it help? Baseline against what was seen since, oldest look first.
 *
 * - More failing pods than before, for the settle time: `worse`, at once. Waiting does not cure those.
 * - The rollout complete (for a restart: the old pod gone) for the settle time without a new restart:
 *   `better` when the workload is whole, or improved in one count and in none the worse; else `same`.
 * - The rollout given up (ProgressDeadlineExceeded) for the settle time: `worse` when it was not given
 *   up before, or when fewer pods are available than before; else as above.
 * - At the timeout: as above if the last look's counts held for the settle time, `worse` if fewer pods
 *   than before were available all that time, else `unknown`. So is a workload that is gone.
 *
 * Fewer available than before means fewer than were both available then and wanted now, so that a
 * scale-down is no loss. While a rollout moves its dip does not count.
 */
export const judgeHealth = (baseline: Health, samples: readonly Sample[], window: VerifyWindow): Judgement => ({
  verdict: verdictOf(baseline, samples, window),
  evidence: evidenceOf(baseline, samples),
  dueMs: dueOf(baseline, samples, window),
})

function verdictOf(baseline: Health, samples: readonly Sample[], window: VerifyWindow): Verdict | 'not_yet' {
  const last = samples.at(-1)
  if (!last) return window.nowMs - window.startMs < window.timeoutMs ? 'not_yet' : 'unknown'
  const held = (holds: (settled: Settled) => boolean) => heldSince(samples, holds, window.settleMs)

  if (held(failsMore(baseline))) return 'worse'
  const complete = held(isComplete)
  if (complete && !hasRestarted(complete, last)) return compare(baseline, last.settled)
  if (held(isGivenUp)) {
    return wasGivenUp(baseline) ? compare(baseline, last.settled) : 'worse'
  }
  if (window.nowMs - window.startMs < window.timeoutMs) return 'not_yet'
  return atTimeout(baseline, samples, window)
}

/** The rules above, each by the look from which on it holds. For a complete rollout a restart starts the count anew. */
function dueOf(baseline: Health, samples: readonly Sample[], { settleMs }: VerifyWindow): number | null {
  const last = samples.at(-1)
  if (!last) return null
  const completeSinceRestart = (settled: Settled) => isComplete(settled) && settled.health.restarts >= last.settled.health.restarts
  const begun = [failsMore(baseline), completeSinceRestart, isGivenUp].flatMap((holds) => unbroken(samples, holds, settleMs).at(-1) ?? [])
  const due = begun.map(({ atMs }) => atMs + settleMs).filter((ms) => ms > last.atMs)
  return due.length > 0 ? Math.min(...due) : null
}

function atTimeout(baseline: Health, samples: readonly Sample[], { settleMs, nowMs }: VerifyWindow): Verdict {
  const last = samples.at(-1)
  if (!last || nowMs - last.atMs > Math.max(settleMs, longestGapMs)) return 'unknown'
  if (last.settled.rollout === 'missing' || last.settled.podGone === false) return 'unknown'
  if (heldSince(samples, ({ health }) => lost(baseline, health), settleMs)) return 'worse'
  const steady = heldSince(samples, (settled) => countsOf(settled) === countsOf(last.settled), settleMs)
  return steady ? compare(baseline, last.settled) : 'unknown'
}

function compare(baseline: Health, { health, rollout }: Settled): Verdict {
  if (lost(baseline, health) || health.failing > baseline.failing) return 'worse'
  if (rollout === 'complete' && isWhole(health)) return 'better'
  const [wasMissing, isMissing] = [missing(baseline), missing(health)]
  if (isMissing > wasMissing) return 'same'
  const faultGone = baseline.faults.some((fault) => !health.faults.includes(fault))
  return isMissing < wasMissing || health.failing < baseline.failing || faultGone ? 'better' : 'same'
}

const failsMore = (baseline: Health) => ({ health }: Settled): boolean => health.failing > baseline.failing
const isGivenUp = ({ rollout }: Settled): boolean => rollout === 'exceeded'
const isComplete = ({ rollout, podGone }: Settled): boolean => rollout === 'complete' && podGone !== false
const isWhole = (health: Health): boolean => missing(health) === 0 && health.failing === 0 && health.faults.length === 0
const missing = ({ desired, available }: Health): number => Math.max(0, desired - available)
const lost = (baseline: Health, { available, desired }: Health): boolean => available < Math.min(baseline.available, desired)
const wasGivenUp = ({ faults }: Health): boolean => faults.includes('stuck_rollout')
const hasRestarted = (since: Sample, last: Sample): boolean => last.settled.health.restarts > since.settled.health.restarts

const countsOf = ({ health, rollout, podGone }: Settled): string =>
  [health.desired, health.updated, health.ready, health.available, health.failing, health.restarts, rollout, podGone].join('/')

/** The look a settle time ago (or the last one before it) if this has held in every look since; otherwise undefined. */
function heldSince(samples: readonly Sample[], holds: (settled: Settled) => boolean, settleMs: number): Sample | undefined {
  const lastMs = samples.at(-1)?.atMs ?? 0
  return unbroken(samples, holds, settleMs).find(({ atMs }) => lastMs - atMs >= settleMs)
}

/** The looks in which this has held without a gap, from the last one back. */
function unbroken(samples: readonly Sample[], holds: (settled: Settled) => boolean, settleMs: number): Sample[] {
  const row: Sample[] = []
  for (const sample of samples.toReversed()) {
    const gap = (row.at(-1) ?? sample).atMs - sample.atMs > Math.max(settleMs, longestGapMs)
    if (gap || !holds(sample.settled)) break
    row.push(sample)
  }
  return row
}

/** The last look beside the baseline. */
function evidenceOf(baseline: Health, samples: readonly Sample[]): string {
  const last = samples.at(-1)
  if (!last) return 'the workload could not be looked at'
  const { health, rollout, podGone } = last.settled
  const pod = podGone === null ? '' : podGone ? ', the old pod is gone' : ', the old pod is still there'
  const counts = ({ available, desired, failing }: Health) => `${available} of ${desired} available, ${failing} failing`
  return `rollout ${rolloutWords[rollout]}${pod}: ${counts(health)} (before: ${counts(baseline)})`
}

const rolloutWords = { complete: 'complete', progressing: 'in progress', exceeded: 'past its deadline', missing: 'no longer visible' }
