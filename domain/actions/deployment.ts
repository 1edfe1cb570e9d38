import { Failure } from '../failure.ts'
import type { Plan, Refusal } from '../plan.ts'
import { stampOf } from '../stamp.ts'
import type { DeploymentObservation, Observation } from './observation.ts'
import { blocked } from './rules.ts'
import type { AttemptRead, DeploymentRead, Situation } from './situation.ts'

/** What both changes of a Deployment share. */

export function asDeployment(observation: Observation): DeploymentObservation {
  if (observation.kind === 'Deployment') return observation
  throw new Failure('invalid', 'wrong_kind', 'this action works on a deployment: name a target of kind `Deployment`')
}

export const nameOf = ({ target: { namespace, name } }: Pick<Plan, 'target'>): string => `deployment \`${namespace}/${name}\``

/** A workload that is not ours to touch, or that an operator holds on purpose. */
export function handsOff(observation: DeploymentObservation): Refusal | undefined {
  const name = `deployment \`${observation.target.namespace}/${observation.target.name}\``
  if (observation.ignored) return blocked('ignored', `${name}, what owns it or its namespace carries \`aegis.dev/ignore\``)
  if (observation.paused) return blocked('paused', `${name} is paused: resume its rollout first`)
  return undefined
}

/** Where the field an action changes stands: still as before, as the act leaves it, or at neither. */
export type FieldState = 'before' | 'after' | 'other'

/**
 * Invariant (one effect): `ready` only while nothing but status has changed since the plan (act), or
 * while the field is as our stamped act left it (undo). The stamp is written with the change, so its
 * absence proves that the change did not land.
 */
export function situationOf(plan: Plan, phase: 'act' | 'undo', remediationId: string, read: AttemptRead, field: (read: DeploymentRead) => FieldState): Situation {
  if (!read.exists) return changed(`${nameOf(plan)} is gone`)
  if (read.kind !== 'Deployment') throw new Failure('invalid', 'wrong_kind', 'a deployment plan was given the read of another kind')
  if (read.uid !== plan.target.uid) return changed(`${nameOf(plan)} was replaced by another of the same name`)
  const stamp = stampOf(read.stamps, remediationId)
  return phase === 'act' ? acting(plan, stamp, read, field(read)) : undoing(plan, stamp, field(read))
}

function acting(plan: Plan, stamp: ReturnType<typeof stampOf>, read: DeploymentRead, field: FieldState): Situation {
  if (stamp) return { is: stamp === 'applied' ? 'done_by_us' : 'stopped' }
  if (read.generation === plan.target.generation && field === 'before' && !read.paused) return { is: 'ready' }
  return field === 'after' ? { is: 'wanted' } : changed(`${nameOf(plan)} was changed since it was judged`)
}

function undoing(plan: Plan, stamp: ReturnType<typeof stampOf>, field: FieldState): Situation {
  if (stamp === 'undone') return { is: 'done_by_us' }
  if (stamp === 'abandoned') return { is: 'stopped' }
  if (field === 'before') return { is: 'wanted' }
  if (!stamp) return changed(`the stamp of this remediation is no longer on ${nameOf(plan)}`)
  return field === 'after' ? { is: 'ready' } : changed(`someone else has changed ${nameOf(plan)} since`)
}

const changed = (message: string): Situation => ({ is: 'changed', message })
