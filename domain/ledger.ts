import { canonicalJson } from './canonical.ts'
import type { Sha256 } from './digest.ts'
import type { ActionName, Principal, Target } from './remediation.ts'

export type LedgerActor = { id: string; kind: Principal['kind'] | 'system'; owner: string }

/** What an entry is about; the same in every entry of a remediation. */
export type LedgerSubject = Target & { action: ActionName }

/**
 * One record. A stream is a chain of its own: a remediation's id, or a subject such as `freeze`.
 * `key` names the step, once per stream. `at` is database time. `prev` is the hash of the entry
 * before it in the stream, null for the first.
 */
export type LedgerEntry = {
  v: 1
  stream: string
  seq: number
  key: string
  kind: string
  at: string
  about: LedgerSubject | null
  actor: LedgerActor
  body: Record<string, unknown>
  prev: string | null
}

/** Entries are stored as this text and nothing else; it may take this many bytes of UTF-8. */
export const entryLimitBytes = 65_536

export const entryText = (entry: LedgerEntry): string => canonicalJson(entry)

export const entryHash = (text: string, sha256: Sha256): string => `sha256:${sha256(text)}`

/** What the hash of an entry's deterministic id covers (see `deterministicUuid`). */
export const entryIdText = (stream: string, key: string): string => `${stream}\n${key}`

/**
 * Checks one stream, given as its texts in order from the first. Returns the sequence number at which
 * it breaks (edited, dropped, inserted or reordered shows there), or undefined when it holds.
 */
export function firstBrokenLink(texts: readonly string[], sha256: Sha256): number | undefined {
  let prev: string | null = null
  let stream: unknown
  for (const [index, text] of texts.entries()) {
    const seq = index + 1
    const entry = parseEntry(text)
    stream ??= entry?.['stream']
    if (!entry || entry['v'] !== 1 || entry['seq'] !== seq || entry['prev'] !== prev || entry['stream'] !== stream) return seq
    prev = entryHash(text, sha256)
  }
  return undefined
}

/** Undefined for a text that is no object, or that says the same as another text would. */
function parseEntry(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return canonicalJson(value) === text ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
