/** How far a request gets under a set of policies, and whether one outcome lets more happen than another. */
import { canonicalJson } from '../../canonical.ts'
import { strictestMode } from '../../remediation.ts'
import type { Effect } from '../document.ts'
import type { PolicyInput } from '../input.ts'
import { proceeds, proceedUnder, type Proceed } from '../mode.ts'
import { mergeObligations, type Obligations } from '../obligations.ts'
import { readRequest } from '../request.ts'
import { ruleOn, scopeOf, type Ruling } from '../ruling.ts'
import type { CompiledPolicy, PolicySnapshot } from '../snapshot.ts'

/** As far as the policies alone let it go, whatever the mode of the installation. */
export type Outcome = { proceed: Proceed; obligations: Obligations }

export function outcomeOf(ruling: Ruling): Outcome {
  const proceed = proceedUnder(ruling, 'auto')
  const { obligations } = ruling
  // Whoever is asked, it is one person at least.
  return { proceed, obligations: proceed === 'ask' ? { ...obligations, minApprovals: Math.max(1, obligations.minApprovals) } : obligations }
}

/** What the engine says; a request that it cannot read is denied. */
export function outcomeUnder(snapshot: PolicySnapshot, given: PolicyInput): Outcome | 'unreadable' {
  const read = readRequest(given)
  if (read.problem !== undefined) return 'unreadable'
  return outcomeOf(ruleOn(read.input, scopeOf(snapshot, read.input, read.segments)))
}

/** Deny < observe < suggest < ask < act; where it asks or acts, whoever asks for less lets more happen. */
export function isMore(before: Outcome, after: Outcome): boolean {
  const step = proceeds.indexOf(after.proceed) - proceeds.indexOf(before.proceed)
  if (step !== 0) return step > 0
  return (after.proceed === 'ask' || after.proceed === 'act') && !asksAll(after.obligations, before.obligations)
}

/** Whether the engine lets more happen to this request under `after`. */
export function letsMore(before: PolicySnapshot, after: PolicySnapshot, input: PolicyInput): boolean {
  const [was, is] = [outcomeUnder(before, input), outcomeUnder(after, input)]
  return was !== 'unreadable' && is !== 'unreadable' && isMore(was, is)
}

/** Whether `one` asks for everything `other` does. */
const asksAll = (one: Obligations, other: Obligations): boolean =>
  canonicalJson(mergeObligations(other, one)) === canonicalJson(mergeObligations(one, one))

/** Whether a policy, wherever it binds, asks for all that the other does and caps the mode as low. */
export const bindsAll = ({ obligations, document }: CompiledPolicy, other: CompiledPolicy): boolean =>
  asksAll(obligations, other.obligations) && strictestMode(document.mode, other.document.mode) === document.mode

const strictness: Record<Effect, number> = { allow: 0, require_approval: 1, deny: 2 }
export const isAsStrict = (one: CompiledPolicy, other: CompiledPolicy): boolean => strictness[one.document.effect] >= strictness[other.document.effect]
