import { endingOfLostRun } from '../domain/settlement.ts'
import { loadIntents } from './committed.ts'
import type { DecisionDeps } from './deps.ts'
import { ended } from './ended.ts'
import type { DecisionSteps } from './results.ts'

/** Says how a remediation ended whose own run is gone, from what its intents became. */
export const judgeLost =
  (deps: DecisionDeps): DecisionSteps['judgeLost'] =>
  async ({ id, lost }) => {
    const [act, undo] = await loadIntents(deps, id)
    const { outcome, reason, message, verdict } = endingOfLostRun(lost, act, undo)
    return ended(outcome, reason, message, verdict)
  }
