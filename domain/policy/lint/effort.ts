import type { CompiledPolicy } from '../snapshot.ts'
import { placedLeaves } from './places.ts'

/**
 * What one rule may still spend, in about a microsecond each; so may what all rules share (`spaceOf`). Lint is asked of
 * whatever people write, so where it is used up nothing more is claimed, and the report says so.
 */
export type Effort = { left: number }

const mostEffort = 1_000_000
export const freshEffort = (): Effort => ({ left: mostEffort })

/** False when there is nothing left to spend. */
export function spend(effort: Effort, units: number): boolean {
  effort.left -= units
  return effort.left >= 0
}

/** False, and nothing is spent, where it is more than is left. */
export const afford = (effort: Effort, units: number): boolean => effort.left >= units && spend(effort, units)

export const isSpent = ({ left }: Effort): boolean => left < 0

/** Leaves, windows and globs: what comparisons and decisions grow with. */
const sizeOf = ({ document }: CompiledPolicy): number =>
  document.resources.length + document.actions.length + placedLeaves(document).reduce((sum, { leaf }) => sum + ('time' in leaf && 'windows' in leaf.time ? leaf.time.windows.length : 1), 0)

const partUnits = 0.6
/** An expression in CEL takes as much as so many conditions. */
const partsOfExpression = 15

/** What it takes to ask a policy once, and to explain what it answers. */
export const askUnits = (policy: CompiledPolicy): number =>
  partUnits * (sizeOf(policy) + partsOfExpression * placedLeaves(policy.document).filter(({ leaf }) => 'cel' in leaf).length)

/** A policy of this size is never left out, however many there are. */
const smallSize = 16
const mostBeyond = 2_000

export type Admitted = { compared: readonly CompiledPolicy[]; tooLarge: ReadonlySet<string> }

/** The smaller ones first, as long as all of them together can be compared. Both keep the order of the policies. */
export function admit(policies: readonly CompiledPolicy[]): Admitted {
  const beyond = policies.map((policy) => ({ id: policy.document.id, size: Math.max(0, sizeOf(policy) - smallSize) })).sort((a, b) => a.size - b.size)
  let sum = 0
  const tooLarge = new Set(beyond.filter(({ size }) => (sum += size) > mostBeyond && size > 0).map(({ id }) => id))
  return { compared: policies.filter(({ document }) => !tooLarge.has(document.id)), tooLarge }
}
