import type { Observation } from '../domain/actions/observation.ts'
import type { RemediationRequest } from '../domain/remediation.ts'
import { ended } from './ended.ts'
import type { DecisionDeps } from './deps.ts'
import type { FirstLooks } from './first-look.ts'
import type { DecisionSteps, Ends } from './results.ts'

/** Binds the run to its request and looks whether there is still something to do. */
export const detect =
  ({ db, store, clusters, settings }: DecisionDeps, looks: FirstLooks): DecisionSteps['detect'] =>
  async ({ id, firstRunId }) => {
    const run = await store.bindRun(db, id, firstRunId)
    if (run.bound !== 'bound') return { go: false, ending: null, summary: notOurs[run.bound] }

    const { request } = run
    const { target } = request
    const over = resolved(request)
    if (over) return { go: false, ...over }
    const observation = await clusters(target.cluster).observe(target)
    const name = `${target.kind} \`${target.namespace}/${target.name}\``
    if (!observation) return { go: false, ...ended('blocked', 'target_missing', `there is no ${name} in cluster \`${target.cluster}\``) }
    const gone = faultGone(request, observation)
    if (gone) return { go: false, ...gone }
    looks.keep(id, observation)
    const { desired, ready } = observation.health
    return { go: true, deadlineMs: Date.parse(request.deadlineAt), timing: settings.timing, summary: `${name}: ${ready} of ${desired} ready` }
  }

/** The alert, or the watcher's finding, that asked for this has stopped meanwhile. */
export const alertResolved: Ends = ended('no_action_needed', 'alert_resolved', 'what asked for this has stopped before anything was changed')
export const resolved = ({ resolvedAt }: { resolvedAt: string | null }): Ends | undefined => (resolvedAt === null ? undefined : alertResolved)

/** A fault that was named has to hold still; what a person asks for needs none. */
export function faultGone({ fault, target }: RemediationRequest, { health }: Observation): Ends | undefined {
  if (!fault || health.faults.includes(fault)) return undefined
  return ended('no_action_needed', 'fault_gone', `${target.kind} \`${target.namespace}/${target.name}\` no longer shows \`${fault}\``)
}

const notOurs = {
  other_run: 'another run is bound to this request; this one ends without doing anything',
  closed: 'the remediation is closed; nothing is left to do',
  missing: 'there is no request with this id; a workflow without one does nothing',
}
