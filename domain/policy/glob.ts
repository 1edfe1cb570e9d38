/**
 * Globs over `/`-separated segments. `*` stands for any run of characters within one segment, `**`
 * for any number of whole segments, none included. No `?`, no classes, no regular expressions.
 * Matching is greedy from the left, which is exact for these two wildcards and never backtracks.
 */
export type Glob = { readonly text: string; readonly segments: readonly string[]; matches(segments: readonly string[]): boolean }

export function compileGlob(text: string, segments: readonly string[] = text.split('/')): Glob {
  const runs = splitRuns(segments)
  return { text, segments, matches: (given) => matchRuns(runs, given) }
}

/** Whether `**` is misused: it may only be a whole segment. */
export const misplacedDoubleStar = (segments: readonly string[]): boolean =>
  segments.some((segment) => segment.includes('**') && segment !== '**')

type SegmentTest = (segment: string) => boolean

/** The segments between `**`s. Each run matches exactly as many segments as it has tests. */
function splitRuns(segments: readonly string[]): SegmentTest[][] {
  const runs: SegmentTest[][] = [[]]
  for (const segment of segments) {
    if (segment === '**') runs.push([])
    else runs[runs.length - 1]!.push(compileSegment(segment))
  }
  return runs
}

function matchRuns(runs: readonly SegmentTest[][], given: readonly string[]): boolean {
  const first = runs[0]!
  if (runs.length === 1) return given.length === first.length && runMatches(first, given, 0)
  const last = runs[runs.length - 1]!
  const lastStart = given.length - last.length
  if (first.length > lastStart || !runMatches(first, given, 0) || !runMatches(last, given, lastStart)) return false
  let at = first.length
  for (const run of runs.slice(1, -1)) {
    at = firstMatch(run, given, at, lastStart)
    if (at < 0) return false
  }
  return true
}

/** Where the run ends at its leftmost match within [from, end), or -1. */
function firstMatch(run: SegmentTest[], given: readonly string[], from: number, end: number): number {
  for (let at = from; at + run.length <= end; at++) if (runMatches(run, given, at)) return at + run.length
  return -1
}

function runMatches(run: readonly SegmentTest[], given: readonly string[], at: number): boolean {
  for (let i = 0; i < run.length; i++) if (!run[i]!(given[at + i]!)) return false
  return true
}

/** One segment: literal pieces between `*`s, each found at its leftmost place. */
function compileSegment(segment: string): SegmentTest {
  if (segment === '*') return () => true
  const pieces = segment.split('*')
  if (pieces.length === 1) return (given) => given === segment
  const head = pieces[0]!
  const tail = pieces[pieces.length - 1]!
  const middle = pieces.slice(1, -1).filter((piece) => piece !== '')
  return (given) => {
    if (given.length < head.length + tail.length || !given.startsWith(head) || !given.endsWith(tail)) return false
    return piecesInOrder(middle, given.slice(head.length, given.length - tail.length))
  }
}

function piecesInOrder(pieces: readonly string[], text: string): boolean {
  let at = 0
  for (const piece of pieces) {
    const found = text.indexOf(piece, at)
    if (found < 0) return false
    at = found + piece.length
  }
  return true
}
