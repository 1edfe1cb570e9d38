/**
 * Texts by which patterns they match: one shortest text for every combination that occurs. All patterns are
 * walked at once, a character at a time, so that what is not found does not exist.
 */
import { freshEffort, spend, type Effort } from './effort.ts'

/** A literal character, `*` (any run without `/`) or `any` (any run at all). */
type Token = { char: string } | { run: 'segment' | 'any' }

/** A text matches when one of the alternatives does. */
export type TextPattern = readonly (readonly Token[])[]

const literal = (text: string): Token[] => [...text].map((char) => ({ char }))
const any: Token = { run: 'any' }

export const exactly = (text: string): TextPattern => [literal(text)]
export const beginsWith = (text: string): TextPattern => [[...literal(text), any]]
export const endsWith = (text: string): TextPattern => [[any, ...literal(text)]]
export const includes = (text: string): TextPattern => [[any, ...literal(text), any]]

const mostDoubleStars = 3

/** A glob over `/`-separated segments, or undefined with more than three `**`. */
export function globPattern(text: string): TextPattern | undefined {
  const segments = text.split('/')
  if (segments.filter((segment) => segment === '**').length > mostDoubleStars) return undefined
  return withoutDoubleStars(segments).flatMap((parts) => (parts.length === 0 ? [] : [joined(parts)]))
}

/** Each `**` is either no segment at all or one run of anything. */
function withoutDoubleStars([first, ...rest]: readonly string[]): string[][] {
  if (first === undefined) return [[]]
  return withoutDoubleStars(rest).flatMap((tail) => (first === '**' ? [tail, ['**', ...tail]] : [[first, ...tail]]))
}

const joined = (segments: readonly string[]): Token[] =>
  segments.flatMap((segment, at) => [...(at > 0 ? literal('/') : []), ...(segment === '**' ? [any] : segmentTokens(segment))])

const segmentTokens = (segment: string): Token[] =>
  [...segment].map((char) => (char === '*' ? { run: 'segment' as const } : { char }))

/** Places within one alternative at which the walk may stand. */
type Places = readonly number[]

/** A run may be left before it has taken anything. */
function withSkips(tokens: readonly Token[], places: Iterable<number>): Places {
  const found = new Set<number>()
  for (const place of places) {
    let at = place
    found.add(at)
    while (at < tokens.length && 'run' in tokens[at]!) found.add(++at)
  }
  return [...found].sort((a, b) => a - b)
}

function step(tokens: readonly Token[], places: Places, char: string): Places {
  const next = new Set<number>()
  for (const place of places) {
    const token = tokens[place]
    if (token === undefined) continue
    if ('char' in token) {
      if (token.char === char) next.add(place + 1)
    } else if (token.run === 'any' || char !== '/') next.add(place)
  }
  return withSkips(tokens, next)
}

const mostStates = 2_000
/** Steps of one alternative by one character. */
const mostSteps = 200_000
const stepUnits = 0.5
const mostCells = 256

/** A character that no pattern names stands for all of those. */
function freshOf(known: ReadonlySet<string>): string {
  for (let code = 0x78; ; code++) {
    const char = String.fromCharCode(code)
    if (!known.has(char)) return char
  }
}

/** One text for each combination of patterns that some text matches, also the empty one if told so; undefined when there are too many. */
export function textCells(patterns: readonly TextPattern[], mayBeEmpty = true, effort: Effort = freshEffort()): string[] | undefined {
  const alternatives = patterns.flatMap((pattern, of) => pattern.map((tokens) => ({ tokens, of })))
  const named = new Set(alternatives.flatMap(({ tokens }) => tokens.flatMap((token) => ('char' in token ? [token.char] : []))))
  const alphabet = [freshOf(named), ...named, ...(named.has('/') ? [] : ['/'])]
  const texts = new Map<string, string>()
  const seen = new Set<string>()
  type Walk = { text: string; places: Places[] }
  const steps = ({ text, places }: Walk): Walk[] =>
    alphabet.map((char) => ({ text: text + char, places: alternatives.map(({ tokens }, at) => step(tokens, places[at]!, char)) }))
  const start: Walk = { text: '', places: alternatives.map(({ tokens }) => withSkips(tokens, [0])) }
  let front = mayBeEmpty ? [start] : steps(start)
  while (front.length > 0) {
    const next: Walk[] = []
    for (const walk of front) {
      const { text, places } = walk
      const key = places.join(';')
      if (seen.has(key)) continue
      seen.add(key)
      const matched = new Set(alternatives.flatMap(({ tokens, of }, at) => (places[at]!.includes(tokens.length) ? [of] : [])))
      const cell = [...matched].sort((a, b) => a - b).join()
      if (!texts.has(cell)) texts.set(cell, text)
      if (!spend(effort, alphabet.length * alternatives.length * stepUnits) || seen.size > mostStates || seen.size * alphabet.length * alternatives.length > mostSteps || texts.size > mostCells) return undefined
      next.push(...steps(walk))
    }
    front = next
  }
  return [...texts.values()]
}
