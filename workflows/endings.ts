import { ActivityFailure, ApplicationFailure, TimeoutFailure } from '@temporalio/workflow'
import type { Ending, Outcome } from '../domain/remediation.ts'

export const ending = (outcome: Outcome, reason: string, message: string): Ending => ({ outcome, reason, message, verdict: null })

/**
 * What stopped a step for good, as an ending: a kind that is not worth retrying, or the deadline.
 * Anything else is a bug and is thrown on.
 */
export function endingOf(failure: unknown): Ending {
  if (failure instanceof ApplicationFailure) return endingOfCause(failure) // a local activity's comes as it is
  if (!(failure instanceof ActivityFailure)) throw failure
  const cause = failure.cause
  if (cause instanceof ApplicationFailure) return endingOfCause(cause)
  // The deadline came while a step was being retried; the last try says why.
  const last = cause instanceof TimeoutFailure ? cause.cause : undefined
  if (last instanceof ApplicationFailure) return endingOfCause(last)
  return ending('blocked', 'unavailable', `no worker finished \`${failure.activityType}\` before the deadline; check that the workers run`)
}

function endingOfCause(cause: ApplicationFailure): Ending {
  const code = typeof cause.details?.[0] === 'string' ? cause.details[0] : (cause.type ?? 'unknown')
  return ending(cause.type === 'limited' && code.startsWith('limit') ? 'limited' : 'blocked', code, cause.message)
}
