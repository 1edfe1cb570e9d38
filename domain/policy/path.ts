import { prototypeKeys } from './check.ts'
import type { PolicyInput } from './input.ts'

/** What a condition may read. Approvals are left out: only obligations judge them. */
const roots = new Set(['principal', 'context', 'request', 'target', 'history'])
const plainFacts = new Set(['action', 'resource', 'type'])

const step = /(?:^|\.)([A-Za-z_][A-Za-z0-9_-]*)|\["([^"\\]+)"\]/y

/**
 * `context.labels["app.kubernetes.io/name"]` as its keys; undefined for what no request can hold.
 */
export function parseAttribute(text: string): string[] | undefined {
  const keys: string[] = []
  step.lastIndex = 0
  while (step.lastIndex < text.length) {
    const found = step.exec(text)
    if (!found) return undefined
    keys.push(found[1] ?? found[2]!)
  }
  const [root = '', ...rest] = keys
  if (keys.some((key) => prototypeKeys.has(key)) || text.startsWith('.') || text.startsWith('[')) return undefined
  return (roots.has(root) && rest.length > 0) || (plainFacts.has(root) && rest.length === 0) ? keys : undefined
}

const plainKey = /^[A-Za-z_][A-Za-z0-9_-]*$/

/** The way back from `parseAttribute`. */
export const attributeText = (keys: readonly string[]): string =>
  keys.reduce((text, key) => (plainKey.test(key) ? `${text}${text === '' ? '' : '.'}${key}` : `${text}["${key}"]`), '')

/** The value at the path, or undefined when a step is missing. Only own members count. */
export function readAttribute(input: PolicyInput, keys: readonly string[]): unknown {
  let value: unknown = input
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}
