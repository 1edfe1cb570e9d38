import { condition, patched, setCurrentDetails, setHandler, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow'
import { isWaiting, newConversation, next, take, type AnswerKind, type AnswerMessage, type Reply } from '../domain/transition.ts'
import type { Ending, Phase } from '../domain/remediation.ts'
import { firstPhase, searchAttributes } from './names.ts'
import { answerUpdate, approveSignal, cancelSignal, rejectSignal, resolveSignal, statusQuery, type RemediateInput, type RemediationStatus } from './messages.ts'

/** One run's state and its conversation with the outside. Everything lives inside: no module state. */
export type Run = {
  id: string
  cluster: string
  firstRunId: string
  runId: string
  enter(phase: Phase, step: string): void
  /** Before a wait: what a run rests in is what people search for; the moments in between are too short for that. */
  publishPhase(): void
  setDigest(digest: string): void
  setDeadline(deadlineMs: number): void
  /** Milliseconds left until the deadline, never negative. */
  leftMs(): number
  take(kinds: readonly AnswerKind[]): AnswerMessage | undefined
  /** True when such an answer is there before the time is over. */
  answered(kinds: readonly AnswerKind[], timeoutMs: number, summary: string): Promise<boolean>
  /** For a wait that something else ends: no timer is kept for it. */
  answer(kinds: readonly AnswerKind[]): Promise<void>
  end(ending: Ending): void
}

/** Nobody should look for an approver who has answered, or for the turn of what acts already. */
const isOver = (published: Phase, phase: Phase): boolean =>
  (published === 'awaiting_approval' && phase !== published) || (published === 'waiting_turn' && phase === 'acting')
/** Runs begun before that was said show the phase they waited in until their next wait. */
const endsOfWaitsAreSaid = 'ends-of-waits-are-said'

export function startRun(input: RemediateInput): Run {
  let conversation = newConversation()
  let deadlineMs = Date.now()
  const status: RemediationStatus = { phase: firstPhase, step: null, planDigest: null, ending: null }
  let published: Phase = firstPhase
  const lines: string[] = []

  const hear = (message: unknown): Reply => {
    const heard = take(conversation, message)
    conversation = heard.next
    return heard.reply
  }
  const kinds = [['approve', approveSignal], ['reject', rejectSignal], ['cancel', cancelSignal], ['resolve', resolveSignal]] as const
  for (const [kind, signal] of kinds) setHandler(signal, (ref) => void hear({ kind, answerId: ref?.answerId }))
  setHandler(answerUpdate, (message) => hear(message))
  setHandler(statusQuery, () => ({ ...status }))

  const publishPhase = () => {
    const { phase } = status
    if (phase === published) return
    published = phase
    upsertSearchAttributes([
      { key: searchAttributes.phase, value: phase },
      ...(phase === 'awaiting_approval' ? [{ key: searchAttributes.needsApproval, value: true }] : []),
    ])
  }

  const info = workflowInfo()
  return {
    id: input.id,
    cluster: input.cluster,
    firstRunId: info.firstExecutionRunId,
    runId: info.runId,
    enter(phase, step) {
      status.phase = phase
      if (isOver(published, phase) && patched(endsOfWaitsAreSaid)) publishPhase()
      status.step = step
      lines.push(`- ${step}`)
      setCurrentDetails(`**${phase}**\n\n${lines.slice(-20).join('\n')}`)
    },
    publishPhase,
    setDigest: (digest) => void (status.planDigest = digest),
    setDeadline: (atMs) => void (deadlineMs = atMs),
    leftMs: () => Math.max(0, deadlineMs - Date.now()),
    take(wanted) {
      const found = next(conversation, wanted)
      conversation = found.next
      return found.message
    },
    answered(wanted, timeoutMs, summary) {
      publishPhase()
      return condition(() => isWaiting(conversation, wanted), Math.max(timeoutMs, 1), { summary })
    },
    answer(wanted) {
      publishPhase()
      return condition(() => isWaiting(conversation, wanted))
    },
    end(ending) {
      conversation = { ...conversation, stage: 'closed' }
      status.phase = 'closed'
      status.ending = ending
      setCurrentDetails(`**${ending.outcome}** (${ending.reason}): ${ending.message}\n\n${lines.slice(-20).join('\n')}`)
    },
  }
}
