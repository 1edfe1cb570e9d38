/** A real Temporal server and worker with steps that answer as a scenario tells. */
import { Context } from '@temporalio/activity'
import { Client, Connection, WorkflowFailedError, type WorkflowHandle } from '@temporalio/client'
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Ending } from '../../domain/remediation.ts'
import { decideQueue, executeQueue, remediateWorkflow, settleWorkflow } from '../../temporal/names.ts'
import { answerUpdate } from '../../workflows/messages.ts'
import { wellGoing, type Outside, type Scenario, type StepName, type Steps } from './scenarios.ts'

Runtime.install({ logger: new DefaultLogger('ERROR') }) // scripted failures are no news

/** With the same interceptors as in production, or a replay would prove nothing. */
export const bundle = (): Promise<WorkflowBundle> =>
  bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../../workflows/index.ts', import.meta.url)),
    workflowInterceptorModules: [fileURLToPath(new URL('../../workflows/hook.ts', import.meta.url))],
    logger: new DefaultLogger('ERROR'),
  })

export type Told = { ending: Ending | null; failed: boolean; asked: StepName[]; handle: WorkflowHandle }

export type Teller = { tell(scenario: Scenario): Promise<Told>; close(): Promise<void> }

type Telling = { scenario: Scenario; asked: StepName[]; handle?: WorkflowHandle }

/** Its own queues would need their own workflow code; instead each telling is known by its workflow id. */
export async function teller(address: string, workflowBundle: WorkflowBundle): Promise<Teller> {
  const cluster = `scripted-${randomUUID().slice(0, 8)}`
  const connection = await NativeConnection.connect({ address })
  const client = new Client({ connection: await Connection.connect({ address }) })
  const tellings = new Map<string, Telling>()
  const activities = scriptedSteps(tellings)
  const common = { connection, namespace: 'default', shutdownGraceTime: 0 }
  const workers = [
    await Worker.create({ ...common, taskQueue: decideQueue, workflowBundle, activities }),
    await Worker.create({ ...common, taskQueue: executeQueue(cluster), activities }),
  ]
  const running = workers.map((worker) => worker.run())

  return {
    async tell(scenario) {
      const id = randomUUID()
      const telling: Telling = { scenario, asked: [] }
      tellings.set(id, telling)
      const workflowId = scenario.settle ? `settle/${id}` : id
      const args = scenario.settle ? [{ id, cluster, lost: scenario.settle }] : [{ id, cluster, firstLookMs: 10_000 }]
      telling.handle = await client.workflow.start(scenario.settle ? settleWorkflow : remediateWorkflow, { workflowId, taskQueue: decideQueue, args })
      const result = await endingOf(telling.handle)
      return { ...result, asked: telling.asked, handle: telling.handle }
    },
    async close() {
      workers.forEach((worker) => worker.shutdown())
      await Promise.all(running)
      await connection.close()
      await client.connection.close()
    },
  }
}

async function endingOf(handle: WorkflowHandle): Promise<{ ending: Ending | null; failed: boolean }> {
  try {
    return { ending: (await handle.result()) as Ending | null, failed: false }
  } catch (failure) {
    if (!(failure instanceof WorkflowFailedError)) throw failure
    const { type, message } = failure.cause as { type?: string; message?: string }
    return { ending: { outcome: 'needs_human', reason: type ?? '', message: message ?? '', verdict: null }, failed: true }
  }
}

const names = Object.keys(wellGoing()) as StepName[]

function scriptedSteps(tellings: Map<string, Telling>): Steps {
  const step = (name: StepName) => async (input: { id: string; ending?: Ending }) => {
    const telling = tellings.get(input.id)
    if (!telling) throw new Error(`no telling of ${input.id}`)
    const { attempt } = Context.current().info
    if (attempt === 1) telling.asked.push(name)
    const calls = telling.asked.filter((asked) => asked === name).length
    for (const outside of telling.scenario.outside ?? []) {
      if (attempt === 1 && outside.after === name && (outside.calls ?? 1) === calls) void happen(telling, outside)
    }
    if (name === 'close' && calls > (telling.scenario.steps?.close?.length ?? 0)) return { ending: input.ending, summary: '' }
    return answer(telling.scenario, name, calls)
  }
  return Object.fromEntries(names.map((name) => [name, step(name)])) as unknown as Steps
}

async function answer({ steps = {} }: Scenario, name: StepName, calls: number): Promise<unknown> {
  const answers: unknown[] = steps[name] ?? wellGoing()[name]
  const told = answers[Math.min(calls, answers.length) - 1]
  if (told instanceof Error) throw told
  // A verification that lasts: it ends when the workflow gives it up.
  if (told === 'hang') return hang()
  return typeof told === 'function' ? told() : told
}

async function hang(): Promise<never> {
  const context = Context.current()
  const heart = setInterval(() => context.heartbeat(), 100)
  return context.cancelled.finally(() => clearInterval(heart))
}

async function happen({ handle }: Telling, { do: what, by }: Outside): Promise<void> {
  // The step answers at once; what comes from outside comes when the workflow has heard that answer.
  await new Promise((resolve) => setTimeout(resolve, 200))
  const answerId = randomUUID()
  if (what === 'cancelInTemporal') return void (await handle?.cancel())
  const kind = what === 'forge' ? 'approve' : what
  if (by === 'update') return void (await handle?.executeUpdate(answerUpdate, { args: [{ answerId, kind }] }))
  await handle?.signal(kind, { answerId })
}
