/** Resources told apart by the globs at hand: one for every way in which they match. */
import type { Glob } from '../glob.ts'
import { resourceText } from '../lint/resources.ts'
import { exactly, globPattern, textCells } from '../lint/text-cells.ts'
import { parseResource } from '../names.ts'

/** `whole`: there is no other way. */
export type Places = { places: { segments: string[]; text: string }[]; whole: boolean }

/** Scheme, cluster, namespace, kind and name; a request may name less, and of a path of an API any number of segments. */
const [shortest, longestObject, longestPath] = [2, 5, 24]
const mostCombinations = 20_000
const mostMatches = 4_000_000

/** Resources that one of `within` matches, one for each set of all globs that match it. */
export function placesIn(within: readonly Glob[], all: readonly Glob[]): Places {
  const found = new Map<string, { segments: string[]; text: string }>()
  const textsAt = textsReader(all)
  let [left, whole] = [Math.min(mostCombinations, Math.floor(mostMatches / Math.max(1, all.length))), true]
  for (const [scheme, wanted] of [['k8s', longestObject], ['api', pathLengthOf(all)]] as const) {
    if (wanted > longestPath && within.some((glob) => isOf(glob, scheme))) whole = false
    for (let length = Math.min(wanted, longestPath); length >= shortest; length--) {
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

const isOf = ({ segments: [first = ''] }: Glob, scheme: string): boolean => first === scheme || first.includes('*')

/** A path as long as all globs can tell apart: the longest beginning, then everything that any of them asks for behind a `**`, and one more. */
function pathLengthOf(all: readonly Glob[]): number {
  const paths = all.filter((glob) => isOf(glob, 'api')).map(({ segments }) => ({ segments, open: segments.indexOf('**') }))
  const heads = paths.map(({ segments, open }) => (open < 0 ? segments.length : open))
  const behind = paths.flatMap(({ segments, open }) => (open < 0 ? [] : segments.slice(open).filter((segment) => segment !== '**')))
  return Math.max(shortest, ...heads) + behind.length + 1
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
