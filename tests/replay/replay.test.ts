import { beforeAll, describe, expect, test } from '@jest/globals'
import { DeterminismViolationError } from '@temporalio/workflow'
import { Worker, type WorkflowBundle } from '@temporalio/worker'
import { readdirSync, readFileSync } from 'node:fs'
import { outcomes } from '../../domain/remediation.ts'
import { scenarios } from './scenarios.ts'
import { bundle } from './stage.ts'

type History = { events: { workflowExecutionStartedEventAttributes?: { workflowId: string }; activityTaskScheduledEventAttributes?: { activityType: { name: string } } }[] }

const folder = new URL('./histories/', import.meta.url)
const files = readdirSync(folder).filter((name) => name.endsWith('.json')).sort()
const read = (name: string): History => JSON.parse(readFileSync(new URL(name, folder), 'utf8'))

/** Under its own workflow id, which is the remediation's. */
const replay = (history: History) =>
  Worker.runReplayHistory({ workflowBundle }, history, history.events[0]?.workflowExecutionStartedEventAttributes?.workflowId)

let workflowBundle: WorkflowBundle
beforeAll(async () => void (workflowBundle = await bundle()))

describe('a remediation may wait for weeks, so every recorded history must still finish on today’s code', () => {
  test.each(files)('%s replays', async (name) => {
    await expect(replay(read(name))).resolves.toBeUndefined()
  })

  test('there is a history of every scenario, and a scenario of every outcome', () => {
    const recorded = new Set(files.map((name) => name.replace(/(\.\d+)?\.json$/, '')))
    expect(scenarios.map(({ name }) => name).filter((name) => !recorded.has(name))).toEqual([])
    expect(new Set(scenarios.map(({ outcome }) => outcome).filter((outcome) => outcome !== null))).toEqual(new Set(outcomes))
    expect(files.length).toBeGreaterThanOrEqual(15)
  })

  test.each([
    ['another step', (history: History) => rename(history, 'preflight', 'executeAction')],
    ['a step that was not asked for', (history: History) => rename(history, 'verify', 'rollback')],
  ])('a history with %s is refused', async (_name, mutate) => {
    await expect(replay(mutate(read('healed.json')))).rejects.toThrow(DeterminismViolationError)
  })
})

function rename(history: History, from: string, to: string): History {
  let renamed = 0
  for (const { activityTaskScheduledEventAttributes: scheduled } of history.events) {
    if (scheduled?.activityType.name !== from) continue
    scheduled.activityType.name = to
    renamed++
  }
  if (renamed === 0) throw new Error(`the history has no step ${from}`)
  return history
}
