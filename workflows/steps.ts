import { proxyActivities, proxyLocalActivities, TemporalFailure, type ActivityOptions } from '@temporalio/workflow'
import type { DecisionSteps, ExecutionSteps } from '../activities/results.ts'

type Each<Steps> = { [Name in keyof Steps]: (summary: string, withinMs: number, ...args: Args<Steps[Name]>) => Result<Steps[Name]> }
type Args<Step> = Step extends (...args: infer A) => unknown ? A : never
type Result<Step> = Step extends (...args: never[]) => infer R ? R : never

/** A step that is asked after its time is over still gets one quick try, so that the answer is a fact. */
const leastTimeMs = 1_000

/** A lost worker is noticed by its missing heartbeat, and the step goes to another within 15 s. */
const patience = { startToCloseTimeout: 12_000, heartbeatTimeout: 5_000 } satisfies ActivityOptions
const backoff = { initialInterval: 200, backoffCoefficient: 2, maximumInterval: 5_000 }

const decisionNames = ['detect', 'plan', 'evaluatePolicy', 'checkAnswer', 'escalate', 'reserve', 'issueWarrant', 'judgeLost'] as const

/**
 * Steps beside the database, run inside the workflow task: no trip through a queue. Each call names
 * its summary (the line in the Temporal UI) and how long it may be retried in all.
 */
export function decisionSteps(): Pick<Each<DecisionSteps>, (typeof decisionNames)[number]> {
  const local = proxyLocalActivities<DecisionSteps>({ startToCloseTimeout: 10_000 })
  const call = (name: (typeof decisionNames)[number]) => (summary: string, withinMs: number, ...args: unknown[]) =>
    local[name].executeWithOptions(
      { startToCloseTimeout: 10_000, scheduleToCloseTimeout: Math.max(withinMs, leastTimeMs), retry: backoff, localRetryThreshold: 10_000, summary },
      args as never,
    )
  return Object.fromEntries(decisionNames.map((name) => [name, call(name)])) as never
}

const executionNames = ['preflight', 'validateSignature', 'recordIntent', 'executeAction', 'verify', 'rollback', 'fence'] as const

/** Steps beside a cluster, on that cluster's own queue. */
export function executionSteps(taskQueue: string): Each<ExecutionSteps> {
  const remote = proxyActivities<ExecutionSteps>({ ...patience, taskQueue })
  const call = (name: (typeof executionNames)[number]) => (summary: string, withinMs: number, ...args: unknown[]) => {
    const withinOrLeastMs = Math.max(withinMs, leastTimeMs)
    // Verification watches for as long as it may; every other step is one short exchange.
    const startToCloseTimeout = name === 'verify' ? withinOrLeastMs : patience.startToCloseTimeout
    return remote[name].executeWithOptions(
      { ...patience, startToCloseTimeout, taskQueue, scheduleToCloseTimeout: withinOrLeastMs, retry: backoff, summary },
      args as never,
    )
  }
  return Object.fromEntries(executionNames.map((name) => [name, call(name)])) as never
}

const summary = 'write the terminal record'
const { close: closeAtOnce } = proxyLocalActivities<DecisionSteps>({ startToCloseTimeout: 4_000, retry: { maximumAttempts: 1 }, summary })
const { close: closeInTime } = proxyActivities<DecisionSteps>({ startToCloseTimeout: 10_000, retry: { ...backoff, maximumInterval: 15_000 }, summary })

/**
 * The last step: at once, inside the workflow task; with the database away as a step of its own, which
 * is retried until the record is stored. A run stays open rather than lose its ending.
 */
export async function close(...input: Parameters<DecisionSteps['close']>): ReturnType<DecisionSteps['close']> {
  try {
    return await closeAtOnce(...input)
  } catch (failure) {
    if (!(failure instanceof TemporalFailure)) throw failure
    return closeInTime(...input)
  }
}
