import { compileGlob, type Glob } from '../glob.ts'
import { parseResource } from '../names.ts'
import { globPattern, textCells } from './text-cells.ts'

/** Stands for any character, or any segment, that no glob names. */
const fresh = '\u0000'
const mostCombinations = 200

/**
 * Whether everything that `inner` matches, `outer` does too. A `*` may be any text, so `outer` covers it
 * exactly when it covers a character it does not name; a `**` may be any number of segments, and past the
 * length of `outer` one more changes nothing. Given up, with no, where that takes too many tries.
 */
export function globCovers(outer: Glob, inner: Glob): boolean {
  const parts = inner.segments.map((segment) => (segment === '**' ? segment : segment.replaceAll('*', fresh)))
  const open = parts.filter((part) => part === '**').length
  const counts = outer.segments.length + 2
  if (counts ** open > mostCombinations) return false
  return Array.from({ length: counts ** open }, (_, at) => at).every((at) => outer.matches(filledIn(parts, at, counts)))
}

/** The digits of `at` to the base `counts` say how many segments each `**` stands for. */
function filledIn(parts: readonly string[], at: number, counts: number): string[] {
  let left = at
  return parts.flatMap((part) => {
    if (part !== '**') return [part]
    const count = left % counts
    left = Math.floor(left / counts)
    return Array<string>(count).fill(fresh)
  })
}

/** Whether they may match a common resource, by the segments before the first `**` of either; quick, and never no by mistake. */
export function mayMeet({ segments: a }: Glob, { segments: b }: Glob): boolean {
  for (let at = 0; at < a.length && at < b.length; at++) {
    const [one, other] = [a[at]!, b[at]!]
    if (one === '**' || other === '**') return true
    if (one !== other && !one.includes('*') && !other.includes('*')) return false
  }
  return a.length === b.length || a[b.length] === '**' || b[a.length] === '**'
}

/** Lengths tried for a resource that two globs share: that of a Kubernetes object first. */
const lengths = [5, 4, 3, 2, 6, 7, 8]
const mostWays = 24

/** What every one of the globs matches, as segments with `*` for what is free; none where none was found. */
export function commonShapes(globs: readonly Glob[]): (readonly string[])[] {
  for (const length of lengths) {
    let met: (readonly string[])[] = [Array<string>(length).fill('*')]
    for (const { segments } of globs) {
      met = met.flatMap((one) => waysOf(segments, length).map((way) => meetSegments(one, way)).filter((way) => way !== undefined)).slice(0, mostWays)
    }
    if (met.length > 0) return met
  }
  return []
}

/** The first of the shapes that names a resource once what is free is filled in. */
export const concreteResource = (shapes: readonly (readonly string[])[], globs: readonly Glob[], filler: (place: number) => string): string[] | undefined =>
  shapes
    .map((shape) => shape.map((segment, place) => (segment === '*' ? filler(place) : segment.replaceAll('*', 'x'))))
    .find((segments) => globs.every((glob) => glob.matches(segments)) && parseResource(resourceText(segments), false))

export const resourceText = ([scheme, ...rest]: readonly string[]): string => `${scheme}:${scheme === 'api' ? '/' : ''}${rest.join('/')}`

/** The glob with each `**` as so many `*` that it has this length. */
export function waysOf(segments: readonly string[], length: number): string[][] {
  const [first, ...rest] = segments
  if (first === undefined) return length === 0 ? [[]] : []
  if (first !== '**') return length === 0 ? [] : waysOf(rest, length - 1).map((tail) => [first, ...tail])
  return Array.from({ length: length + 1 }, (_, count) => waysOf(rest, length - count).map((tail) => [...Array<string>(count).fill('*'), ...tail])).flat().slice(0, mostWays)
}

function meetSegments(a: readonly string[], b: readonly string[]): string[] | undefined {
  const met = a.map((segment, place) => meetSegment(segment, b[place]!))
  return met.every((segment) => segment !== undefined) ? met : undefined
}

function meetSegment(a: string, b: string): string | undefined {
  if (a === b || b === '*') return a
  if (a === '*') return b
  const matches = (text: string) => [a, b].every((glob) => compileGlob(glob).matches([text]))
  if (!a.includes('*') || !b.includes('*')) return [a, b].find((text) => !text.includes('*') && matches(text))
  return textCells([globPattern(a)!, globPattern(b)!])?.find((text) => text !== '' && matches(text))
}
