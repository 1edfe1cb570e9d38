import { CancellationScope, isCancellation } from '@temporalio/workflow'
import type { Ending } from '../domain/remediation.ts'
import { judgeEffect } from './effect.ts'
import { ending, endingOf } from './endings.ts'
import type { RemediateInput } from './messages.ts'
import { mutate } from './mutate.ts'
import { executeQueue } from './names.ts'
import { obtainPermit } from './permit.ts'
import { startRun, type Run } from './run.ts'
import { decisionSteps, executionSteps } from './steps.ts'
import type { Story } from './story.ts'

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
    const looked = await lookFirst(run, firstLookMs)
    return 'story' in looked ? await actOn(looked.story) : looked.ending
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
  return acted === 'effective' ? judgeEffect(story, permit) : acted
}
