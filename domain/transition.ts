/**
 * What a running remediation does with an answer from outside. Signals and updates go through this
 * one function. Frozen: a change needs `patched()` and a recorded history (docs/architecture.md).
 */

export const answerKinds = ['approve', 'reject', 'cancel', 'resolve'] as const
export type AnswerKind = (typeof answerKinds)[number]

/** A message names a committed row; by itself it proves nothing. */
export type AnswerMessage = { kind: AnswerKind; answerId: string }

export type Conversation = {
  /** `closed` takes nothing more. */
  stage: 'open' | 'closed'
  /** Not looked at yet, oldest first. */
  queue: AnswerMessage[]
  /** Every answer id ever taken, so that a message delivered twice counts once. */
  taken: string[]
}

export type Reply = { taken: boolean; because: 'queued' | 'known' | 'closed' | 'full' | 'malformed' }

/** Answers held by one run; far above any honest number, and a bound on what a flood can do. */
const answerLimit = 100

export const newConversation = (): Conversation => ({ stage: 'open', queue: [], taken: [] })

export function take(conversation: Conversation, message: unknown): { next: Conversation; reply: Reply } {
  const refuse = (because: Reply['because']) => ({ next: conversation, reply: { taken: false, because } })
  if (!isAnswerMessage(message)) return refuse('malformed')
  if (conversation.stage === 'closed') return refuse('closed')
  if (conversation.taken.includes(message.answerId)) return { next: conversation, reply: { taken: true, because: 'known' } }
  if (conversation.taken.length >= answerLimit) return refuse('full')
  const { kind, answerId } = message
  return {
    next: { ...conversation, queue: [...conversation.queue, { kind, answerId }], taken: [...conversation.taken, answerId] },
    reply: { taken: true, because: 'queued' },
  }
}

/** Removes and returns the oldest answer of the given kinds, leaving the order of the rest. */
export function next(conversation: Conversation, kinds: readonly AnswerKind[]): { next: Conversation; message: AnswerMessage | undefined } {
  const message = conversation.queue.find((queued) => kinds.includes(queued.kind))
  return { next: { ...conversation, queue: conversation.queue.filter((queued) => queued !== message) }, message }
}

export const isWaiting = (conversation: Conversation, kinds: readonly AnswerKind[]): boolean =>
  conversation.queue.some((queued) => kinds.includes(queued.kind))

function isAnswerMessage(value: unknown): value is AnswerMessage {
  if (typeof value !== 'object' || value === null) return false
  const { kind, answerId } = value as Record<string, unknown>
  return typeof answerId === 'string' && answerId.length <= 64 && (answerKinds as readonly unknown[]).includes(kind)
}
