/**
 * The stamp: which remediations changed an object last, in one annotation written with the change
 * itself, so that a retry which finds its own id knows that it has landed.
 */
export const stampAnnotation = 'aegis.dev/last-remediations'

/** On an eviction, which leaves no object to stamp: found in the audit log. */
export const evictionAnnotation = 'aegis.dev/remediation'

export const stampPhases = ['applied', 'undone', 'abandoned'] as const
export type StampPhase = (typeof stampPhases)[number]
export type Stamp = { id: string; phase: StampPhase }

/** Room for the remediations of a busy day; an annotation must stay small. */
const stampLimit = 10
export const longestId = 64

/** Oldest first. Whatever is not a list of stamps counts as none and is replaced by the next one. */
export function parseStamps(annotation: string | null | undefined): Stamp[] {
  if (!annotation) return []
  try {
    const value: unknown = JSON.parse(annotation)
    return Array.isArray(value) ? value.filter(isStamp).map(({ id, phase }) => ({ id, phase })).slice(-stampLimit) : []
  } catch {
    return []
  }
}

/** The annotation's next text: this remediation as the newest, with its latest phase only. */
export const withStamp = (existing: readonly Stamp[], id: string, phase: StampPhase): string =>
  JSON.stringify([...existing.filter((stamp) => stamp.id !== id), { id, phase }].slice(-stampLimit))

export const stampOf = (stamps: readonly Stamp[], id: string): StampPhase | undefined => stamps.findLast((stamp) => stamp.id === id)?.phase

function isStamp(value: unknown): value is Stamp {
  if (typeof value !== 'object' || value === null) return false
  const { id, phase } = value as Record<string, unknown>
  return typeof id === 'string' && id.length > 0 && id.length <= longestId && (stampPhases as readonly unknown[]).includes(phase)
}
