import type { ScaleDeploymentPlan } from '../plan.ts'
import { judgeHealth } from '../verdict.ts'
import { asDeployment, handsOff, situationOf } from './deployment.ts'
import { blocked, noAction, type ActionRules } from './rules.ts'

/** No honest single step goes further; policies set tighter bounds, and the cluster's admission holds this one. */
export const mostReplicas = 1000

/** From one absolute count to another; the undo is the same with the ends swapped. */
export const scaleDeployment: ActionRules<ScaleDeploymentPlan> = {
  plan(given, { replicas: to }) {
    const observation = asDeployment(given)
    const { target, uid, generation, replicas: from, templateHash, workload } = observation
    if (to === undefined) return blocked('replicas_missing', 'a scale needs `replicas`: give the absolute count')
    if (!Number.isInteger(to) || to < 0 || to > mostReplicas) return blocked('replicas_out_of_range', `\`replicas\` is \`${to}\`: give a whole number from 0 to ${mostReplicas}`)
    const refused = handsOff(observation)
    if (refused) return refused
    if (from === to) return noAction('already_scaled', `deployment \`${target.namespace}/${target.name}\` already has ${to} replicas`)
    return {
      action: 'scale_deployment',
      target: { ...target, uid, generation },
      workload,
      replicas: { from, to },
      templateHash,
      undo: { replicas: { from: to, to: from } },
    }
  },

  situation: (plan, phase, remediationId, read) =>
    situationOf(plan, phase, remediationId, read, ({ replicas }) => (replicas === plan.replicas.to ? 'after' : replicas === plan.replicas.from ? 'before' : 'other')),

  verdict: (_plan, baseline, samples, window) => judgeHealth(baseline, samples, window),
}
