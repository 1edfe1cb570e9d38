import { roles, type Principal, type Role } from '../remediation.ts'
import type { Approval } from './input.ts'
import type { Obligations } from './obligations.ts'

/** What four-eyes asks for; a decision's merged obligations hold it. */
export type ApprovalRule = Pick<Obligations, 'minApprovals' | 'approverGroups' | 'approverRoles'>

/** Where the approvals stand, for people to see what is still missing. */
export type ApprovalState = {
  met: boolean
  needed: number
  /** Distinct people whose approval counts. */
  given: number
  missingGroups: string[]
  missingRoles: Role[]
  /** Owners whose break-glass stands in the place of what is missing; left out where nobody used one. */
  breakGlass?: string[]
}

const mayApprove = ({ roles: held }: Approval): boolean => held.includes('approver') || held.includes('admin')

/**
 * Invariant (four eyes): people are told apart by owner, so that somebody's key or service account
 * neither approves that person's own request nor counts as a second person. A break-glass is not one either: it says
 * that nobody is waited for, which the requester may say too, and counts besides as the approval that it is.
 */
export function approvalState(rule: ApprovalRule, requester: Principal, approvals: readonly Approval[]): ApprovalState {
  const counted = approvals.filter((approval) =>
    mayApprove(approval) && approval.owner !== requester.owner && approval.principalId !== requester.id)
  const needed = rule.minApprovals
  const given = new Set(counted.map(({ owner }) => owner)).size
  const missingGroups = rule.approverGroups.filter((group) => !counted.some(({ groups }) => groups.includes(group)))
  const missingRoles = roles.filter((role) =>
    rule.approverRoles.includes(role) && !counted.some((approval) => approval.roles.includes(role)))
  const breakGlass = [...new Set(approvals.filter((approval) => approval.breakGlass && mayApprove(approval)).map(({ owner }) => owner))].sort()
  const state = { needed, given, missingGroups, missingRoles }
  return { met: isAnswered(state) || breakGlass.length > 0, ...state, ...(breakGlass.length > 0 ? { breakGlass } : {}) }
}

/** By approvals alone. */
export const isAnswered = ({ needed, given, missingGroups, missingRoles }: Omit<ApprovalState, 'met'>): boolean =>
  given >= needed && missingGroups.length === 0 && missingRoles.length === 0
