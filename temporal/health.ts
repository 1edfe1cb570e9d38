import type { Client } from '@temporalio/client'
import protos from '@temporalio/proto'
import { decideQueue, executeQueue } from '../workflows/names.ts'

/** Of Temporal itself, and of those who do the work it hands out. */
export type TemporalHealth = Record<'temporal' | 'decision' | 'execution', Part>
type Part = { ok: boolean; reason?: string }

const { TASK_QUEUE_TYPE_WORKFLOW, TASK_QUEUE_TYPE_ACTIVITY } = protos.temporal.api.enums.v1.TaskQueueType

const checkTimeoutMs = 1_500
/** Health is public and asked often; Temporal is not asked each time. */
const rememberedMs = 2_000
/** An idle worker asks anew once a minute, when its long poll ends. As much again is for clocks that differ from Temporal's. */
const pollCountsForMs = 120_000

type Asked = { at: number; answer: Promise<TemporalHealth> }

/** Whether Temporal answers, and whether workers ask it for work, for the queue of decisions and that of each cluster. Never rejects. */
export function temporalHealth(client: Client, clusters: readonly string[], nowMs = Date.now): () => Promise<TemporalHealth> {
  let asked: Asked | undefined
  return () => {
    if (!asked || nowMs() - asked.at > rememberedMs) asked = { at: nowMs(), answer: ask(client, clusters, nowMs) }
    return asked.answer
  }
}

const unknown: Part = { ok: false, reason: 'unknown while Temporal does not answer' }

export const temporalAway: TemporalHealth = {
  temporal: { ok: false, reason: 'it does not answer: requests and answers are kept and follow later' },
  decision: unknown,
  execution: unknown,
}

async function ask(client: Client, clusters: readonly string[], nowMs: () => number): Promise<TemporalHealth> {
  const isPolled = (name: string, taskQueueType: number) =>
    client.connection.withDeadline(Date.now() + checkTimeoutMs, () => askedForWork(client, { name, taskQueueType, nowMs }))
  try {
    const decides = await isPolled(decideQueue, TASK_QUEUE_TYPE_WORKFLOW) // alone at first: a server that is away is not asked for each cluster
    // All are waited for, also when one fails: the SDK tries a call again by itself, and must not do so on a closed connection.
    const executes = await Promise.allSettled(clusters.map((cluster) => isPolled(executeQueue(cluster), TASK_QUEUE_TYPE_ACTIVITY)))
    const lost = executes.find(({ status }) => status === 'rejected')
    if (lost) return temporalAway
    return {
      temporal: { ok: true },
      decision: decides ? { ok: true } : { ok: false, reason: noDecision },
      execution: executionHealth(executes.map((each) => each.status === 'fulfilled' && each.value)),
    }
  } catch {
    return temporalAway
  }
}

const noDecision = 'no decision worker asks for work: requests are kept and wait'

/** Counted, not named: health is public. */
function executionHealth(executes: readonly boolean[]): Part {
  const without = executes.filter((polled) => !polled).length
  return without === 0 ? { ok: true } : { ok: false, reason: `${without} of ${executes.length} clusters ${without === 1 ? 'has' : 'have'} no execution worker: remediations there wait` }
}

type Queue = { name: string; taskQueueType: number; nowMs: () => number }

async function askedForWork({ workflowService, options }: Client, { name, taskQueueType, nowMs }: Queue): Promise<boolean> {
  const { pollers } = await workflowService.describeTaskQueue({ namespace: options.namespace, taskQueue: { name }, taskQueueType })
  return pollers.some(({ lastAccessTime }) => nowMs() - Number(lastAccessTime?.seconds ?? 0) * 1_000 < pollCountsForMs)
}
