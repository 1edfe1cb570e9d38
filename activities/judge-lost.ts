import { Failure } from '../domain/failure.ts'
import type { Ending } from '../domain/remediation.ts'
import { endingOfLostRun } from '../domain/settlement.ts'
import { loadIntents } from './committed.ts'
import type { DecisionDeps } from './deps.ts'
import { ended } from './ended.ts'
import type { DecisionSteps } from './results.ts'

/** Says how a remediation ended whose own run is gone. */
export const judgeLost =
  (deps: DecisionDeps): DecisionSteps['judgeLost'] =>
  async ({ id }) => {
    const { outcome, reason, message, verdict } = await endingAsSeen(deps, id)
    return ended(outcome, reason, message, verdict)
  }

/** From what Temporal says of the run, and from what its intents became; from no message. */
export async function endingAsSeen(deps: DecisionDeps, id: string): Promise<Ending> {
  const [lost, [act, undo]] = await Promise.all([deps.runOf(id), loadIntents(deps, id)])
  if (lost === 'running') throw new Failure('forbidden', 'run_alive', `the run of remediation \`${id}\` is at work and closes it itself`)
  return endingOfLostRun(lost, act, undo)
}
