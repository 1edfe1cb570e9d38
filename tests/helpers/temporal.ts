/** What an operator, or an intruder, can do to workflows in Temporal itself. */
import { Client, Connection, type WorkflowHandle } from '@temporalio/client'

export type TemporalDoor = {
  client: Client
  handle(id: string): WorkflowHandle
  terminate(id: string): Promise<void>
  /** Back to its first task, as the UI's `Reset` does. Returns the new run's id. */
  reset(id: string): Promise<string>
  close(): Promise<void>
}

const namespace = 'default'
/** In every history the first workflow task is started, scheduled and completed by the fourth event. */
const firstTaskCompleted = 4

export async function openTemporal(address: string): Promise<TemporalDoor> {
  const connection = await Connection.connect({ address })
  const client = new Client({ connection })
  const handle = (id: string) => client.workflow.getHandle(id)
  return {
    client,
    handle,
    terminate: async (id) => void (await handle(id).terminate('a fault test')),
    async reset(id) {
      const { runId } = await handle(id).describe()
      const answer = await client.workflowService.resetWorkflowExecution({
        namespace,
        workflowExecution: { workflowId: id, runId },
        workflowTaskFinishEventId: firstTaskCompleted as never, // declared as a Long, which a number serves as well
        reason: 'a fault test',
        requestId: crypto.randomUUID(),
      })
      return answer.runId ?? ''
    },
    close: () => connection.close(),
  }
}
