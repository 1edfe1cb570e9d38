import { CancellationScope, isCancellation } from '@temporalio/workflow'
import type { Ending, Verdict } from '../domain/remediation.ts'
import type { AnswerKind } from '../domain/transition.ts'
import { stopAsked } from './answers.ts'
import { ending, endingOf } from './endings.ts'
import { mutate } from './mutate.ts'
import { ref, roundLimit, type Permit, type Story } from './story.ts'

/** Beyond the watching itself: a worker that is lost meanwhile is noticed and replaced in this time. */
const handOverMs = 20_000
/** For looking at a cancel; the deadline of the remediation may be over by now. */
const answerCheckMs = 60_000
/** A change that was made is judged to its end: that the alert stopped is what it is for. */
const effectStops: readonly AnswerKind[] = ['cancel']

/** Did it help? Holds, or takes back what made it worse. */
export async function judgeEffect(story: Story, permit: Permit): Promise<Ending> {
  const verified = await verifyUnlessCancelled(story, permit.digest)
  if ('outcome' in verified) return verified
  const { verdict, evidence } = verified
  const judged = (outcome: Ending['outcome'], reason: string): Ending => ({ outcome, reason, message: evidence, verdict })
  if (verdict === 'better') return judged('healed', 'verified')
  if (verdict === 'unknown') return judged('needs_human', 'verdict_unknown')
  if (verdict === 'same' && !permit.undoSame) return judged('needs_human', 'not_better')
  if (!permit.undo) return judged('needs_human', 'no_undo')

  const undone = await CancellationScope.nonCancellable(() => mutate(story, permit, 'undo'))
  if (undone === 'effective') return judged('undone', `was_${verdict}`)
  if (undone.outcome === 'needs_human') return { ...undone, verdict }
  const reason = undone.outcome === 'overtaken' ? 'undo_overtaken' : undone.outcome === 'frozen' ? 'undo_frozen' : 'undo_failed'
  return { outcome: 'needs_human', reason, message: undone.message, verdict }
}

type Seen = { verdict: Verdict; evidence: string }

/** A cancel during verification ends the watching; the change stays, and the record says so. */
async function verifyUnlessCancelled(story: Story, digest: string): Promise<Seen | Ending> {
  const { run, execute, timing } = story
  const { settleMs, verifyTimeoutMs: timeoutMs } = timing
  run.enter('verifying', 'verify')
  const scope = new CancellationScope()
  const input = { ...ref(run), digest, startMs: Date.now(), settleMs, timeoutMs }
  let done = false
  const watched = scope
    .run(() => execute.verify('watch until the workload settles', timeoutMs + settleMs + handOverMs, input))
    .finally(() => void (done = true))
  watched.catch(() => undefined) // awaited below; until then a rejection is not unhandled
  try {
    for (let round = 0; round < roundLimit && !done; round++) {
      await firstOf(watched, () => run.answer(effectStops))
      const stopped = done ? undefined : await stopAsked(story, answerCheckMs, effectStops)
      if (stopped) {
        scope.cancel()
        await watched.catch(() => undefined)
        return { ...stopped, reason: 'cancelled_during_verify', message: `${stopped.message}; the change stays` }
      }
    }
    return await watched
  } catch (failure) {
    if (isCancellation(failure)) return ending('cancelled', 'cancelled_during_verify', 'the workflow was cancelled in Temporal; the change stays')
    const { message } = endingOf(failure)
    return { verdict: 'unknown', evidence: `the workload could not be watched to the end: ${message}` }
  }
}

/** Ends the wait when the work is done first. */
async function firstOf(work: Promise<unknown>, wait: () => Promise<unknown>): Promise<void> {
  const waiting = new CancellationScope()
  const waited = waiting.run(wait)
  try {
    await Promise.race([work, waited])
  } finally {
    waiting.cancel()
    await waited.catch(() => undefined)
  }
}
