import type { Target } from './remediation.ts'

/** Namespaces no list and no policy can open. */
export const protectedNamespaces: readonly string[] = ['kube-system', 'kube-public', 'kube-node-lease', 'aegis-system']

/**
 * Whether the allow-list lets Aegis act there. Entries are `namespace` or `cluster/namespace`; a
 * trailing `*` stands for the rest of the name. An empty list allows none.
 */
export const namespaceAllowed = (allowed: readonly string[], place: Place): boolean =>
  !protectedNamespaces.includes(place.namespace) && namespaceListed(allowed, place)

type Place = Pick<Target, 'cluster' | 'namespace'>

/** Whether a list in that form names the place, protected or not. An empty one names none. */
export function namespaceListed(entries: readonly string[], { cluster, namespace }: Place): boolean {
  return entries.some((entry) => {
    const slash = entry.indexOf('/')
    if (slash === -1) return matches(entry, namespace)
    return matches(entry.slice(0, slash), cluster) && matches(entry.slice(slash + 1), namespace)
  })
}

const matches = (pattern: string, text: string): boolean =>
  pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : text === pattern
