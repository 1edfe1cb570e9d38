import { patched } from '@temporalio/workflow'
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
  return askPeople(story, { digest, undo }, evaluated.answerTimeoutMs)
}

/** Waits for people; each approval is checked against its row, and the policy is asked again: it counts the rows. */
async function askPeople(story: Story, { digest, undo }: Pick<Judged, 'digest' | 'undo'>, answerTimeoutMs: number): Promise<Judged | Ending> {
  const { run, decide } = story
  const untilMs = Date.now() + Math.min(answerTimeoutMs, run.leftMs())
  run.enter('awaiting_approval', 'waiting for approval')
  while (await run.answered(anyAnswer, untilMs - Date.now(), 'wait for an answer')) {
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
    run.enter('awaiting_approval', 'waiting for another approval')
  }
  return ending('unanswered', 'approval_timeout', 'nobody answered in time')
}
