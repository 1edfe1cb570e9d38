import { Failure } from '../failure.ts'
import type { RestartPodPlan } from '../plan.ts'
import { stampOf } from '../stamp.ts'
import { judgeHealth } from '../verdict.ts'
import { blocked, noAction, type ActionRules } from './rules.ts'
import type { Situation } from './situation.ts'

/**
 * Evict one pod and let its controller make another. There is no undo, so `phase` is always `act`;
 * the pod that is gone carries no stamp, so an effect without an answer can only be presumed.
 */
export const restartPod: ActionRules<RestartPodPlan> = {
  plan(observation, _wanted, fault) {
    if (observation.kind !== 'Pod') throw new Failure('invalid', 'wrong_kind', 'only a pod can be restarted: name a target of kind `Pod`')
    const { target, uid, workload, ignored, terminating, phase, ready, controlled } = observation
    const name = `pod \`${target.namespace}/${target.name}\``
    if (terminating) return noAction('already_terminating', `${name} is already being deleted`)
    if (phase === 'Succeeded' || phase === 'Failed') return noAction('already_finished', `${name} has finished: there is nothing to restart`)
    if (fault === 'stuck_pod' && ready) return noAction('pod_ready', `${name} is ready: whatever else hangs, it does not`)
    if (ignored) return blocked('ignored', `${name}, its workload or its namespace carries \`aegis.dev/ignore\``)
    if (observation.static) return blocked('static_pod', `${name} is run by its kubelet from a file: restart it on the node`)
    if (!controlled) return blocked('not_controlled', `${name} has no controller that would replace it: recreate it by hand`)
    return { action: 'restart_pod', target: { ...target, uid, generation: null }, workload, podReady: ready, undo: null }
  },

  situation({ target }, _phase, remediationId, read): Situation {
    if (!read.exists || read.uid !== target.uid) return { is: 'gone' }
    if (read.kind !== 'Pod') throw new Failure('invalid', 'wrong_kind', 'a restart was given the read of another kind')
    if (read.terminating) return { is: 'gone' }
    if (stampOf(read.stamps, remediationId) !== undefined) return { is: 'stopped' }
    return { is: 'ready' }
  },

  verdict: (_plan, baseline, samples, window) => judgeHealth(baseline, samples, window),
}
