import type { Timing } from '../activities/results.ts'
import type { Run } from './run.ts'
import type { decisionSteps, executionSteps } from './steps.ts'

/** What every chapter of a remediation works with. */
export type Story = {
  run: Run
  decide: ReturnType<typeof decisionSteps>
  execute: ReturnType<typeof executionSteps>
  timing: Timing
}

export type Judged = { digest: string; undo: boolean; decisionId: string; undoSame: boolean }
/** What the people and the policy agreed to, and the room taken for it. */
export type Permit = Judged & { claimToken: number }

export const ref = ({ id, cluster }: Run) => ({ id, cluster })

/**
 * Waits and renewals of one run. The deadline ends them much sooner; this bounds the history: at the
 * longest pause, five hours of waiting.
 */
export const roundLimit = 1_200
const longestPauseMs = 15_000

/** Longer with each round, so that a long wait costs little history. */
export const pauseOf = (round: number, firstMs: number): number => Math.min(firstMs * 1.5 ** Math.min(round, 20), Math.max(longestPauseMs, firstMs))
