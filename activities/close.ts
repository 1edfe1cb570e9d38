import type { DecisionDeps } from './deps.ts'
import { endingAsSeen } from './judge-lost.ts'
import type { DecisionSteps } from './results.ts'

/** Writes the one terminal row. A record that is there already stands. */
export const close =
  (deps: DecisionDeps): DecisionSteps['close'] =>
  async ({ id, ending: asked, runId, firstRunId, source }) => {
    const { db, store, freshId, settings } = deps
    // Who is bound to no request settles a lost run: how that ended is seen here, whatever the task says of it.
    const ending = firstRunId === null ? await endingAsSeen(deps, id) : asked
    const closed = await store.closeRemediation(db, { id, ending, source, runId, firstRunId, newId: freshId, breaker: settings.guards.breaker })
    return { ending: closed.ending, summary: `${closed.ending.outcome}: ${closed.ending.message}` }
  }
