import type { PreflightCard } from '../plan.ts'
import { redact, type KeyedDigest } from '../redact.ts'

export type Diff = PreflightCard['diff']

/** Values below these keys are always digests: configuration is where secrets hide. */
const secretive = new Set(['env', 'envFrom', 'data', 'stringData', 'binaryData'])
const longestValue = 200
const longestDiff = 200

/**
 * Which leaves differ, as JSON Pointers, with redacted values. Lists of things with names are compared
 * by name, as people read them, others by place. Never throws for plain JSON.
 */
export function diffOf(before: unknown, after: unknown, digest: KeyedDigest): Diff {
  const [old, next] = [leavesOf(before), leavesOf(after)]
  const changed = [...new Set([...old.keys(), ...next.keys()])].filter((path) => old.get(path)?.text !== next.get(path)?.text)
  const shown = changed.slice(0, longestDiff).map((path) => ({ path, before: show(old.get(path), digest), after: show(next.get(path), digest) }))
  const left = changed.length - shown.length
  return left > 0 ? [...shown, { path: '', before: null, after: `… and ${left} more` }] : shown
}

type Leaf = { keys: readonly string[]; text: string }

function leavesOf(value: unknown, keys: readonly string[] = [], leaves = new Map<string, Leaf>()): Map<string, Leaf> {
  const members = membersOf(value)
  if (members.length === 0) {
    if (value !== undefined && value !== null) leaves.set(pathOf(keys), { keys, text: textOf(value) })
    return leaves
  }
  for (const [key, inner] of members) leavesOf(inner, [...keys, key], leaves)
  return leaves
}

function membersOf(value: unknown): [string, unknown][] {
  if (Array.isArray(value)) {
    const names = value.map(nameOf)
    const byName = names.every((name) => name !== undefined) && new Set(names).size === names.length
    return value.map((item, index) => [byName ? (names[index] ?? '') : String(index), item])
  }
  return typeof value === 'object' && value !== null ? Object.entries(value) : []
}

const nameOf = (item: unknown): string | undefined => {
  const name = typeof item === 'object' && item !== null ? (item as { name?: unknown }).name : undefined
  return typeof name === 'string' ? name : undefined
}

const pathOf = (keys: readonly string[]): string => keys.map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

function show(leaf: Leaf | undefined, digest: KeyedDigest): string | null {
  if (!leaf) return null
  const { keys, text } = leaf
  if (keys.some((key) => secretive.has(key)) || text.length > longestValue) return digest(text)
  const nested = keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), text)
  return keys.reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], redact(nested, digest)) as string
}
