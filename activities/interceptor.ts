import { Context, type Info } from '@temporalio/activity'
import { ApplicationFailure, TemporalFailure } from '@temporalio/common'
import type { ActivityExecuteInput, ActivityInboundCallsInterceptor } from '@temporalio/worker'
import type { StepRecord } from '../adapters/postgres/steps.ts'
import { Failure } from '../domain/failure.ts'
import { toApplicationFailure } from './failures.ts'
import { startRecording, type Recorder } from './recording.ts'

export type StepHooks = {
  onEnd(attempt: StepRecord): void
  record(attempt: StepRecord): Promise<void>
  onFailure(attempt: StepRecord, failure: unknown): void
  heartbeatEveryMs: number
}

/** Steps whose own entry is the last of its stream. */
const selfRecording = new Set(['close'])

/**
 * Wraps every step: heartbeats while it runs, puts its attempt into the ledger (unless its last write
 * has, see `endingWith`) and speaks Temporal's words for failures. When the ledger cannot take the entry
 * the attempt has failed, and is repeated: every step is safe to repeat, and a record with holes proves nothing.
 */
export function stepInterceptor(hooks: StepHooks): ActivityInboundCallsInterceptor {
  return {
    async execute(input, next) {
      const context = Context.current()
      const heart = setInterval(() => context.heartbeat(), hooks.heartbeatEveryMs)
      const startedAt = new Date()
      const recorder: Recorder = { describe: (result) => describe(input, startedAt, result) }
      startRecording(context, recorder)
      try {
        const result = await next(input)
        const attempt = recorder.describe(result as object)
        // Compared by identity: whatever else a step says after its last write is recorded, or refused as a second word.
        if (recorder.recorded !== result) await record(hooks, attempt)
        hooks.onEnd(attempt)
        return result
      } catch (failure) {
        const attempt = describeFailure(input, startedAt, failure)
        hooks.onEnd(attempt)
        hooks.onFailure(attempt, failure)
        // The step's own failure matters more than a ledger that is away as well: it is retried either way.
        await record(hooks, attempt).catch(() => undefined)
        throw inTemporalsWords(failure, isOutOfTime(context.info, Date.now()))
      } finally {
        clearInterval(heart)
      }
    },
  }
}

/** An unknown error may carry anything, secrets included: its text goes to no record and to no history. */
function inTemporalsWords(failure: unknown, outOfTime: boolean): unknown {
  if (failure instanceof Failure) return toApplicationFailure(failure, outOfTime)
  if (failure instanceof TemporalFailure) return failure // a cancellation, for one
  return ApplicationFailure.create({ message: unexpected, type: 'unexpected', nonRetryable: outOfTime })
}

/**
 * Whether a step inside a workflow task has used up the time it was given in all. The SDK starts that
 * count anew with each retry of a local activity, so it would retry for ever; for other steps Temporal counts.
 */
const isOutOfTime = ({ isLocal, scheduledTimestampMs, scheduleToCloseTimeoutMs }: Info, nowMs: number): boolean =>
  isLocal && scheduleToCloseTimeoutMs > 0 && nowMs >= scheduledTimestampMs + scheduleToCloseTimeoutMs

const unexpected = 'the step failed unexpectedly; the worker log has the details'

async function record(hooks: StepHooks, attempt: StepRecord): Promise<void> {
  if (!selfRecording.has(attempt.step)) await hooks.record(attempt)
}

type Described = Pick<StepRecord, 'id' | 'step' | 'call' | 'attempt' | 'startedAt' | 'endedAt'>

function attemptOf(input: ActivityExecuteInput, startedAt: Date): Described {
  const { activityType, activityId, attempt, workflowExecution } = Context.current().info
  const { id } = input.args[0] as { id: string }
  return { id, step: activityType, call: `${workflowExecution?.runId}/${activityId}`, attempt, startedAt, endedAt: new Date() }
}

function describe(input: ActivityExecuteInput, startedAt: Date, result: unknown): StepRecord {
  const { summary = '', ...facts } = result as { summary?: string } & Record<string, unknown>
  return { ...attemptOf(input, startedAt), result: 'ok', code: null, summary, facts }
}

function describeFailure(input: ActivityExecuteInput, startedAt: Date, failure: unknown): StepRecord {
  const known = failure instanceof Failure
  return {
    ...attemptOf(input, startedAt),
    result: 'failed',
    code: known ? failure.code : 'unexpected',
    summary: known ? failure.message : unexpected,
    facts: {},
  }
}

