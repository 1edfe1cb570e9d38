import { Failure } from '../failure.ts'
import type { Refusal, RevisionPin, RollbackDeploymentPlan } from '../plan.ts'
import { judgeHealth } from '../verdict.ts'
import { asDeployment, handsOff, situationOf } from './deployment.ts'
import type { DeploymentObservation, RevisionFacts } from './observation.ts'
import { blocked, noAction, type ActionRules } from './rules.ts'

/**
 * Back to a revision pinned by its ReplicaSet's UID and template hash, never to "the previous one":
 * a repeated "previous" flips back to the bad version. The undo is the same with the ends swapped.
 */
export const rollbackDeployment: ActionRules<RollbackDeploymentPlan> = {
  plan(given, { revision }) {
    const observation = asDeployment(given)
    const refused = handsOff(observation)
    if (refused) return refused
    const from = currentRevision(observation)
    const to = revision === undefined ? newestGood(observation, from) : numbered(observation, revision)
    if ('outcome' in to) return to
    if (to.templateHash === from.templateHash) return noAction('already_there', `${nameIn(observation)} already runs revision ${to.revision}'s template`)
    const { target, uid, generation, replicas, workload } = observation
    const [pinFrom, pinTo] = [pinOf(from), pinOf(to)]
    return {
      action: 'rollback_deployment',
      target: { ...target, uid, generation },
      workload,
      replicas,
      revision: { from: pinFrom, to: pinTo },
      undo: { revision: { from: pinTo, to: pinFrom } },
    }
  },

  situation: (plan, phase, remediationId, read) =>
    situationOf(plan, phase, remediationId, read, ({ templateHash }) =>
      templateHash === plan.revision.to.templateHash ? 'after' : templateHash === plan.revision.from.templateHash ? 'before' : 'other',
    ),

  verdict: (_plan, baseline, samples, window) => judgeHealth(baseline, samples, window),
}

/** The undo is pinned before the act, so the running revision must be known. The controller is moments behind at most. */
function currentRevision(observation: DeploymentObservation): RevisionFacts {
  const current = observation.revisions.find((revision) => revision.current)
  if (current && observation.observedGeneration >= observation.generation) return current
  throw new Failure('unavailable', 'rollout_unobserved', `the controller has not looked at the newest change of ${nameIn(observation)} yet`)
}

/** A revision that was never seen available, or runs the same as the bad one, is nothing to go back to. */
function newestGood(observation: DeploymentObservation, from: RevisionFacts): RevisionFacts | Refusal {
  if (observation.revisionHistoryLimit === 0) return blocked('no_history', `${nameIn(observation)} keeps no old revisions: \`revisionHistoryLimit\` is 0`)
  const earlier = observation.revisions.filter((revision) => revision.revision < from.revision && revision.sourceHash !== from.sourceHash)
  const good = earlier.filter(({ wasAvailable }) => wasAvailable).toSorted((a, b) => b.revision - a.revision)[0]
  if (good) return good
  const why = earlier.length === 0 ? 'has no earlier revision that differs' : 'has earlier revisions, but none that was seen available: name one with `revision`'
  return blocked('no_earlier_revision', `${nameIn(observation)} ${why}`)
}

/** A person who names a revision may know more than the API does. */
function numbered(observation: DeploymentObservation, revision: number): RevisionFacts | Refusal {
  const known = observation.revisions.map((each) => each.revision).toSorted((a, b) => a - b)
  const found = observation.revisions.find((each) => each.revision === revision)
  return found ?? blocked('revision_missing', `${nameIn(observation)} has no revision \`${revision}\`: it has ${known.join(', ') || 'none'}`)
}

const nameIn = ({ target }: DeploymentObservation): string => `deployment \`${target.namespace}/${target.name}\``
const pinOf = ({ revision, replicaSet, replicaSetUid, templateHash }: RevisionFacts): RevisionPin => ({ revision, replicaSet, replicaSetUid, templateHash })
