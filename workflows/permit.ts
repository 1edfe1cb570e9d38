import { isCancellation, patched, TemporalFailure } from '@temporalio/workflow'
import type { Evaluated } from '../activities/results.ts'
import type { Ending } from '../domain/remediation.ts'
import { anyAnswer, endingOfAnswer, pause, stopAsked } from './answers.ts'
import { ending } from './endings.ts'
import { pauseOf, ref, roundLimit, type Judged, type Permit, type Story } from './story.ts'

/** Runs begun before that was said show `planning` while they wait for a disruption budget. */
const budgetWaitsAreSaid = 'budget-waits-are-said'

/** What stands in the way passes with time. */
type Later = { retryMs: number; why: string; ending: Ending }

/** Plan, judge, ask and reserve, again from the start whenever something had to be waited for. */
export async function obtainPermit(story: Story): Promise<Permit | Ending> {
  const { run } = story
  let last = ending('blocked', 'deadline', 'the deadline passed before anything could be done')
  for (let round = 0; round < roundLimit && (round === 0 || run.leftMs() > 0); round++) {
    const judged = await judge(story)
    if ('outcome' in judged) return judged
    const obtained = 'retryMs' in judged ? judged : await takeRoom(story, judged)
    if (!('retryMs' in obtained)) return obtained

    last = obtained.ending
    const stopped = run.leftMs() > 0 ? await pause(story, pauseOf(round, obtained.retryMs), obtained.why) : undefined
    if (stopped) return stopped
  }
  return last
}

async function takeRoom({ run, decide }: Story, judged: Judged): Promise<Permit | Ending | Later> {
  run.enter('planning', 'reserve')
  const reserved = await decide.reserve('take the claim and room in the limits', run.leftMs(), { ...ref(run), digest: judged.digest })
  if (reserved.reserved) return { ...judged, claimToken: reserved.claimToken }
  if (reserved.retryMs === null) return reserved.ending
  run.enter('waiting_turn', 'waiting for a turn')
  return { retryMs: reserved.retryMs, why: 'wait for a turn', ending: ending('blocked', 'claim_busy', `until the deadline: ${reserved.summary}`) }
}

async function judge(story: Story): Promise<Judged | Ending | Later> {
  const { run, decide, execute } = story
  const stopped = await stopAsked(story, run.leftMs())
  if (stopped) return stopped

  run.enter('planning', 'plan')
  const planned = await decide.plan('pin every value of the action and its undo', run.leftMs(), { ...ref(run), expected: null })
  if (!planned.planned) return planned.ending
  const { digest, undo } = planned
  run.setDigest(digest)

  run.enter('planning', 'preflight')
  const preflighted = await execute.preflight('check the plan against the cluster, changing nothing', run.leftMs(), { ...ref(run), digest })

  run.enter('planning', 'evaluatePolicy')
  const evaluated = await decide.evaluatePolicy('ask the policy', run.leftMs(), { ...ref(run), digest })
  // The policy speaks even where preflight refuses: `observed` and `denied` say more than `blocked`.
  if (evaluated.proceed === 'stop') return evaluated.ending
  if (!preflighted.clear) {
    const { ending: refused, retryMs } = preflighted
    if (retryMs === null) return refused
    if (patched(budgetWaitsAreSaid)) run.enter('waiting_turn', 'waiting for the disruption budget')
    return { retryMs, why: 'wait for the disruption budget', ending: refused }
  }
  if (evaluated.proceed === 'act') return { digest, undo, decisionId: evaluated.decisionId, undoSame: evaluated.undoSame }
  return askPeople(story, { digest, undo }, evaluated)
}

/**
 * Waits for people; each approval is checked against its row, and the policy is asked again: it counts the rows. Where a
 * group does not answer in time, others are told that they may, within the same wait.
 */
async function askPeople(story: Story, { digest, undo }: Pick<Judged, 'digest' | 'undo'>, asked: Asked): Promise<Judged | Ending> {
  const { run, decide } = story
  const untilMs = Date.now() + Math.min(asked.answerTimeoutMs, run.leftMs())
  const bells = setBells(asked)
  run.enter('awaiting_approval', 'waiting for approval')
  while (await answeredBy(story, digest, untilMs, bells)) {
    const message = run.take(anyAnswer)
    if (!message) break
    const checked = await decide.checkAnswer(`check the answer ${message.kind}`, run.leftMs(), { ...ref(run), digest, ...message })
    if (!checked.valid) continue
    if (checked.kind !== 'approve') return endingOfAnswer(checked.kind, checked.by, checked.comment)

    run.enter('planning', 'plan')
    const again = await decide.plan('compare the plan with what was approved', run.leftMs(), { ...ref(run), expected: digest })
    if (!again.planned) return again.ending
    const evaluated = await decide.evaluatePolicy('ask the policy again with the approval', run.leftMs(), { ...ref(run), digest })
    if (evaluated.proceed === 'stop') return evaluated.ending
    if (evaluated.proceed === 'act') return { digest, undo, decisionId: evaluated.decisionId, undoSame: evaluated.undoSame }
    bells.next = setBells(evaluated).next
    run.enter('awaiting_approval', 'waiting for another approval')
  }
  return ending('unanswered', 'approval_timeout', 'nobody answered in time')
}

type Asked = Extract<Evaluated, { proceed: 'ask' }>
type Bell = { group: string; to: string; atMs: number }
/** What is still to ring, the soonest first, and how often it has. */
type Bells = { next: Bell[]; rung: number }

/** Of one wait. The policy names no more either; this bounds the history whatever it names. */
const mostBells = 9
/** An answer that comes meanwhile waits so long at most. */
const ringTimeoutMs = 30_000

const setBells = ({ escalations = [] }: Asked): Bells => ({ next: escalations.map(({ group, to, inMs }) => ({ group, to, atMs: Date.now() + inMs })), rung: 0 })

/** True when an answer is there before the time is over. Each bell that rings meanwhile is said, and the wait goes on. */
async function answeredBy(story: Story, digest: string, untilMs: number, bells: Bells): Promise<boolean> {
  const { run } = story
  for (;;) {
    const bell = bells.rung < mostBells ? bells.next.find(({ atMs }) => atMs < untilMs) : undefined
    if (await run.answered(anyAnswer, (bell?.atMs ?? untilMs) - Date.now(), 'wait for an answer')) return true
    if (!bell) return false
    bells.next = bells.next.filter((one) => one !== bell)
    bells.rung += 1
    if (await ring(story, digest, bell)) run.enter('awaiting_approval', `escalated to \`${bell.to}\``)
  }
}

/** Who may answer goes by the clock, whether or not it could be said: a step that fails ends no wait. */
async function ring({ run, decide }: Story, digest: string, { group, to }: Bell): Promise<boolean> {
  try {
    const withinMs = Math.min(ringTimeoutMs, run.leftMs())
    return (await decide.escalate(`say that \`${to}\` may speak for \`${group}\``, withinMs, { ...ref(run), digest, group, to })).escalated
  } catch (failure) {
    if (isCancellation(failure) || !(failure instanceof TemporalFailure)) throw failure
    return false
  }
}
