import { Failure } from '../domain/failure.ts'
import type { Ending } from '../domain/remediation.ts'
import { isEndingOfLostRun } from '../domain/settlement.ts'
import { loadIntents } from './committed.ts'
import type { DecisionDeps } from './deps.ts'
import type { DecisionSteps } from './results.ts'

/** Writes the one terminal row. A record that is there already stands. */
export const close =
  (deps: DecisionDeps): DecisionSteps['close'] =>
  async ({ id, ending, runId, firstRunId, source }) => {
    const { db, store, freshId } = deps
    if (firstRunId === null) await mustFollowFromRows(deps, id, ending)
    const closed = await store.closeRemediation(db, { id, ending, source, runId, firstRunId, newId: freshId })
    return { ending: closed.ending, summary: `${closed.ending.outcome}: ${closed.ending.message}` }
  }

/** Who is bound to no request settles a lost run, and what that ends in follows from the intents alone. */
async function mustFollowFromRows(deps: DecisionDeps, id: string, ending: Ending): Promise<void> {
  const [act, undo] = await loadIntents(deps, id)
  if (isEndingOfLostRun(ending, act, undo)) return
  throw new Failure('forbidden', 'not_borne_out', `no lost run with these intents ends \`${ending.outcome}\` (\`${ending.reason}\`)`)
}
