import type { Plan } from '../plan.ts'
import type { Principal } from '../remediation.ts'
import { approvalState } from './approvals.ts'
import type { Approval } from './input.ts'
import type { Capped } from './mode.ts'

/** What needs two people whatever any policy says, and how many of them have said yes lately. */
export type Floor = { reasons: string[]; needed: number; given: number }

export type FloorFacts = {
  plan: Plan
  /** Of the plan's digest, whenever they were given. */
  approvals: readonly Approval[]
  requester: Principal
  /** The target's namespace is one of production. */
  production: boolean
  /** Policies that do not hold for this request, because of an exception. */
  excepted: readonly { id: string }[]
  errorBudgetExhausted: boolean
  /** Epoch milliseconds. */
  now: number
}

const approvers = 2
/** An approval of something this grave counts for so long. */
export const floorTtlMs = 15 * 60_000

/**
 * The built-in floor under every policy: it only ever asks for more. Some changes need two people besides whoever
 * asked, and where an error budget is spent nothing but restoring goes on.
 */
export function capByFloor(capped: Capped, facts: FloorFacts): Capped & { floor: Floor | null } {
  if (capped.proceed !== 'act' && capped.proceed !== 'ask') return { ...capped, floor: null }
  if (facts.errorBudgetExhausted && !restores(facts.plan)) return { ...capped, proceed: 'deny', code: 'error_budget_exhausted', message: spent, floor: null }
  const floor = floorOf(facts)
  if (!floor || floor.given >= floor.needed) return { ...capped, floor }
  const message = `${floor.reasons.join(' and ')} needs the approval of ${floor.needed} people other than the requester within ${floorTtlMs / 60_000} min, whatever policy says; ${floor.given} given`
  return { ...capped, proceed: 'ask', code: 'floor', message: capped.proceed === 'ask' ? `${capped.message}; ${message}` : message, floor }
}

const spent = 'the workload is annotated `aegis.dev/error-budget: exhausted`: until that is taken off, only a restart, a rollback or a scale-up is done here'

const restores = (plan: Plan): boolean => plan.action !== 'scale_deployment' || plan.replicas.to > plan.replicas.from

function floorOf({ plan, approvals, requester, production, excepted, now }: FloorFacts): Floor | null {
  const reasons = [...planReasons(plan, production), ...excepted.map(({ id }) => `exception \`${id}\`, an override of policy,`)]
  if (reasons.length === 0) return null
  const lately = approvals.filter(({ at }) => now - at < floorTtlMs)
  const { given } = approvalState({ minApprovals: approvers, approverGroups: [], approverRoles: [] }, requester, lately)
  return { reasons, needed: approvers, given }
}

function planReasons(plan: Plan, production: boolean): string[] {
  if (plan.action === 'rollback_deployment') return production ? [`a rollback in production (AEGIS_PRODUCTION_NAMESPACES has \`${plan.target.namespace}\`)`] : []
  if (plan.action !== 'scale_deployment') return []
  const { from, to } = plan.replicas
  if (to === 0) return ['a scale to 0']
  if (to > 2 * from) return [`a scale from ${from} to ${to}, more than twice,`]
  return to * 2 < from ? [`a scale from ${from} to ${to}, less than half,`] : []
}
