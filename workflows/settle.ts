import { ActivityFailure } from '@temporalio/workflow'
import type { Ending } from '../domain/remediation.ts'
import type { SettleInput } from './messages.ts'
import { executeQueue } from './names.ts'
import { decisionSteps, executionSteps } from './steps.ts'

/** The cluster may be away when a lost run is found; it is fenced when it comes back, within this time. */
const fenceTimeoutMs = 10 * 60_000

/**
 * Ends a remediation whose own run was terminated, failed or vanished with its Temporal. It acts on
 * nothing: it fences what may still land, then lets hook.ts write the one terminal record.
 */
export async function settle({ id, cluster, lost }: SettleInput): Promise<Ending> {
  const execute = executionSteps(executeQueue(cluster))
  for (const phase of ['act', 'undo'] as const) {
    try {
      await execute.fence(`fence the ${phase} of a lost run`, fenceTimeoutMs, { id, cluster, phase })
    } catch (failure) {
      // A cluster that stays away leaves its intent open, and judgeLost says so.
      if (!(failure instanceof ActivityFailure)) throw failure
    }
  }
  const judged = await decisionSteps().judgeLost('say how the lost run ended', fenceTimeoutMs, { id, cluster, lost })
  return judged.ending
}
