import type { Capped, Proceed } from './mode.ts'

/** Allow policies that are new: held at `suggest`, and what they would have done without that. */
export type Trial = { policies: string[]; otherwise: Proceed }

/** A policy in force, and since when its very content has been, epoch milliseconds. */
export type Tried = { id: string; effect: string; sinceMs: number }

/** Of the policies that permit, those whose content is younger than `trialMs`. What only asks people needs no trial. */
export const onTrial = (binding: readonly { id: string }[], inForce: readonly Tried[], trialMs: number, nowMs: number): string[] =>
  inForce.filter(({ id, effect, sinceMs }) => effect === 'allow' && nowMs - sinceMs < trialMs && binding.some((one) => one.id === id)).map(({ id }) => id)

/** It only ever takes away: a decision that acts or asks becomes a suggestion, and says what it would have been. */
export function capByTrial(capped: Capped, policies: string[], trialMs: number): Capped & { trial: Trial | null } {
  const { proceed } = capped
  if (policies.length === 0 || (proceed !== 'act' && proceed !== 'ask')) return { ...capped, trial: null }
  const names = policies.map((id) => `\`${id}\``).join(', ')
  const would = proceed === 'act' ? 'this would have been done' : 'a person would have been asked'
  const message = `policy ${names} is in its trial of ${trialMs / 3_600_000} h (AEGIS_POLICY_TRIAL_MS): ${would}; do it by hand meanwhile, and see with \`aegis policy trial\` what else it would have done`
  return { proceed: 'suggest', mode: 'suggest', code: 'policy_trial', message, trial: { policies, otherwise: proceed } }
}
