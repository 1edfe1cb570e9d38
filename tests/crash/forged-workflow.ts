import { proxyActivities } from '@temporalio/workflow'

export type Forged = { taskQueue: string; step: string; input: unknown }

/** What anyone who reaches Temporal's port can run: one step of Aegis's, with an input of their choice. */
export async function forged({ taskQueue, step, input }: Forged): Promise<unknown> {
  const steps = proxyActivities<Record<string, (input: unknown) => Promise<unknown>>>({
    taskQueue,
    startToCloseTimeout: 20_000,
    heartbeatTimeout: 5_000,
    retry: { maximumAttempts: 1 },
  })
  return steps[step]?.(input)
}
