import type { DecisionDeps } from './deps.ts'
import { loadRequest } from './detect.ts'
import { ended } from './ended.ts'
import { loadPlan } from './evaluate-policy.ts'
import type { DecisionSteps } from './results.ts'

/** How long a run waits before it asks again for a claim that another one holds. */
const turnRetryMs = 2_000

/** Takes the claim on the workload and room in every limit, or says why there is none. */
export const reserve =
  (deps: DecisionDeps): DecisionSteps['reserve'] =>
  async ({ id, digest }) => {
    const { db, store, settings } = deps
    const [{ action }, { plan }] = await Promise.all([loadRequest(deps, id), loadPlan(deps, id, digest)])
    const { limits, concurrency } = settings
    const taken = await store.reserve(db, { id, workload: plan.workload, action, limits, concurrency, undo: plan.undo !== null })
    if (taken.reserved) return { reserved: true, claimToken: taken.claimToken, summary: `claim ${taken.claimToken}` }
    const waitTurn = async (retryMs: number, summary: string) => {
      await store.setPhase(db, id, 'waiting_turn')
      return { reserved: false as const, retryMs, summary }
    }
    const stop = (...how: Parameters<typeof ended>) => ({ reserved: false as const, retryMs: null, ...ended(...how) })
    switch (taken.because) {
      case 'busy':
        return waitTurn(turnRetryMs, `remediation \`${taken.holder}\` works on the workload`)
      case 'coalesced':
        return stop('coalesced', 'same_action_running', `remediation \`${taken.into}\` does the same on the same workload`)
      case 'limited':
        // A place among those at work becomes free when one of them closes; room in a window takes its time.
        if (concurrency.some(({ key }) => key === taken.rule)) {
          return waitTurn(taken.retryAfterMs, `\`${taken.rule}\` is full; waiting for a place`)
        }
        return stop('limited', 'limit_reached', `limit \`${taken.rule}\` is used up; room comes back in ${Math.ceil(taken.retryAfterMs / 1000)} s`)
      case 'frozen':
        return stop('frozen', 'frozen', `frozen: ${taken.reason}`)
      case 'kept_for_person':
        return stop('blocked', 'kept_for_person', `remediation \`${taken.by}\` left the workload to a person; run \`aegis release\` when it is settled`)
      case 'closed':
        return stop('blocked', 'closed', 'the remediation is closed already')
    }
  }
