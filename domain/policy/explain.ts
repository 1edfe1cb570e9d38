import type { ApprovalState } from './approvals.ts'
import { collectFailed, type FailedLeaf } from './condition.ts'
import type { Decision, DecisionCode, Excepted, NearMiss, Participant } from './decision.ts'
import { excepts } from './exception.ts'
import type { PolicyInput } from './input.ts'
import { actionKeys } from './names.ts'
import type { Evaluated } from './ruling.ts'
import type { CompiledPolicy } from './snapshot.ts'
import { and, not } from './truth.ts'

/** How many near misses, and leaves of one, a decision carries. */
const mostNearMisses = 10
const mostLeaves = 4

/** `id@` and the first twelve digits of the content hash: enough to find the version, short enough to say. */
export const policyRef = ({ document, hash }: CompiledPolicy): string => `${document.id}@${hash.slice(7, 19)}`

export function participant({ policy, truth }: Evaluated, input: PolicyInput, segments: readonly string[]): Participant {
  const { document, hash, resources } = policy
  const keys = actionKeys(input.action)
  return {
    id: document.id,
    hash,
    effect: document.effect,
    priority: document.priority,
    truth: truth === true ? true : 'unknown',
    action: document.actions.find((action) => keys.includes(action)) ?? input.action,
    resource: resources.find((glob) => glob.matches(segments))?.text ?? input.resource,
    unknown: truth === true ? [] : leavesAgainst(policy, input),
  }
}

/** Why the policy is not a sure match: its end, its `when`, or its `unless`. */
function leavesAgainst(policy: CompiledPolicy, input: PolicyInput): FailedLeaf[] {
  const { when, unless, document, validFrom, validTo } = policy
  if (input.now < validFrom) return [{ path: 'validity.notBefore', actual: 'not yet', expected: String(document.validity.notBefore) }]
  if (input.now >= validTo) return [{ path: 'validity.notAfter', actual: 'over', expected: String(document.validity.notAfter) }]
  const found: FailedLeaf[] = []
  if (when.evaluate(input) !== true) collectFailed(when, true, input, mostLeaves, found)
  if (unless.evaluate(input) !== false) collectFailed(unless, false, input, mostLeaves, found)
  for (const one of policy.exceptions) if (excepts(one, input) === 'unknown') collectFailed(one.when, false, input, mostLeaves, found)
  for (const { id, until, author, approvedBy } of exceptionsOf(policy, input)) found.push({ path: `exception ${id}`, actual: `until ${until}, by ${author} and ${approvedBy}`, expected: 'no exception' })
  return found
}

/** What keeps a policy, which would hold or might, from holding. */
export function exceptionsOf({ when, unless, exceptions }: CompiledPolicy, input: PolicyInput): Excepted[] {
  if (exceptions.length === 0 || and(when.evaluate(input), not(unless.evaluate(input))) === false) return []
  return exceptions
    .filter((one) => excepts(one, input) === true)
    .map(({ document: { id, policy, expiresAt: until, reason, author, approvedBy } }) => ({ id, policy, until, reason, author, approvedBy }))
}

/** Policies in scope that neither matched nor took part; those that could have allowed this first, then those that would have asked. */
export function nearMisses(counted: readonly Evaluated[], determining: readonly Evaluated[], input: PolicyInput): NearMiss[] {
  const missed = { allow: [] as Evaluated[], require_approval: [] as Evaluated[], deny: [] as Evaluated[] }
  for (const one of counted) if (one.truth !== true && !determining.includes(one)) missed[one.policy.document.effect].push(one)
  return [...missed.allow, ...missed.require_approval, ...missed.deny].slice(0, mostNearMisses).map(({ policy, truth }) => ({
    id: policy.document.id,
    hash: policy.hash,
    effect: policy.document.effect,
    truth: truth === 'unknown' ? 'unknown' : false,
    failed: leavesAgainst(policy, input),
  }))
}

type Explanation = Pick<Decision, 'primary' | 'reason' | 'message'>

/** The first sure policy of the determining list speaks; where none is sure, the first of all. */
export function explain(
  code: DecisionCode,
  determining: readonly Evaluated[],
  missed: readonly NearMiss[],
  input: PolicyInput,
  approvals: ApprovalState,
): Explanation {
  const indeterminate = code === 'approval_indeterminate' || code === 'deny_indeterminate'
  const first = determining.find(({ truth }) => indeterminate || truth === true) ?? determining[0]
  if (!first) return nothingMatched(missed, input)
  const { id, name, message } = first.policy.document
  const reason = message ?? name
  const because = indeterminate ? couldNot(first.policy, input) : `: ${reason}`
  return { primary: policyRef(first.policy), reason, message: `${verdictText(code, approvals)} \`${id}\`${because}` }
}

function verdictText(code: DecisionCode, { needed, given, breakGlass = [] }: ApprovalState): string {
  if (code === 'allowed') return 'allowed by policy'
  if (code === 'approved') return `allowed with ${given} of ${needed} approvals asked for by policy`
  if (code === 'break_glass') return `allowed by the break-glass of ${breakGlass.map((owner) => `\`${owner}\``).join(', ')}, with ${given} of ${needed} approvals asked for by policy`
  if (code === 'explicit_deny' || code === 'deny_indeterminate') return 'denied by policy'
  return `${needed === 1 ? 'one approval is' : `${needed} approvals are`} asked for by policy`
}

function couldNot(policy: CompiledPolicy, input: PolicyInput): string {
  const [leaf] = leavesAgainst(policy, input)
  return leaf ? `, which could not be evaluated: ${leaf.actual}, wanted ${leaf.expected} (${leaf.path})` : ''
}

function nothingMatched(missed: readonly NearMiss[], { action, resource }: PolicyInput): Explanation {
  const reason = `no policy allows \`${action}\` on \`${resource}\``
  const nearest = missed.find(({ effect }) => effect !== 'deny')
  const leaf = nearest?.failed[0]
  const hint = nearest && leaf ? `; nearest is \`${nearest.id}\`: ${leaf.actual}, wanted ${leaf.expected}` : ''
  return { primary: null, reason, message: `denied: ${reason}${hint}` }
}
