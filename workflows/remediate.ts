import { CancellationScope, isCancellation, sleep } from '@temporalio/workflow'
import type { Attempted, Fenced } from '../activities/results.ts'
import type { EffectPhase, Ending } from '../domain/remediation.ts'
import type { AnswerKind } from '../domain/transition.ts'
import { ending, endingOf } from './endings.ts'
import type { RemediateInput } from './messages.ts'
import { executeQueue } from './names.ts'
import { startRun, type Run } from './run.ts'
import { decisionSteps, executionSteps } from './steps.ts'

/** Rounds of judging anew (after a wait for a turn) and of renewing a warrant. The deadline ends them sooner. */
const roundLimit = 50

type Story = {
  run: Run
  decide: ReturnType<typeof decisionSteps>
  execute: ReturnType<typeof executionSteps>
  timing: { settleMs: number; verifyTimeoutMs: number; undoTimeoutMs: number; fenceTimeoutMs: number }
}
/** What the people and the policy agreed to, and the room taken for it. */
type Permit = { digest: string; undo: boolean; decisionId: string; answers: string[]; undoSame: boolean; claimToken: number }

/**
 * One remediation, from the accepted request to its ending. Null: this run is not the one bound to
 * the request, or the request is closed; nothing was done and nothing is recorded.
 * The interceptor in hook.ts writes the ending down, whatever way it came about.
 */
export async function remediate(input: RemediateInput): Promise<Ending | null> {
  const run = startRun(input)
  const told = await tell(run, input.firstLookMs)
  if (told) run.end(told)
  return told
}

async function tell(run: Run, firstLookMs: number): Promise<Ending | null> {
  try {
    const story = await lookFirst(run, firstLookMs)
    return 'story' in story ? await actOn(story.story) : story.ending
  } catch (failure) {
    if (!isCancellation(failure)) return endingOf(failure)
    return ending('cancelled', 'cancelled_in_temporal', 'the workflow was cancelled in Temporal before anything was changed')
  }
}

async function lookFirst(run: Run, firstLookMs: number): Promise<{ story: Story } | { ending: Ending | null }> {
  const decide = decisionSteps()
  run.enter('planning', 'detect')
  const detected = await decide.detect('read the request and the target', firstLookMs, { id: run.id, cluster: run.cluster, firstRunId: run.firstRunId })
  if (!detected.go) return { ending: detected.ending }
  run.setDeadline(detected.deadlineMs)
  return { story: { run, decide, execute: executionSteps(executeQueue(run.cluster)), timing: detected.timing } }
}
async function actOn(story: Story): Promise<Ending> {
  const permit = await obtainPermit(story)
  if ('outcome' in permit) return permit
  // From the first intent to a known effect nothing interrupts: a cancel waits for the end of the mutation.
  const acted = await CancellationScope.nonCancellable(() => mutate(story, permit, 'act'))
  if (acted !== 'effective') return acted
  return judgeEffect(story, permit)
}

/** Plan, judge, ask and reserve, again from the start whenever a turn was waited for. */
async function obtainPermit(story: Story): Promise<Permit | Ending> {
  const { run, decide } = story
  for (let round = 0; round < roundLimit; round++) {
    const judged = await judge(story)
    if ('outcome' in judged) return judged
    if ('retryMs' in judged) {
      const stopped = run.leftMs() > 0 ? await pause(story, judged.retryMs, 'wait for the disruption budget') : judged.ending
      if (stopped) return stopped
      continue
    }

    run.enter('planning', 'reserve')
    const reserved = await decide.reserve('take the claim and room in the limits', run.leftMs(), { ...ref(run), digest: judged.digest })
    if (reserved.reserved) return { ...judged, claimToken: reserved.claimToken }
    if (reserved.retryMs === null) return reserved.ending

    run.enter('waiting_turn', 'waiting for the claim on the workload')
    if (run.leftMs() === 0) return ending('blocked', 'claim_busy', 'another remediation held the workload until the deadline')
    const stopped = await pause(story, reserved.retryMs, 'wait for a turn')
    if (stopped) return stopped
  }
  return ending('blocked', 'claim_busy', `the workload was busy ${roundLimit} times in a row`)
}

type Judged = Omit<Permit, 'claimToken'>

async function judge(story: Story): Promise<Judged | Ending | { retryMs: number; ending: Ending }> {
  const { run, decide, execute } = story
  const stopped = await cancelAsked(story)
  if (stopped) return stopped

  run.enter('planning', 'plan')
  const planned = await decide.plan('pin every value of the action and its undo', run.leftMs(), { ...ref(run), expected: null })
  if (!planned.planned) return planned.ending
  const { digest, undo } = planned
  run.setDigest(digest)

  run.enter('planning', 'preflight')
  const preflighted = await execute.preflight('check the plan against the cluster, changing nothing', run.leftMs(), { ...ref(run), digest })

  run.enter('planning', 'evaluatePolicy')
  const evaluated = await decide.evaluatePolicy('ask the policy', run.leftMs(), { ...ref(run), digest, answers: [] })
  // The policy speaks even where preflight refuses: `observed` and `denied` say more than `blocked`.
  if (evaluated.proceed === 'stop') return evaluated.ending
  if (!preflighted.clear) {
    const { ending, retryMs } = preflighted
    return retryMs === null ? ending : { retryMs, ending }
  }
  if (evaluated.proceed === 'act') return { digest, undo, decisionId: evaluated.decisionId, answers: [], undoSame: evaluated.undoSame }
  return askPeople(story, { digest, undo }, evaluated.answerTimeoutMs)
}

/** Waits for people; each approval is checked against its row, and the policy is asked again with it. */
async function askPeople(story: Story, { digest, undo }: { digest: string; undo: boolean }, answerTimeoutMs: number): Promise<Judged | Ending> {
  const { run, decide } = story
  const untilMs = Date.now() + Math.min(answerTimeoutMs, run.leftMs())
  const answers: string[] = []
  run.enter('awaiting_approval', 'waiting for approval')
  while (await run.answered(anyAnswer, untilMs - Date.now(), 'wait for an answer')) {
    const message = run.take(anyAnswer)
    if (!message) break
    const checked = await decide.checkAnswer(`check the answer ${message.kind}`, run.leftMs(), { ...ref(run), digest, ...message })
    if (!checked.valid) continue
    if (checked.kind !== 'approve') return endingOfAnswer(checked.kind, checked.by, checked.comment)
    answers.push(message.answerId)

    const again = await decide.plan('compare the plan with what was approved', run.leftMs(), { ...ref(run), expected: digest })
    if (!again.planned) return again.ending
    const evaluated = await decide.evaluatePolicy('ask the policy again with the approval', run.leftMs(), { ...ref(run), digest, answers })
    if (evaluated.proceed === 'stop') return evaluated.ending
    if (evaluated.proceed === 'act') return { digest, undo, decisionId: evaluated.decisionId, answers, undoSame: evaluated.undoSame }
  }
  return ending('unanswered', 'approval_timeout', 'nobody answered in time')
}

/** Warrant, intent, call: until the effect is known or a fence makes sure that there will be none. */
async function mutate(story: Story, permit: Permit, phase: EffectPhase): Promise<Ending | 'effective'> {
  const { run, decide, timing } = story
  const untilMs = phase === 'act' ? Date.now() + run.leftMs() : Date.now() + timing.undoTimeoutMs
  const leftMs = () => Math.max(0, untilMs - Date.now())
  let { decisionId } = permit
  let stop: Ending = ending('blocked', 'deadline', 'the deadline came before the action could be taken')
  try {
    for (let round = 0; round < roundLimit && (round === 0 || leftMs() > 0); round++) {
      if (round > 0 && phase === 'act') {
        const renewed = await decide.evaluatePolicy('ask the policy again for a new warrant', leftMs(), { ...ref(run), digest: permit.digest, answers: permit.answers })
        if (renewed.proceed !== 'act') {
          stop = renewed.proceed === 'stop' ? renewed.ending : ending('blocked', 'approval_withdrawn', 'the policy asks for an approval that is no longer there')
          break
        }
        decisionId = renewed.decisionId
      }
      const attempted = await attempt(story, { ...permit, decisionId }, phase, leftMs())
      if (attempted.effect !== 'none') return 'effective'
      if (attempted.because === 'final') {
        stop = attempted.ending
        break
      }
      stop = stopOf(attempted)
      const hold = attempted.because === 'warrant' || attempted.because === 'pdb' || (attempted.because === 'frozen' && phase === 'undo')
      if (!hold) break
      if (attempted.retryMs > 0) await sleep(Math.min(attempted.retryMs, Math.max(leftMs(), 1)))
    }
  } catch (failure) {
    stop = endingOf(failure)
  }
  return fenced(story, phase, stop)
}

async function attempt(story: Story, permit: Permit, phase: EffectPhase, leftMs: number): Promise<Attempted> {
  const { run, decide, execute } = story
  const { digest, claimToken, decisionId, answers } = permit
  run.enter(phase === 'act' ? 'acting' : 'undoing', phase === 'act' ? 'issueWarrant' : 'issueWarrant for the undo')
  const { warrantId } = await decide.issueWarrant(`sign a warrant for the ${phase}`, leftMs, { ...ref(run), digest, phase, decisionId, answers })
  const validated = await execute.validateSignature(`check the warrant for the ${phase}`, leftMs, { ...ref(run), digest, phase, warrantId })
  if (!validated.valid) return { effect: 'none', because: 'final', ending: ending('blocked', validated.reason, validated.summary), summary: validated.summary }

  const input = { ...ref(run), digest, phase, warrantId, claimToken }
  const recorded = await execute.recordIntent(`write down what the ${phase} is about to do`, leftMs, { ...input, runId: run.runId })
  if (!recorded.recorded) return { effect: 'none', because: 'final', ending: recorded.ending, summary: recorded.summary }
  return phase === 'act'
    ? execute.executeAction('make the change, once', leftMs, input)
    : execute.rollback('take the change back, once', leftMs, input)
}

/** No run closes on a call that may still land. */
async function fenced(story: Story, phase: EffectPhase, stop: Ending): Promise<Ending | 'effective'> {
  const { run, execute, timing } = story
  let result: Fenced
  try {
    result = await execute.fence('make sure that no late call can land', timing.fenceTimeoutMs, { ...ref(run), phase })
  } catch (failure) {
    const { message } = endingOf(failure)
    return ending('needs_human', 'unfenced', `the change may still land, and no fence could be written: ${message}`)
  }
  if (result.fenced === 'landed') return 'effective'
  if (result.fenced === 'unfenced') return ending('needs_human', 'unfenced', result.summary)
  return stop
}

async function judgeEffect(story: Story, permit: Permit): Promise<Ending> {
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

/** A cancel during verification ends the watching; the change stays, and the record says so. */
async function verifyUnlessCancelled(story: Story, digest: string): Promise<{ verdict: NonNullable<Ending['verdict']>; evidence: string } | Ending> {
  const { run, execute, timing } = story
  run.enter('verifying', 'verify')
  const scope = new CancellationScope()
  const verifying = scope.run(() =>
    execute.verify('watch until the workload settles', timing.verifyTimeoutMs + timing.settleMs, { ...ref(run), digest, settleMs: timing.settleMs, timeoutMs: timing.verifyTimeoutMs }),
  )
  let done = false
  const watched = verifying.finally(() => void (done = true))
  watched.catch(() => undefined) // awaited below; until then a rejection is not unhandled
  try {
    for (let round = 0; round < roundLimit && !done; round++) {
      await firstOf(watched, () => run.answered(['cancel'], timing.verifyTimeoutMs + timing.settleMs, 'wait for a cancel'))
      const stopped = done ? undefined : await cancelAsked(story)
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

/** Ends the wait when the work is done first, so that no timer is left behind it. */
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

const anyAnswer: readonly AnswerKind[] = ['approve', 'reject', 'cancel', 'resolve']
const stopAnswers: readonly AnswerKind[] = ['cancel', 'resolve']

/** Looks at a cancel (or a resolved alert) that came in the meantime, if its row bears it out. */
async function cancelAsked(story: Story): Promise<Ending | undefined> {
  const { run, decide } = story
  for (let message = run.take(stopAnswers); message; message = run.take(stopAnswers)) {
    const checked = await decide.checkAnswer(`check the answer ${message.kind}`, run.leftMs(), { ...ref(run), digest: null, ...message })
    if (checked.valid) return endingOfAnswer(checked.kind, checked.by, checked.comment)
  }
  return undefined
}

async function pause(story: Story, waitMs: number, summary: string): Promise<Ending | undefined> {
  const { run } = story
  await run.answered(stopAnswers, Math.min(waitMs, run.leftMs()), summary)
  return cancelAsked(story)
}

function endingOfAnswer(kind: AnswerKind, by: string, comment: string): Ending {
  const said = comment === '' ? '' : `: ${comment}`
  if (kind === 'reject') return ending('declined', 'rejected', `${by} declined${said}`)
  if (kind === 'resolve') return ending('no_action_needed', 'alert_resolved', 'the alert stopped firing before anything was changed')
  return ending('cancelled', 'cancelled_by_person', `${by} cancelled${said}`)
}

function stopOf(attempted: Extract<Attempted, { because: 'warrant' | 'frozen' | 'cancelled' | 'limited' | 'pdb' }>): Ending {
  const { summary } = attempted
  switch (attempted.because) {
    case 'frozen':
      return ending('frozen', 'frozen', summary)
    case 'cancelled':
      return ending('cancelled', 'cancelled_by_person', summary)
    case 'limited':
      return ending('limited', 'limit_reached', summary)
    case 'pdb':
      return ending('blocked', 'pdb_exhausted', summary)
    case 'warrant':
      return ending('blocked', 'warrant_expired', summary)
  }
}

const ref = (run: Run) => ({ id: run.id, cluster: run.cluster })
