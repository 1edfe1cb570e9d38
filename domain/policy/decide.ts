import type { Decision, DecisionCode } from './decision.ts'
import { exceptionsOf, explain, nearMisses, participant, policyRef } from './explain.ts'
import type { PolicyInput } from './input.ts'
import { noObligations, type Obligations } from './obligations.ts'
import { canonical, readRequest, type ReadableRequest } from './request.ts'
import { approvalsTurn, nextEdge, ruleOn, scopeOf, type Ruling } from './ruling.ts'
import type { PolicySnapshot } from './snapshot.ts'

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
    const json = canonical(input)
    if (json === undefined) return refusal(snapshot, input, 'malformed_request', 'the request is not plain data')
    return conclude(snapshot, read, `sha256:${snapshot.sha256(json)}`)
  } catch {
    // The failure's own words may carry facts of the request, so they are not repeated.
    return refusal(snapshot, input, 'engine_error', 'the policy engine failed; nothing is allowed until it is mended')
  }
}

/** By policies that may be too old to trust: those nobody could confirm may no longer say what people think they say. */
export const decideBy = ({ snapshot, stale, error = 'no reason known' }: { snapshot: PolicySnapshot; stale: boolean; error?: string }, input: PolicyInput): Decision =>
  stale ? refusal(snapshot, input, 'policy_stale', `the policies in force could not be confirmed: ${error}`) : decide(snapshot, input)

function conclude(snapshot: PolicySnapshot, { input, segments }: ReadableRequest, inputDigest: string): Decision {
  const scope = scopeOf(snapshot, input, segments)
  const ruling = ruleOn(input, scope)
  const { effect, code, determining, counted, all, obligations, mode, breaches, approvals } = ruling
  const missed = nearMisses(counted, determining, input)
  const others = counted.filter(({ policy, truth }) => truth === true && !determining.some((one) => one.policy === policy))
  return {
    effect,
    code,
    ...explain(code, determining, missed, input, approvals),
    determining: determining.map((one) => participant(one, input, segments)),
    binding: ruling.binding.map(({ policy }) => ({ id: policy.document.id, mode: policy.document.mode })),
    overridden: others.map(({ policy }) => policyRef(policy)),
    nearMisses: missed,
    excepted: counted.flatMap(({ policy }) => exceptionsOf(policy, input)),
    shadow: all
      .filter(({ policy, truth }) => policy.document.enforcement === 'shadow' && truth !== false)
      .map((one) => participant(one, input, segments)),
    obligations,
    obligationSources: sourcesOf(ruling),
    breaches,
    mode,
    approvals,
    validUntil: validUntil(input, ruling),
    snapshot: snapshot.hash,
    inputDigest,
    now: input.now,
    tzdata: input.tzdata,
    policies: snapshot.size,
    candidates: scope.length,
  }
}

function sourcesOf({ obligations, binding }: Ruling): Decision['obligationSources'] {
  const own = binding.map(({ policy }) => policy)
  const asking = obligationKeys
    .filter((key) => !isNeutral(key, obligations))
    .map((key) => [key, own.filter((policy) => !isNeutral(key, policy.obligations)).map(policyRef)])
  return Object.fromEntries(asking)
}

const obligationKeys = Object.keys(noObligations) as (keyof Obligations)[]

const isNeutral = (key: keyof Obligations, obligations: Obligations): boolean => {
  const value = obligations[key]
  return Array.isArray(value) ? value.length === 0 : value === noObligations[key]
}

function validUntil(input: PolicyInput, { effect, obligations, approvals, counted }: Ruling): number | null {
  const ttl = effect === 'require_approval' ? obligations.approvalTtlMs : obligations.ttlMs
  const limit = Math.min(ttl === null ? Infinity : input.now + ttl, effect === 'deny' ? Infinity : approvalsTurn(input, obligations, approvals))
  const until = nextEdge(counted.map(({ policy }) => policy), input.now, limit)
  return until === Infinity ? null : until
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
    primary: null, determining: [], binding: [], overridden: [], nearMisses: [], excepted: [], shadow: [],
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
