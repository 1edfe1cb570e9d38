import { loadPlanned } from './committed.ts'
import type { DecisionDeps, Store } from './deps.ts'
import { alertResolved } from './detect.ts'
import { ended } from './ended.ts'
import { lookAround } from './look-around.ts'
import { endingWith } from './recording.ts'
import type { DecisionSteps, Reserved } from './results.ts'

/** How long a run waits before it asks again for a claim that another one holds. */
const turnRetryMs = 2_000

/** Takes the claim on the workload and room in every limit, or says why there is none. */
export const reserve =
  (deps: DecisionDeps): DecisionSteps['reserve'] =>
  async ({ id, digest }) => {
    const { db, store, settings } = deps
    const { limits, concurrency, guards } = settings
    const { request, plan } = await loadPlanned(deps, id, digest)
    const around = await lookAround(deps, request, plan)
    const { workload, undo } = plan.plan
    const wanted = { id, workload, action: request.action, limits, concurrency, undo: undo !== null, planDigest: digest, flap: guards.flap, ...around }
    const result = await endingWith<Taken, Reserved>(
      (step) => store.reserve(db, wanted, step),
      (taken) => (taken.reserved ? { reserved: true, claimToken: taken.claimToken, summary: `claim ${taken.claimToken}` } : refused(deps, taken)),
    )
    if (!result.reserved && result.retryMs === null) pageFor(deps, id, result)
    if (!result.reserved && result.retryMs !== null) await store.setPhase(db, id, 'waiting_turn')
    return result
  }

type Taken = Awaited<ReturnType<Store['reserve']>>

/** What no waiting mends. */
const paged: readonly string[] = ['majority_unhealthy', 'breaker_open', 'quarantined']

function pageFor({ page }: DecisionDeps, id: string, { ending: { reason, message } }: Extract<Reserved, { retryMs: null }>): void {
  if (paged.includes(reason)) page({ id, reason, message })
}

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
      return limited(settings.concurrency.some(({ key }) => key === taken.rule), taken)
    case 'guarded':
      return stop('limited', taken.guard, taken.message)
    case 'quarantined': {
      const { limit, windowMs } = settings.guards.flap
      return stop('needs_human', 'quarantined', `the workload was acted on ${taken.effects} times within ${windowMs / 1000} s, and ${limit} are enough to see that it does not help: find out why it comes back, then run \`aegis release\``)
    }
    case 'frozen':
      return stop('frozen', 'frozen', `frozen: ${taken.reason}`)
    case 'kept_for_person':
      return stop('blocked', 'kept_for_person', `remediation \`${taken.by}\` left the workload to a person; run \`aegis release\` when it is settled`)
    case 'closed':
      return stop('blocked', 'closed', 'the remediation is closed already')
  }
}

/** A place among those at work becomes free when one of them closes; room in a window takes its time. */
function limited(isPlace: boolean, { rule, retryAfterMs, limit, taken, wanted }: Extract<Taken, { because: 'limited' }>): Reserved {
  if (isPlace) return { reserved: false, retryMs: retryAfterMs, summary: `\`${rule}\` is full (${taken} of ${limit}); waiting for a place` }
  const figures = `${taken} of ${limit} taken, ${wanted} asked for`
  const message = wanted > limit
    ? `limit \`${rule}\` never has room for this (${figures}): ask for less at once, or let an operator raise the limit`
    : `limit \`${rule}\` is used up (${figures}); room comes back in ${Math.ceil(retryAfterMs / 1000)} s: ask again then, or let an operator raise the limit`
  return { reserved: false, retryMs: null, ...ended('limited', 'limit_reached', message) }
}
