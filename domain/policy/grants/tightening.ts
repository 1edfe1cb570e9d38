/** Changes after which a request never gets further, told from what the policies come to and not from what they ask. */
import { canonicalJson } from '../../canonical.ts'
import { bindsAll, isAsStrict } from './outcome.ts'
import { mayBe, type Truths } from './truths.ts'
import type { CompiledPolicy } from '../snapshot.ts'

/** One policy before and after; null where there was none, or is none any more. Only what is enforced is one. */
export type Pair = {
  before: CompiledPolicy | null
  after: CompiledPolicy | null
  /** It holds for the same requests, and asks for no less. */
  asksMore: boolean
}

/** A policy with all that it may come to. */
export type Standing = { policy: CompiledPolicy; truths: Truths }

const surely = (truths: Truths): boolean => truths === mayBe.true
const surelyNot = (truths: Truths): boolean => truths === mayBe.false
/** True or unknown: a deny denies, and a permission binds. */
const counts = (truths: Truths): boolean => (truths & mayBe.false) === 0

/** Whether both are asked of the same requests, and the one after asks for no less: however large the conditions are. */
export function onlyAsksMore(before: CompiledPolicy | null, after: CompiledPolicy | null): boolean {
  if (!before || !after || !isAsStrict(after, before) || !sameScope(before, after)) return false
  return after.document.effect === 'deny' || bindsAll(after, before)
}

/** Conditions, resources and exceptions decide when a policy holds; all else is how it is told, or what it asks for. */
const sameScope = (a: CompiledPolicy, b: CompiledPolicy): boolean =>
  canonicalJson([scopeOf(a), a.exceptions.map(({ document }) => document)]) === canonicalJson([scopeOf(b), b.exceptions.map(({ document }) => document)])

const scopeOf = ({ document: { type, actions, resources, when, unless, validity } }: CompiledPolicy) => ({ type, actions, resources, when, unless, validity })

/** `unchanged` are in both sets. Each step is one that never loosens whatever else there is, so any number of them does not. */
export function canOnlyTighten(before: Standing | null, after: Standing | null, unchanged: readonly Standing[]): boolean {
  const was = before && !surelyNot(before.truths) ? before : null
  const is = after && !surelyNot(after.truths) ? after : null
  if (was && is && replaces(was, is)) return true
  return (!was || isGoneForNothing(was, unchanged)) && (!is || isAddedForNothing(is, unchanged))
}

function replaces(was: Standing, is: Standing): boolean {
  const [from, to] = [was.policy.document.effect, is.policy.document.effect]
  if (to === 'deny') return counts(is.truths)
  if (from === 'deny') return false
  // A question that may be gone, or an allow that is sure now, lets more through.
  const sameTruth = was.truths === is.truths && (was.truths === mayBe.true || was.truths === mayBe.unknown)
  const lessSure = from === 'allow' && to === 'allow' && counts(was.truths) && is.truths === mayBe.unknown
  return (sameTruth || lessSure) && isAsStrict(is.policy, was.policy) && bindsAll(is.policy, was.policy)
}

/** An allow that asks for nothing, or what a policy that stays does as well. */
const isGoneForNothing = ({ policy }: Standing, unchanged: readonly Standing[]): boolean =>
  (policy.document.effect === 'allow' && isFree(policy)) ||
  unchanged.some((other) => surely(other.truths) && other.policy.document.effect === policy.document.effect && (policy.document.effect === 'deny' || bindsAll(other.policy, policy)))

const isFree = ({ obligations, document }: CompiledPolicy): boolean =>
  document.mode === 'auto' && Object.values(obligations).every((value) => (Array.isArray(value) ? value.length === 0 : value === null || value === false || value === 0))

/** A deny, or one more permission where there is one for sure: it binds, too, and may ask. */
const isAddedForNothing = ({ policy }: Standing, unchanged: readonly Standing[]): boolean =>
  policy.document.effect === 'deny' || unchanged.some(({ truths }) => surely(truths))
