import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Client, Connection } from '@temporalio/client'
import { temporal } from '@temporalio/proto'
import { temporalAway, temporalHealth } from '../../temporal/health.ts'
import { decideQueue, executeQueue } from '../../workflows/names.ts'
import { eventually, stack } from '../helpers/stack.ts'
import { ownTemporalNamespace } from '../helpers/temporal.ts'

const { TASK_QUEUE_KIND_NORMAL } = temporal.api.enums.v1.TaskQueueKind

let client: Client
let clockMs = 0
const nowMs = () => Date.now() + clockMs

beforeAll(async () => {
  const namespace = await ownTemporalNamespace(stack.temporal.address)
  client = new Client({ connection: await Connection.connect({ address: stack.temporal.address }), namespace })
})
afterAll(() => client.connection.close())

/** Temporal refuses to wait for less than 2 s. */
const pollMs = 2_500

/** Asks for work once, as a worker does over and over. */
async function pollOnce(kind: 'workflows' | 'activities', name: string): Promise<void> {
  const asking = { namespace: client.options.namespace, taskQueue: { name, kind: TASK_QUEUE_KIND_NORMAL }, identity: 'a test' }
  const { workflowService } = client
  const poll = async () => void (await (kind === 'workflows' ? workflowService.pollWorkflowTaskQueue(asking) : workflowService.pollActivityTaskQueue(asking)))
  await client.connection.withDeadline(Date.now() + pollMs, poll).catch(() => undefined)
}

const ofParts = async () => {
  const { temporal: server, decision, execution } = await temporalHealth(client, ['main', 'edge'], nowMs)()
  return [server.ok, decision.ok, execution.reason]
}

test('workers count while they ask for work, and no longer once they have missed a poll', async () => {
  await eventually('Temporal answers', async () => (await ofParts())[0])
  expect(await ofParts()).toEqual([true, false, '2 of 2 clusters have no execution worker: remediations there wait'])
  await Promise.all([pollOnce('workflows', decideQueue), pollOnce('activities', executeQueue('main'))])
  expect(await ofParts()).toEqual([true, true, '1 of 2 clusters has no execution worker: remediations there wait'])
  await pollOnce('activities', executeQueue('edge'))
  expect(await ofParts()).toEqual([true, true, undefined])
  clockMs = 60_000 // a worker's poll may be as old as that
  expect(await ofParts()).toEqual([true, true, undefined])
  clockMs = 125_000
  expect(await ofParts()).toEqual([true, false, '2 of 2 clusters have no execution worker: remediations there wait'])
})

test('a Temporal that is away leaves workers unknown', async () => {
  const nowhere = new Client({ connection: Connection.lazy({ address: '127.0.0.1:1' }) })
  expect(await temporalHealth(nowhere, ['main'])()).toEqual(temporalAway)
  await nowhere.connection.close()
})
