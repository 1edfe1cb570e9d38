import type { Target } from './remediation.ts'

/** Namespaces no list and no policy can open. */
export const protectedNamespaces: readonly string[] = ['kube-system', 'kube-public', 'kube-node-lease', 'aegis-system']

/**
 * Whether the allow-list lets Aegis act there. Entries are `namespace` or `cluster/namespace`; a
 * trailing `*` stands for the rest of the name. An empty list allows none.
 */
export function namespaceAllowed(allowed: readonly string[], { cluster, namespace }: Pick<Target, 'cluster' | 'namespace'>): boolean {
  if (protectedNamespaces.includes(namespace)) return false
  return allowed.some((entry) => {
    const slash = entry.indexOf('/')
    if (slash === -1) return matches(entry, namespace)
    return matches(entry.slice(0, slash), cluster) && matches(entry.slice(slash + 1), namespace)
  })
}

const matches = (pattern: string, text: string): boolean =>
  pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : text === pattern
