import { attempt } from './attempt.ts'
import type { ExecutionDeps } from './deps.ts'
import type { ExecutionSteps } from './results.ts'

/** The one change a remediation makes. Safe to repeat: the stamp on the target says whether it is done. */
export const executeAction =
  (deps: ExecutionDeps): ExecutionSteps['executeAction'] =>
  (input) =>
    attempt(deps, { ...input, phase: 'act' })

/** The planned undo, as its own stamped change: the act with its ends swapped. */
export const rollback =
  (deps: ExecutionDeps): ExecutionSteps['rollback'] =>
  (input) =>
    attempt(deps, { ...input, phase: 'undo' })
