import { loadPlanned } from './committed.ts'
import type { DecisionDeps, Store } from './deps.ts'
import { alertResolved } from './detect.ts'
import { ended } from './ended.ts'
import { endingWith } from './recording.ts'
import type { DecisionSteps, Reserved } from './results.ts'

/** How long a run waits before it asks again for a claim that another one holds. */
const turnRetryMs = 2_000

/** Takes the claim on the workload and room in every limit, or says why there is none. */
export const reserve =
  (deps: DecisionDeps): DecisionSteps['reserve'] =>
  async ({ id, digest }) => {
    const { db, store, settings } = deps
    const { limits, concurrency } = settings
    const result = await endingWith<Taken, Reserved>(
      (step) =>
        store.together(db, async (trx) => {
          const { request, plan } = await loadPlanned({ db: trx, store }, id, digest)
          const { workload, undo } = plan.plan
          return store.reserve(trx, { id, workload, action: request.action, limits, concurrency, undo: undo !== null }, step)
        }),
      (taken) => (taken.reserved ? { reserved: true, claimToken: taken.claimToken, summary: `claim ${taken.claimToken}` } : refused(deps, taken)),
    )
    if (!result.reserved && result.retryMs !== null) await store.setPhase(db, id, 'waiting_turn')
    return result
  }

type Taken = Awaited<ReturnType<Store['reserve']>>

function refused({ settings }: DecisionDeps, taken: Extract<Taken, { reserved: false }>): Reserved {
  const waitTurn = (retryMs: number, summary: string): Reserved => ({ reserved: false, retryMs, summary })
  const stop = (...how: Parameters<typeof ended>): Reserved => ({ reserved: false, retryMs: null, ...ended(...how) })
  switch (taken.because) {
    case 'busy':
      return waitTurn(turnRetryMs, `remediation \`${taken.holder}\` works on the workload`)
    case 'rejected':
      return stop('declined', 'rejected', `${taken.by} declined${taken.comment === '' ? '' : `: ${taken.comment}`}`)
    case 'resolved':
      return { reserved: false, retryMs: null, ...alertResolved }
    case 'coalesced':
      return stop('coalesced', 'same_action_running', `remediation \`${taken.into}\` does the same on the same workload`)
    case 'limited':
      // A place among those at work becomes free when one of them closes; room in a window takes its time.
      if (settings.concurrency.some(({ key }) => key === taken.rule)) {
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
