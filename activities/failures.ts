import { ApplicationFailure } from '@temporalio/common'
import { Failure, type FailureKind } from '../domain/failure.ts'

const worthRetrying: Record<FailureKind, boolean> = {
  invalid: false,
  forbidden: false,
  missing: false,
  conflict: false,
  limited: true,
  unavailable: true,
}

/** Temporal's words for what stopped a step. The code travels as the first detail; causes stay in our logs. `outOfTime`: nothing is tried again. */
export function toApplicationFailure(failure: Failure, outOfTime = false): ApplicationFailure {
  const { kind, code, message } = failure
  return ApplicationFailure.create({ message, type: kind, nonRetryable: outOfTime || !worthRetrying[kind], details: [code] })
}
