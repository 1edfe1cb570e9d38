import { actionRules } from '../domain/actions/index.ts'
import { planDigest } from '../domain/digest.ts'
import type { Plan, Refusal } from '../domain/plan.ts'
import type { ActionParameters } from '../domain/remediation.ts'
import { boundedReplicas } from '../domain/rules/bounds.ts'
import { ended } from './ended.ts'
import type { DecisionDeps } from './deps.ts'
import { loadRequest } from './committed.ts'
import { faultGone, resolved } from './detect.ts'
import type { FirstLooks } from './first-look.ts'
import { endingWith } from './recording.ts'
import type { DecisionSteps, Planned } from './results.ts'

/** Pins every value from what is there now, and keeps the plan under its digest. */
export const plan =
  ({ db, store, clusters, sha256, settings }: DecisionDeps, looks: FirstLooks): DecisionSteps['plan'] =>
  async ({ id, expected }) => {
    const request = await loadRequest({ db, store }, id)
    const { action, target, parameters, fault, phase } = request
    const over = resolved(request)
    if (over) return { planned: false, ...over }
    if (phase === 'waiting_turn') await store.setPhase(db, id, 'planning')
    // What people approved is compared with what is there now, never with an earlier look.
    const firstLook = expected ? undefined : looks.take(id)
    const observation = firstLook ?? (await clusters(target.cluster).observe(target))
    if (!observation) return overtakenOrBlocked(expected, `the target \`${target.namespace}/${target.name}\` is gone`)

    const gone = faultGone(request, observation)
    if (gone) return { planned: false, ...gone }
    const wanted = absolute(parameters, observation.kind === 'Deployment' ? observation.replicas : undefined)
    const planned: Plan | Refusal = actionRules[action].plan(observation, wanted, fault)
    if ('outcome' in planned) {
      // What was approved can no longer be planned: someone changed the target meanwhile.
      if (expected) return overtakenOrBlocked(expected, planned.message)
      return { planned: false, ...ended(planned.outcome, planned.reason, planned.message) }
    }
    const digest = planDigest(planned, sha256)
    if (expected && digest !== expected) return overtakenOrBlocked(expected, 'the target was changed since the plan was approved')
    const { settleMs, verifyTimeoutMs: timeoutMs } = settings.timing
    const { health: baseline, labels, terms } = observation
    const row = { id, plan: planned, digest, baseline, labels, terms, observedAt: new Date().toISOString(), watch: { settleMs, timeoutMs } }
    const result: Planned = { planned: true, digest, undo: planned.undo !== null, summary: describe(planned) }
    return endingWith((step) => store.savePlan(db, row, step), () => result)
  }

const overtakenOrBlocked = (expected: string | null, message: string) => ({
  planned: false as const,
  ...(expected ? ended('overtaken', 'target_changed', message) : ended('blocked', 'target_missing', message)),
})

/** A rule's step becomes an absolute number here, once, and is pinned. */
function absolute({ scale, ...parameters }: ActionParameters, current: number | undefined): ActionParameters {
  return scale && current !== undefined ? { ...parameters, replicas: boundedReplicas(current, scale) } : parameters
}

function describe(plan: Plan): string {
  const { name } = plan.target
  switch (plan.action) {
    case 'restart_pod':
      return `evict pod \`${name}\``
    case 'scale_deployment':
      return `scale \`${name}\` from ${plan.replicas.from} to ${plan.replicas.to}`
    case 'rollback_deployment':
      return `roll \`${name}\` back from revision ${plan.revision.from.revision} to ${plan.revision.to.revision}`
  }
}
