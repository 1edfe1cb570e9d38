/** Resources told apart by the globs at hand: one for every way in which they match. */
import type { Glob } from '../glob.ts'
import { resourceText } from '../lint/resources.ts'
import { exactly, globPattern, textCells } from '../lint/text-cells.ts'
import { parseResource } from '../names.ts'

/** `whole`: there is no other way. */
export type Places = { places: { segments: string[]; text: string }[]; whole: boolean }

const schemes: Readonly<Record<string, { shortest: number; longest: number }>> = {
  // Cluster, namespace, kind and name; a request may name less.
  k8s: { shortest: 2, longest: 5 },
  api: { shortest: 2, longest: 10 },
}
const mostCombinations = 20_000
const mostMatches = 4_000_000

/** Resources that one of `within` matches, one for each set of all globs that match it. */
export function placesIn(within: readonly Glob[], all: readonly Glob[]): Places {
  const found = new Map<string, { segments: string[]; text: string }>()
  const textsAt = textsReader(all)
  let [left, whole] = [Math.min(mostCombinations, Math.floor(mostMatches / Math.max(1, all.length))), true]
  for (const [scheme, { shortest, longest }] of Object.entries(schemes)) {
    for (let length = longest; length >= shortest; length--) {
      for (const glob of within) {
        const ways = choicesOf(glob, textsAt, scheme, length)
        if (ways === undefined) whole = false
        else if (product(ways) > left) whole = false
        else {
          left -= product(ways)
          for (const segments of combined(ways)) whole = note(segments, glob, all, found) && whole
        }
      }
    }
  }
  return { places: [...found.values()], whole }
}

/** False for a dot alone: it is no segment, and stands for others that are. */
function note(segments: string[], glob: Glob, all: readonly Glob[], found: Map<string, { segments: string[]; text: string }>): boolean {
  if (!glob.matches(segments)) return true
  const text = resourceText(segments)
  const read = parseResource(text, false)
  if (!read) return !segments.some((segment) => segment === '.' || segment === '..')
  const key = all.map((one) => (one.matches(segments) ? '1' : '0')).join('')
  if (!found.has(key)) found.set(key, { segments, text })
  return true
}

/** For each place of a resource of this length the texts that the globs tell apart there; none where the glob has no such length. */
function choicesOf(glob: Glob, textsAt: ReturnType<typeof textsReader>, scheme: string, length: number): string[][] | undefined {
  const open = glob.segments.includes('**')
  if (open ? glob.segments.length - glob.segments.filter((segment) => segment === '**').length > length : glob.segments.length !== length) return []
  const ways: string[][] = []
  for (let place = 0; place < length; place++) {
    const own = open && place >= glob.segments.indexOf('**') ? '*' : glob.segments[place]!
    const texts = place === 0 ? [scheme] : textsAt(own, scheme, place)
    if (texts === undefined) return undefined
    ways.push(texts)
  }
  return ways
}

/** The same place is asked about for every length, and by many globs. */
function textsReader(all: readonly Glob[]): (own: string, scheme: string, place: number) => string[] | undefined {
  const known = new Map<string, string[] | undefined>()
  return (own, scheme, place) => {
    const key = `${scheme} ${place} ${own}`
    if (!known.has(key)) known.set(key, segmentTexts(own, all.flatMap((one) => segmentsAt(one, place)), fillers[scheme]?.[place]))
    return known.get(key)
  }
}

/** What a glob may ask of the segment at a place: past its first `**` any of those that follow. */
function segmentsAt({ segments }: Glob, place: number): string[] {
  const open = segments.indexOf('**')
  if (open < 0 || place < open) return segments[place] === undefined ? [] : [segments[place]]
  return segments.slice(open + 1).filter((segment) => segment !== '**')
}

const fillers: Readonly<Record<string, readonly string[]>> = { k8s: ['', 'main', 'shop', 'deployment', 'web'], api: ['', 'api', 'v1'] }

/** One text for each way in which the patterns match it; `own` has to. */
function segmentTexts(own: string, patterns: readonly string[], filler = 'x'): string[] | undefined {
  if (!own.includes('*')) return [own]
  const different = [...new Set(patterns)].filter((pattern) => pattern !== '*')
  const [wild, plain] = [different.filter((pattern) => pattern.includes('*')), different.filter((pattern) => !pattern.includes('*'))]
  if (wild.length === 0 && own === '*') return [freshText(plain, filler), ...plain]
  const texts = textCells([globPattern(own)!, ...wild.map((pattern) => globPattern(pattern)!), ...plain.map(exactly)], false)
  return texts && [...new Set([...plain, ...texts.filter((text) => !text.includes('/'))])]
}

const freshText = (known: readonly string[], filler: string): string => {
  let text = filler
  while (known.includes(text)) text += 'x'
  return text
}

const product = (ways: readonly string[][]): number => ways.reduce((count, { length }) => count * length, 1)

const combined = (ways: readonly string[][]): string[][] =>
  ways.length === 0 ? [] : ways.reduce<string[][]>((found, texts) => found.flatMap((before) => texts.map((text) => [...before, text])), [[]])
