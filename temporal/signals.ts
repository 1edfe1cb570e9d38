import { WorkflowNotFoundError, type Client } from '@temporalio/client'
import type { AnswerKind } from '../domain/transition.ts'
import { answerUpdate, approveSignal, cancelSignal, rejectSignal, resolveSignal } from '../workflows/messages.ts'

export type AnswerDelivery = { id: string; answerId: string; kind: AnswerKind }

const updateTimeoutMs = 2_000
const signals = { approve: approveSignal, reject: rejectSignal, cancel: cancelSignal, resolve: resolveSignal } as const

/**
 * Tells the run at once, where it can. The committed row is what counts: `later` means that the relay
 * will tell it, so a Temporal that is away delays an answer and loses none.
 */
export async function deliverAnswer(client: Client, { id, answerId, kind }: AnswerDelivery): Promise<'delivered' | 'later'> {
  try {
    const handle = client.workflow.getHandle(id)
    const update = () => handle.executeUpdate(answerUpdate, { args: [{ answerId, kind }], updateId: answerId })
    const { taken } = await client.connection.withDeadline(Date.now() + updateTimeoutMs, update)
    return taken ? 'delivered' : 'later'
  } catch {
    return 'later'
  }
}

/** The relay's way: a signal waits in history even when no worker is up. A run that has ended needs none. */
export async function signalAnswer(client: Client, { id, answerId, kind }: AnswerDelivery): Promise<void> {
  try {
    await client.workflow.getHandle(id).signal(signals[kind], { answerId })
  } catch (failure) {
    if (!(failure instanceof WorkflowNotFoundError)) throw failure
  }
}
