import { WorkflowNotFoundError, type Client } from '@temporalio/client'
import type { SettleInput } from '../workflows/messages.ts'
import { startLoop, type Loop } from './loop.ts'
import { startSettling } from './starter.ts'

export type ReconcilerOptions = {
  client: Client
  /** Started, without a terminal record, and silent for a while. */
  unsettled(page: { limit: number; after: string | undefined }): Promise<{ id: string; cluster: string }[]>
  /** Accepted, never started, and past their deadline. */
  overdue(limit: number): Promise<{ id: string }[]>
  closeOverdue(id: string): Promise<void>
  onLost(run: SettleInput): void
  everyMs: number
  onFailure(failure: unknown): void
}

const batch = 100

/**
 * Finds runs that ended without their completion hook: terminated or deleted in Temporal, or gone with
 * it. Describes by workflow id, never by run id, so that a reset run counts as the run it continues.
 */
export function startReconciler({ client, unsettled, overdue, closeOverdue, onLost, everyMs, onFailure }: ReconcilerOptions): Loop {
  const look = async ({ id, cluster }: { id: string; cluster: string }) => {
    const lost = await whatHappened(client, id)
    if (lost === 'running') return
    onLost({ id, cluster, lost })
    await startSettling(client, { id, cluster, lost })
  }
  // One page a round, on from the last: runs that wait for people are many, and each is looked at in its turn.
  let after: string | undefined
  const round = async () => {
    // Each by itself: one that cannot be closed holds up neither the others nor the lost runs.
    for (const { id } of await overdue(batch)) await closeOverdue(id).catch(onFailure)
    const page = await unsettled({ limit: batch, after })
    after = page.length === batch ? page.at(-1)?.id : undefined
    for (const run of page) await look(run).catch(onFailure)
  }
  return startLoop(round, { everyMs, onFailure })
}

/** What Temporal knows of a remediation's run, asked by its workflow id. */
export async function whatHappened(client: Client, id: string): Promise<SettleInput['lost'] | 'running'> {
  try {
    const { status } = await client.workflow.getHandle(id).describe()
    if (status.name === 'RUNNING' || status.name === 'PAUSED') return 'running'
    return status.name === 'TERMINATED' ? 'terminated' : 'failed'
  } catch (failure) {
    if (failure instanceof WorkflowNotFoundError) return 'vanished'
    throw failure
  }
}
