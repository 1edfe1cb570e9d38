import type { DecisionDeps } from './deps.ts'
import type { DecisionSteps } from './results.ts'

/** Writes the one terminal row. A record that is there already stands. */
export const close =
  ({ db, store, freshId }: DecisionDeps): DecisionSteps['close'] =>
  async ({ id, ending, runId, firstRunId, source }) => {
    const closed = await store.closeRemediation(db, { id, ending, source, runId, firstRunId, facts: {}, newId: freshId })
    return { ending: closed.ending, summary: `${closed.ending.outcome}: ${closed.ending.message}` }
  }
