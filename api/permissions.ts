import type { Role } from '../domain/remediation.ts'

export const permissions = [
  'remediations:create',
  'remediations:read',
  'remediations:answer',
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
  'config:read',
] as const
export type Permission = (typeof permissions)[number]

const look: readonly Permission[] = ['remediations:read', 'freeze:read', 'autonomy:read', 'policy:read', 'policy:evaluate']

/** Who may do what. Stopping is easier than starting again: an approver may freeze and demote, an admin lifts and promotes. */
export const granted: Record<Role, readonly Permission[]> = {
  user: [...look, 'remediations:create'],
  service: [...look, 'remediations:create', 'alerts:send', 'policy:evaluate-others'],
  approver: [...look, 'remediations:create', 'remediations:answer', 'freeze:set', 'autonomy:demote', 'policy:except', 'policy:agree'],
  auditor: [...look, 'audit:read', 'policy:simulate'],
  admin: permissions,
}

export const allows = (roles: readonly Role[], permission: Permission): boolean => roles.some((role) => granted[role].includes(permission))

export const rolesWith = (permission: Permission): Role[] =>
  (Object.keys(granted) as Role[]).filter((role) => granted[role].includes(permission)).sort()
