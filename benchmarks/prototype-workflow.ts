import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow'
import type { PrototypeSteps } from './prototype.ts'
import type { Scale } from './targets.ts'

const options = { startToCloseTimeout: '30 seconds' } as const
const { note } = proxyLocalActivities<PrototypeSteps>(options)

/** Nine steps in the shape of a remediation, five of them local and four on another queue, the last of which writes to the cluster. */
export async function prototype(run: string, target: Scale, executeQueue: string): Promise<void> {
  const execute = proxyActivities<PrototypeSteps>({ ...options, taskQueue: executeQueue })
  for (let step = 0; step < 5; step++) await note(run, step)
  for (let step = 5; step < 8; step++) await execute.note(run, step)
  await execute.scale(run, target)
}
