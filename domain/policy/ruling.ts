import { strictestMode, type Mode } from '../remediation.ts'
import { approvalState, isAnswered, type ApprovalState } from './approvals.ts'
import { candidatePlaces } from './candidates.ts'
import type { DecisionCode } from './decision.ts'
import type { Effect } from './document.ts'
import { excepts } from './exception.ts'
import type { Approval, PolicyInput } from './input.ts'
import { breaches, mergeObligations, noObligations, type Breach, type Obligations } from './obligations.ts'
import type { CompiledPolicy, PolicySnapshot } from './snapshot.ts'
import { and, not, or, type Truth } from './truth.ts'

/** A policy in scope of the request, with what its conditions came to. */
export type Evaluated = { policy: CompiledPolicy; truth: Truth }

/** What the policies come to, before anything is explained. */
export type Ruling = {
  effect: Effect
  code: DecisionCode
  determining: Evaluated[]
  /** In scope and enforced, and in scope whatever its enforcement. */
  counted: Evaluated[]
  all: Evaluated[]
  /** Those that permit, or might, and so bind. */
  binding: Evaluated[]
  obligations: Obligations
  mode: Mode
  breaches: Breach[]
  approvals: ApprovalState
}

/** Enforced and shadow policies for this type, action and resource, in the order of explanations. */
export function scopeOf(snapshot: Pick<PolicySnapshot, 'policies' | 'index'>, input: PolicyInput, segments: readonly string[]): CompiledPolicy[] {
  const scope: CompiledPolicy[] = []
  for (const place of candidatePlaces(snapshot.index, input.action, segments)) {
    const policy = snapshot.policies[place]!
    if (policy.document.type.includes(input.type) && policy.resources.some((glob) => glob.matches(segments))) scope.push(policy)
  }
  return scope
}

export const isValidAt = ({ validFrom, validTo }: CompiledPolicy, now: number): boolean => now >= validFrom && now < validTo

export const evaluate = (policy: CompiledPolicy, input: PolicyInput): Evaluated => {
  const truth = isValidAt(policy, input.now) && and(policy.when.evaluate(input), not(policy.unless.evaluate(input)))
  return { policy, truth: policy.exceptions.length === 0 ? truth : and(truth, not(exceptedFrom(policy, input))) }
}

/** Unknown where an exception cannot be answered: then it opens nothing. */
const exceptedFrom = ({ exceptions }: CompiledPolicy, input: PolicyInput): Truth =>
  exceptions.reduce<Truth>((truth, one) => or(truth, excepts(one, input)), false)

/** The rule of docs/policy.md on the policies in scope. */
export const ruleOn = (input: PolicyInput, scope: readonly CompiledPolicy[]): Ruling =>
  ruleOnEvaluated(input, scope.map((policy) => evaluate(policy, input)))

export function ruleOnEvaluated(input: PolicyInput, all: Evaluated[]): Ruling {
  const counted = all.filter(({ policy }) => policy.document.enforcement === 'enforce')
  const classes = classify(counted)
  const { effect: ruled, code: ruledCode, determining } = rule(classes)
  const binding = ruled === 'deny' ? [] : [...classes.Q, ...classes.A]
  const { obligations, mode } = merged(binding)
  const approvals = approvalsOf(input, obligations, counted.map(({ policy }) => policy))
  const approved = ruled === 'require_approval' && approvals.met
  const [effect, code]: [Effect, DecisionCode] = approved ? ['allow', isAnswered(approvals) ? 'approved' : 'break_glass'] : [ruled, ruledCode]
  const broken = effect === 'deny' ? [] : breaches(obligations, input)
  return { effect, code, determining, counted, all, binding, obligations, mode, breaches: broken, approvals }
}

/** Deny, approval and allow: those that match or might. `sure` holds the effects of true matches. */
type Classes = { D: Evaluated[]; Q: Evaluated[]; A: Evaluated[]; sure: ReadonlySet<Effect> }

function classify(counted: readonly Evaluated[]): Classes {
  const classes = { deny: [] as Evaluated[], require_approval: [] as Evaluated[], allow: [] as Evaluated[] }
  const sure = new Set<Effect>()
  for (const one of counted) {
    const { effect } = one.policy.document
    if (one.truth !== false) classes[effect].push(one)
    if (one.truth === true) sure.add(effect)
  }
  return { D: classes.deny, Q: classes.require_approval, A: classes.allow, sure }
}

function rule({ D, Q, A, sure }: Classes): Pick<Ruling, 'effect' | 'code' | 'determining'> {
  if (D.length > 0) return { effect: 'deny', code: sure.has('deny') ? 'explicit_deny' : 'deny_indeterminate', determining: D }
  if (sure.has('require_approval')) return { effect: 'require_approval', code: 'approval_required', determining: Q }
  const allowing = A.filter(({ truth }) => truth === true)
  if (allowing.length > 0 && Q.length > 0) {
    return { effect: 'require_approval', code: 'approval_indeterminate', determining: [...Q, ...allowing] }
  }
  if (allowing.length > 0) return { effect: 'allow', code: 'allowed', determining: allowing }
  return { effect: 'deny', code: 'no_policy_matched', determining: [] }
}

/** Sure or not, whoever might permit this also binds it. */
function merged(binding: readonly Evaluated[]): Pick<Ruling, 'obligations' | 'mode'> {
  if (binding.length === 0) return { obligations: noObligations, mode: 'auto' }
  return {
    obligations: binding.map(({ policy }) => policy.obligations).reduce(mergeObligations, noObligations),
    mode: strictestMode(...binding.map(({ policy }) => policy.document.mode)),
  }
}

/** At least one person is asked, also where only the mode asks. */
function approvalsOf(input: PolicyInput, obligations: Obligations, policies: readonly CompiledPolicy[]): ApprovalState {
  const live = input.approvals.filter((approval) => isLive(approval, input.now, obligations, policies))
  return approvalState({ ...obligations, minApprovals: Math.max(1, obligations.minApprovals) }, input.principal, live)
}

/** An approval was given to the world as it was: it does not outlive its ttl or the turn of a time window. */
function isLive({ at }: Approval, now: number, { approvalTtlMs }: Obligations, policies: readonly CompiledPolicy[]): boolean {
  return at <= now && (approvalTtlMs === null || now < at + approvalTtlMs) && now < nextEdge(policies, at, Infinity)
}

/**
 * When one of the approvals in hand lapses by its ttl, if together they suffice, or one from the future begins; Infinity:
 * none does. Whatever else they lapse with is an edge of a policy. Also where nobody is asked: the mode may yet ask.
 */
export function approvalsTurn({ approvals, now }: PolicyInput, { approvalTtlMs }: Obligations, { met }: ApprovalState): number {
  const lapse = (at: number): number => (met && approvalTtlMs !== null ? at + approvalTtlMs : Infinity)
  return approvals.reduce((first, { at }) => {
    const turn = at > now ? at : lapse(at)
    return turn > now ? Math.min(first, turn) : first
  }, Infinity)
}

/** The next instant after `now` at which any of these policies may answer differently, or `limit` when that comes first. */
export function nextEdge(policies: readonly CompiledPolicy[], now: number, limit: number): number {
  let first = limit
  for (const { times, validFrom, validTo, exceptions } of policies) {
    for (const test of times) first = test.edge(now, first) ?? first
    if (validFrom > now && validFrom < first) first = validFrom
    if (validTo > now && validTo < first) first = validTo
    for (const { from, to } of exceptions) {
      if (from > now && from < first) first = from
      if (to > now && to < first) first = to
    }
  }
  return first
}
