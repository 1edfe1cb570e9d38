/** A change of the replica count, relative to what the plan finds. A percentage rounds towards no change. */
export type ReplicaBounds = { change: { step: number } | { percent: number }; min: number; max: number }

/** What a rule gives an action: relative here, absolute only in the plan. */
export type ParameterBounds = { scale?: ReplicaBounds }

/**
 * The absolute replica count. Up ends at `max` and down at `min`; neither ever turns round, so a
 * workload that is already past its bound stays where it is. Equal to `current` means there is nothing to do. A workload at zero is off on purpose and stays so.
 */
export function boundedReplicas(current: number, { change, min, max }: ReplicaBounds): number {
  if (current === 0) return 0
  const delta = 'step' in change ? change.step : Math.trunc((current * change.percent) / 100)
  if (delta >= 0) return Math.max(current, Math.min(current + delta, max))
  return Math.min(current, Math.max(current + delta, min))
}
