import { ApplicationFailure, CancellationScope, isCancellation, upsertSearchAttributes, workflowInfo, type WorkflowInterceptorsFactory } from '@temporalio/workflow'
import type { Ending } from '../domain/remediation.ts'
import { ending } from './endings.ts'
import type { RemediateInput } from './messages.ts'
import { searchAttributes, settleWorkflow, settleWorkflowId } from './names.ts'
import { close } from './steps.ts'

/** Endings after which the workflow itself is red in Temporal: a person has to look at the cluster. */
const failing = ['unfenced', 'undo_failed']

/**
 * The completion hook: however the story ends, `close` writes the terminal record before the run does.
 * It runs where no cancellation reaches it and is retried until it is stored. A run under another id
 * than its remediation's has no record to write.
 */
export const interceptors: WorkflowInterceptorsFactory = () => ({
  inbound: [
    {
      async execute(input, next) {
        const { id, cluster } = input.args[0] as RemediateInput
        const { workflowType, workflowId, runId, firstExecutionRunId } = workflowInfo()
        const settles = workflowType === settleWorkflow
        if (workflowId !== (settles ? settleWorkflowId(id) : id)) return null

        const told = await endingOfStory(() => next(input))
        if (told === null) return null
        const asked = settles ? { source: 'reconciler' as const, firstRunId: null } : { source: 'workflow' as const, firstRunId: firstExecutionRunId }
        const closed = await CancellationScope.nonCancellable(() => close({ id, cluster, ending: told, runId, ...asked }))
        upsertSearchAttributes([
          { key: searchAttributes.phase, value: 'closed' },
          { key: searchAttributes.outcome, value: closed.ending.outcome },
        ])
        if (closed.ending.outcome === 'needs_human' && failing.includes(closed.ending.reason)) {
          throw ApplicationFailure.nonRetryable(closed.ending.message, closed.ending.reason)
        }
        return closed.ending
      },
    },
  ],
})

async function endingOfStory(story: () => Promise<unknown>): Promise<Ending | null> {
  try {
    return (await story()) as Ending | null
  } catch (failure) {
    if (isCancellation(failure)) return ending('cancelled', 'cancelled_in_temporal', 'the workflow was cancelled in Temporal')
    // A known failure ends the run for a person to read; anything else stays a visible bug of this task.
    if (failure instanceof ApplicationFailure) return ending('needs_human', 'unexpected_failure', failure.message)
    throw failure
  }
}
