/** Where the roles of a principal hold, and what that covers. */
import type { Binding, Principal, Role } from './remediation.ts'

/** What a call is about. Null: not one cluster or namespace, but all of them. */
export type Area = { cluster: string | null; namespace: string | null }

export const everywhere: Area = { cluster: null, namespace: null }

export const globally = (roles: readonly Role[]): Binding[] => roles.map((role) => ({ role, ...everywhere }))

/** Rows of before have no bindings: their roles hold everywhere. */
export const bindingsOf = ({ bindings, roles }: Pick<Principal, 'bindings' | 'roles'>): readonly Binding[] => bindings ?? globally(roles)

/** A binding to one place says nothing about all places, nor about a namespace of the same name elsewhere. */
export const covers = (binding: Area, { cluster, namespace }: Area): boolean =>
  (binding.cluster === null || binding.cluster === cluster) && (binding.namespace === null || binding.namespace === namespace)

export const distinctRoles = (bindings: readonly Binding[]): Role[] => [...new Set(bindings.map(({ role }) => role))].sort()

/**
 * The principal as it stands there: with the roles that hold in the area, and no others. This is what is put on
 * record and what policies see, so that a right in one namespace is never an argument in another.
 */
export function principalAt<P extends Principal>(principal: P, area: Area): P {
  const bindings = bindingsOf(principal).filter((binding) => covers(binding, area))
  return { ...principal, bindings, roles: distinctRoles(bindings) }
}

/** Where one of these roles holds: null for everywhere, an empty list for nowhere. */
export function areasWith(principal: Principal, holds: (role: Role) => boolean): Area[] | null {
  const areas = bindingsOf(principal).filter(({ role }) => holds(role)).map(({ cluster, namespace }) => ({ cluster, namespace }))
  return areas.some(({ cluster, namespace }) => cluster === null && namespace === null) ? null : areas
}

/** `role`, then where it holds: `approver` (everywhere), `approver@main`, `approver@main/shop`, or `*` for the cluster. */
const bindingForm = /^(\w+)(?:@(\*|[a-z0-9][a-z0-9-]{0,62})(?:\/(\*|[a-z0-9][a-z0-9-]{0,62}))?)?$/

/** Undefined: the text is no binding. */
export function readBinding(text: string, isRole: (word: string) => word is Role): Binding | undefined {
  const [, role = '', cluster = '*', namespace = '*'] = bindingForm.exec(text) ?? []
  return isRole(role) ? { role, cluster: orAll(cluster), namespace: orAll(namespace) } : undefined
}

const orAll = (word: string): string | null => (word === '*' ? null : word)

export const bindingText = ({ role, cluster, namespace }: Binding): string => {
  if (cluster === null && namespace === null) return role
  return namespace === null ? `${role}@${cluster}` : `${role}@${cluster ?? '*'}/${namespace}`
}

/** No e-mail and no display name: what four-eyes compares must not be anybody's to choose twice. */
export const usernameForm = /^[a-z0-9][a-z0-9._@+-]{0,127}$/

export const canonicalUsername = (text: string): string => text.trim().toLowerCase()
