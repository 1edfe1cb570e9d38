import { areasWith, bindingsOf, covers, type Area } from '../domain/identity.ts'
import type { Principal, Role } from '../domain/remediation.ts'

export const permissions = [
  'remediations:create',
  'remediations:read',
  'remediations:answer',
  'remediations:break-glass',
  'break-glass:review',
  'delegations:read',
  'delegations:give',
  'delegations:give-others',
  'escalations:read',
  'escalations:write',
  'alerts:send',
  'audit:read',
  'freeze:read',
  'freeze:set',
  'freeze:lift',
  'claims:release',
  'breakers:close',
  'autonomy:read',
  'autonomy:promote',
  'autonomy:demote',
  'policy:read',
  'policy:evaluate',
  'policy:evaluate-others',
  'policy:simulate',
  'policy:write',
  'policy:except',
  'policy:agree',
  'keys:manage',
  'users:read',
  'users:manage',
  'account:own',
  'config:read',
] as const
export type Permission = (typeof permissions)[number]

/** Of whoever can prove who they are, with a role or without. */
const everyone: readonly Permission[] = ['account:own']

const look: readonly Permission[] = [...everyone, 'remediations:read', 'escalations:read', 'freeze:read', 'autonomy:read', 'policy:read', 'policy:evaluate']

/** Who may do what. Stopping is easier than starting again: an approver may freeze and demote, an admin lifts and promotes. */
export const granted: Record<Role, readonly Permission[]> = {
  user: [...look, 'remediations:create'],
  service: [...look, 'remediations:create', 'alerts:send', 'policy:evaluate-others'],
  approver: [...look, 'remediations:create', 'remediations:answer', 'remediations:break-glass', 'break-glass:review', 'delegations:read', 'delegations:give', 'freeze:set', 'autonomy:demote', 'policy:except', 'policy:agree'],
  auditor: [...look, 'audit:read', 'break-glass:review', 'delegations:read', 'policy:simulate', 'users:read'],
  admin: permissions,
}

const gives = (role: Role, permission: Permission): boolean => granted[role].includes(permission)

/** Whether one binding of the principal gives the permission in all of the area. */
export const allows = (principal: Principal, permission: Permission, area: Area): boolean =>
  everyone.includes(permission) || bindingsOf(principal).some((binding) => gives(binding.role, permission) && covers(binding, area))

/** Somewhere, wherever that is. */
export const allowsAnywhere = (principal: Principal, permission: Permission): boolean =>
  everyone.includes(permission) || bindingsOf(principal).some(({ role }) => gives(role, permission))

/** What lists are narrowed to: null for everything. */
export const areasOf = (principal: Principal, permission: Permission): Area[] | null => areasWith(principal, (role) => gives(role, permission))

export const rolesWith = (permission: Permission): Role[] =>
  (Object.keys(granted) as Role[]).filter((role) => gives(role, permission)).sort()
