import { canonicalUsername, covers, type Area } from '../identity.ts'
import type { Binding, Principal } from '../remediation.ts'
import { stepsFrom, type EscalationRule } from './escalation.ts'

/** A group that somebody speaks for besides their own: `from` is who handed it over, or the group it has come to. */
export type StandIn = { group: string; because: 'delegation' | 'escalation'; from: string }

/** Somebody whose delegation to the giver holds now, as their account stands now. */
export type Delegator = { owner: string; state: 'active' | 'disabled'; groups: readonly string[]; bindings: readonly Binding[] }

export type StandInFacts = {
  delegators: readonly Delegator[]
  rules: readonly EscalationRule[]
  /** Since people were first asked about this plan. */
  waitedMs: number
  /** Groups that the decision asks for: kept before others, where there are too many to keep. */
  wanted: readonly string[]
}

/** More groups than anybody has good reason to speak for; the record of an approval stays small. */
const mostGroups = 50

/**
 * The groups that an approval's giver stands in for at this moment, each once. What is handed over is what the delegator
 * has themself: groups of their own, and the right to approve there. So no group is handed on, nobody hands theirs to
 * approve their own request, and neither a delegate's voice nor a key's reaches further by an escalation.
 */
export function standInsOf(giver: Principal, requester: Pick<Principal, 'owner'>, area: Area, facts: StandInFacts): StandIn[] {
  if (giver.kind !== 'person') return []
  const own = new Set(giver.groups ?? [])
  const found = [...delegated(giver, requester, area, facts.delegators), ...escalated(own, facts)].filter(({ group }) => !own.has(group))
  const each = [...new Map(found.toReversed().map((one) => [one.group, one])).values()].toReversed()
  const isWanted = ({ group }: StandIn) => facts.wanted.includes(group)
  return [...each.filter(isWanted), ...each.filter((one) => !isWanted(one))].slice(0, mostGroups)
}

function delegated(giver: Principal, requester: Pick<Principal, 'owner'>, area: Area, delegators: readonly Delegator[]): StandIn[] {
  const involved = [giver.owner, requester.owner].map(canonicalUsername)
  return delegators
    .filter(({ owner, state }) => state === 'active' && !involved.includes(canonicalUsername(owner)))
    .filter(({ bindings }) => mayApproveIn(bindings, area))
    .flatMap(({ owner, groups }) => groups.map((group) => ({ group, because: 'delegation' as const, from: owner })))
}

const mayApproveIn = (bindings: readonly Binding[], area: Area): boolean =>
  bindings.some((binding) => (binding.role === 'approver' || binding.role === 'admin') && covers(binding, area))

function escalated(own: ReadonlySet<string>, { rules, waitedMs }: StandInFacts): StandIn[] {
  return rules.flatMap(({ group }) => {
    const step = stepsFrom(group, rules).find(({ to, afterMs }) => own.has(to) && afterMs <= waitedMs)
    return step ? [{ group, because: 'escalation' as const, from: step.to }] : []
  })
}
