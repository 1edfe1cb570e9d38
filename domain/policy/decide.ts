import { strictestMode, type Mode } from '../remediation.ts'
import { approvalState, type ApprovalState } from './approvals.ts'
import { candidatePlaces } from './candidates.ts'
import type { Decision, DecisionCode } from './decision.ts'
import type { Effect } from './document.ts'
import { explain, nearMisses, participant, policyRef, type Evaluated } from './explain.ts'
import type { Approval, PolicyInput } from './input.ts'
import { breaches, mergeObligations, noObligations, type Obligations } from './obligations.ts'
import { readRequest } from './request.ts'
import type { CompiledPolicy, PolicySnapshot } from './snapshot.ts'
import { and, not } from './truth.ts'

/**
 * The decision rule (docs/policy.md, "The rule"). The most restrictive matching effect wins: deny,
 * then require_approval, then allow, then nothing, which denies. A policy that cannot be evaluated
 * contributes every restriction and no permission. Priority orders explanations and nothing else.
 * Never throws; a request it cannot read, or a failure of its own, is denied with its own code.
 */
export function decide(snapshot: PolicySnapshot, input: PolicyInput): Decision {
  try {
    const read = readRequest(input)
    if (read.problem !== undefined) return refusal(snapshot, input, 'malformed_request', read.problem)
    const inScope = scopeOf(snapshot, read.input, read.segments)
    return conclude(snapshot, read.input, `sha256:${snapshot.sha256(read.json)}`, inScope)
  } catch {
    // The failure's own words may carry facts of the request, so they are not repeated.
    return refusal(snapshot, input, 'engine_error', 'the policy engine failed; nothing is allowed until it is mended')
  }
}

/** Enforced and shadow policies for this type, action and resource, in the order of explanations. */
function scopeOf(snapshot: PolicySnapshot, input: PolicyInput, segments: readonly string[]): CompiledPolicy[] {
  return candidatePlaces(snapshot.index, input.action, segments)
    .map((place) => snapshot.policies[place]!)
    .filter(({ document, resources }) => document.type.includes(input.type) && resources.some((glob) => glob.matches(segments)))
}

const evaluate = (policy: CompiledPolicy, input: PolicyInput): Evaluated => {
  const valid = input.now >= policy.validFrom && input.now < policy.validTo
  return { policy, truth: valid && and(policy.when.evaluate(input), not(policy.unless.evaluate(input))) }
}

function conclude(snapshot: PolicySnapshot, input: PolicyInput, inputDigest: string, scope: CompiledPolicy[]): Decision {
  const all = scope.map((policy) => evaluate(policy, input))
  const counted = all.filter(({ policy }) => policy.document.enforcement === 'enforce')
  const classes = classify(counted)
  const { effect: ruled, code: ruledCode, determining } = rule(classes)
  const contributing = ruled === 'deny' ? [] : [...classes.Q, ...classes.A]
  const { obligations, mode, sources } = merged(contributing)
  const policies = counted.map(({ policy }) => policy)
  const approvals = approvalsOf(input, obligations, policies)
  const approved = ruled === 'require_approval' && approvals.met
  const [effect, code]: [Effect, DecisionCode] = approved ? ['allow', 'approved'] : [ruled, ruledCode]
  const missed = nearMisses(counted, determining, input)
  const others = counted.filter(({ policy, truth }) => truth === true && !determining.some((one) => one.policy === policy))
  return {
    effect,
    code,
    ...explain(code, determining, missed, input, approvals),
    determining: determining.map((one) => participant(one, input)),
    overridden: others.map(({ policy }) => policyRef(policy)),
    nearMisses: missed,
    shadow: all
      .filter(({ policy, truth }) => policy.document.enforcement === 'shadow' && truth !== false)
      .map((one) => participant(one, input)),
    obligations,
    obligationSources: sources,
    breaches: effect === 'deny' ? [] : breaches(obligations, input),
    mode,
    approvals,
    validUntil: validUntil(input, effect, obligations, policies),
    snapshot: snapshot.hash,
    inputDigest,
    now: input.now,
    tzdata: input.tzdata,
    policies: snapshot.size,
    candidates: scope.length,
  }
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

type Ruling = { effect: Effect; code: DecisionCode; determining: Evaluated[] }

function rule({ D, Q, A, sure }: Classes): Ruling {
  if (D.length > 0) return { effect: 'deny', code: sure.has('deny') ? 'explicit_deny' : 'deny_indeterminate', determining: D }
  if (sure.has('require_approval')) return { effect: 'require_approval', code: 'approval_required', determining: Q }
  const allowing = A.filter(({ truth }) => truth === true)
  if (allowing.length > 0 && Q.length > 0) {
    return { effect: 'require_approval', code: 'approval_indeterminate', determining: [...Q, ...allowing] }
  }
  if (allowing.length > 0) return { effect: 'allow', code: 'allowed', determining: allowing }
  return { effect: 'deny', code: 'no_policy_matched', determining: [] }
}

type Merged = { obligations: Obligations; mode: Mode; sources: Decision['obligationSources'] }

/** Sure or not, whoever might permit this also binds it. */
function merged(contributing: readonly Evaluated[]): Merged {
  if (contributing.length === 0) return { obligations: noObligations, mode: 'auto', sources: {} }
  const own = contributing.map(({ policy }) => policy)
  const obligations = own.map((policy) => policy.obligations).reduce(mergeObligations, noObligations)
  const mode = strictestMode(...own.map(({ document }) => document.mode))
  const sources = obligationKeys
    .filter((key) => !isNeutral(key, obligations))
    .map((key) => [key, own.filter((policy) => !isNeutral(key, policy.obligations)).map(policyRef)])
  return { obligations, mode, sources: Object.fromEntries(sources) }
}

const obligationKeys = Object.keys(noObligations) as (keyof Obligations)[]

const isNeutral = (key: keyof Obligations, obligations: Obligations): boolean => {
  const value = obligations[key]
  return Array.isArray(value) ? value.length === 0 : value === noObligations[key]
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

function validUntil(input: PolicyInput, effect: Effect, obligations: Obligations, policies: readonly CompiledPolicy[]): number | null {
  const ttl = effect === 'require_approval' ? obligations.approvalTtlMs : obligations.ttlMs
  const until = nextEdge(policies, input.now, ttl === null ? Infinity : input.now + ttl)
  return until === Infinity ? null : until
}

/** The next instant after `now` at which any of these policies may answer differently, or `limit` when that comes first. */
function nextEdge(policies: readonly CompiledPolicy[], now: number, limit: number): number {
  let first = limit
  for (const { times, validFrom, validTo } of policies) {
    for (const test of times) first = test.edge(now, first) ?? first
    if (validFrom > now && validFrom < first) first = validFrom
    if (validTo > now && validTo < first) first = validTo
  }
  return first
}

/** A denial without a decision: for a request that cannot be read, or a snapshot that may not be used. */
export function refusal(
  snapshot: Pick<PolicySnapshot, 'hash' | 'size'>,
  input: PolicyInput,
  code: Extract<DecisionCode, 'malformed_request' | 'policy_stale' | 'engine_error'>,
  reason: string,
): Decision {
  const { now, tzdata } = stampOf(input)
  return {
    effect: 'deny', code, reason, message: `denied: ${reason}`,
    primary: null, determining: [], overridden: [], nearMisses: [], shadow: [],
    obligations: noObligations, obligationSources: {}, breaches: [], mode: 'auto',
    approvals: { met: false, needed: 1, given: 0, missingGroups: [], missingRoles: [] },
    validUntil: null, snapshot: snapshot.hash, inputDigest: null, now, tzdata,
    policies: snapshot.size, candidates: 0,
  }
}

/** What can be told of a request that may be anything at all. */
function stampOf(input: unknown): { now: number; tzdata: string } {
  try {
    const { now, tzdata } = input as PolicyInput
    return { now: Number.isFinite(now) ? now : 0, tzdata: typeof tzdata === 'string' ? tzdata : '' }
  } catch {
    return { now: 0, tzdata: '' }
  }
}
