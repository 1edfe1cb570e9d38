import type { ExecutionDeps } from './deps.ts'
import { ended } from './ended.ts'
import { permission, refusalMessage } from './permission.ts'
import { endingWith } from './recording.ts'
import type { ExecutionSteps, Ends, Recorded } from './results.ts'

/** Writes down what is about to happen. Without this row there is no call. */
export const recordIntent =
  (deps: ExecutionDeps): ExecutionSteps['recordIntent'] =>
  async (input) => {
    const given = await permission(deps, input)
    if ('refused' in given) return { recorded: false, ...ended('blocked', given.refused, refusalMessage[given.refused]) }
    const { id, phase, digest: planDigest, warrantId, claimToken, runId } = input
    return endingWith<IntentRecorded, Recorded>(
      (step) => deps.store.recordIntent(deps.db, { id, phase, planDigest, warrantId, claimToken, runId }, step),
      (recorded) => {
        if (recorded !== 'recorded' && recorded !== 'known') return { recorded: false, ...refusals[recorded] }
        return { recorded: true, summary: `the ${phase} is on record` }
      },
    )
  }

type IntentRecorded = Awaited<ReturnType<ExecutionDeps['store']['recordIntent']>>
type Refusal = Exclude<IntentRecorded, 'recorded' | 'known'> | 'no_intent'

/** Why the database let no attempt begin, as an ending. */
export const refusals: Record<Refusal, Ends> = {
  closed: ended('blocked', 'closed', 'the remediation is closed already'),
  frozen: ended('frozen', 'frozen', 'a freeze covers this action'),
  cancelled: ended('cancelled', 'cancelled_by_person', 'cancelled before anything was changed'),
  rejected: ended('declined', 'rejected', 'a person declined before anything was changed'),
  claim_lost: ended('blocked', 'claim_lost', 'the claim on the workload went to another remediation'),
  warrant_expired: ended('blocked', 'warrant_expired', 'the warrant has expired'),
  warrant_unknown: ended('blocked', 'warrant_unknown', 'there is no such warrant for this plan and phase'),
  other_digest: ended('blocked', 'other_plan', 'another plan of this remediation is on record already; it acts at most once'),
  limited: ended('limited', 'limit_reached', 'the room in the limits is no longer held'),
  deadline: ended('blocked', 'deadline', 'the deadline passed before anything was sent'),
  no_intent: ended('blocked', 'no_intent', 'there is no record of this intent; nothing is sent without one'),
  stopped: ended('blocked', 'stopped', 'an earlier attempt was fenced or ended; nothing more is sent'),
}
