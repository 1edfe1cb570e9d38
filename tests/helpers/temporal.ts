/** What an operator, or an intruder, can do to workflows in Temporal itself. */
import { Client, Connection, type WorkflowHandle } from '@temporalio/client'
import { msToTs } from '@temporalio/common/lib/time.js'
import { temporal } from '@temporalio/proto'
import { randomUUID } from 'node:crypto'
import { searchAttributes } from '../../temporal/names.ts'
import { eventually } from './stack.ts'

const { IndexedValueType } = temporal.api.enums.v1

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

/** As docker-compose.yml has it: not `default`. Workers that poll another namespace than runs start in heal nothing. */
export async function ownTemporalNamespace(address: string): Promise<string> {
  const namespace = `fresh-${randomUUID().slice(0, 8)}`
  const connection = await Connection.connect({ address: address })
  await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs('1 day') })
  const types = Object.values(searchAttributes).map(({ name, type }) => [name, type === 'BOOL' ? IndexedValueType.INDEXED_VALUE_TYPE_BOOL : IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD])
  await eventually('the namespace takes its search attributes', async () => {
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes: Object.fromEntries(types) })
    return true
  })
  await connection.close()
  return namespace
}
