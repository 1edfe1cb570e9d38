import { asyncLocalStorage, type Context } from '@temporalio/activity'
import type { StepRecord } from '../adapters/postgres/steps.ts'

/** The attempt that is under way, for a step that ends with a write and has itself recorded by it. */
export type Recorder = {
  /** The entry of the attempt, were this its result. */
  describe(result: object): StepRecord
  /** The result that the ledger has. */
  recorded?: object
}

/** Found by Temporal's context of the attempt; outside of one, as in tests, nothing is recorded. */
const underWay = new WeakMap<Context, Recorder>()

export const startRecording = (context: Context, recorder: Recorder) => void underWay.set(context, recorder)

function recorderNow(): Recorder | undefined {
  const context = asyncLocalStorage.getStore()
  return context && underWay.get(context)
}

/**
 * The last write of a step: the same transaction that changes rows also says that the attempt ended, and how. The
 * write asks for that entry with the value that it will return; where it comes out otherwise, it asks for none or
 * returns something else, and the attempt is recorded by itself like any other.
 */
export async function endingWith<Stored, Result extends object>(
  write: (step: (stored: Stored) => StepRecord | undefined) => Promise<Stored>,
  resultOf: (stored: Stored) => Result,
): Promise<Result> {
  const recorder = recorderNow()
  let asked: { stored: Stored; result: Result } | undefined
  const stored = await write((stored) => {
    asked = { stored, result: resultOf(stored) }
    return recorder?.describe(asked.result)
  })
  if (!asked || asked.stored !== stored) return resultOf(stored)
  if (recorder) recorder.recorded = asked.result
  return asked.result
}
