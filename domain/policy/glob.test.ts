import fc from 'fast-check'
import { printedSeed } from '../../tests/helpers/draw.ts'
import { compileGlob } from './glob.ts'
import { canonicalAction, completeResource, parseResource } from './names.ts'
import { slowGlob } from './testing/reference.ts'

const seed = printedSeed('globs')

const segment = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 5 }).map((text) => text.replaceAll('**', '*'))
const pattern = fc.array(fc.oneof(segment, fc.constant('**')), { minLength: 1, maxLength: 5 })
const text = fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 })

test('every glob matches what a backtracking matcher matches', () => {
  fc.assert(
    fc.property(pattern, text, (segments, given) => {
      expect(compileGlob(segments.join('/')).matches(given)).toBe(slowGlob(segments, given))
    }),
    { numRuns: 20_000, seed },
  )
})

// --- Work, counted: however long the text, each character and each segment is looked at a bounded number of times ---

/** Segments that tell how often one of them was read. */
function watchedSegments(segments: readonly string[]): { given: readonly string[]; looked: () => number } {
  let looked = 0
  const given = new Proxy(segments, {
    get(all, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) looked += 1
      return Reflect.get(all, key) as unknown
    },
  })
  return { given, looked: () => looked }
}

/** A text that tells how many characters were compared. */
function watchedText(text: string): { given: string; looked: () => number } {
  let looked = 0
  const watch = (part: string): object => ({
    length: part.length,
    slice: (from: number, to: number) => watch(part.slice(from, to)),
    startsWith: (piece: string) => ((looked += piece.length), part.startsWith(piece)),
    endsWith: (piece: string) => ((looked += piece.length), part.endsWith(piece)),
    indexOf(piece: string, at: number) {
      const found = part.indexOf(piece, at)
      looked += (found < 0 ? part.length : found + piece.length) - at
      return found
    },
  })
  return { given: watch(text) as unknown as string, looked: () => looked }
}

const times = fc.integer({ min: 1, max: 12 })
const length = fc.constantFrom(8, 16, 32, 64, 128, 256)
const letters = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 3 })

test('within a segment a text costs its own length and the glob’s, however the glob is made', () => {
  fc.assert(fc.property(letters, letters, times, letters, length, (piece, end, stars, unit, long) => {
    const pattern = `${`${piece}*`.repeat(stars)}${end}`
    const { given, looked } = watchedText(unit.repeat(long))
    compileGlob(pattern).matches([given])
    expect(looked()).toBeLessThanOrEqual(unit.length * long + pattern.length)
  }), { numRuns: 20_000, seed })
})

test('across segments a text costs its length times the longest run between two `**`', () => {
  const run = fc.array(fc.constantFrom('a', 'b', '*'), { minLength: 1, maxLength: 3 })
  fc.assert(fc.property(fc.array(run, { minLength: 1, maxLength: 12 }), letters, length, (runs, unit, long) => {
    const { given, looked } = watchedSegments(Array.from({ length: long }, (_, at) => unit[at % unit.length]!))
    compileGlob(runs.map((one) => one.join('/')).join('/**/')).matches(given)
    expect(looked()).toBeLessThanOrEqual(long * Math.max(...runs.map((one) => one.length)) + runs.flat().length)
  }), { numRuns: 20_000, seed })
})

test.each([
  ['k8s:prod/**', 'k8s:prod/shop/pod/a', true],
  ['k8s:prod/**', 'k8s:prod', true],
  ['k8s:prod/**', 'k8s:prod-eu/shop/pod/a', false],
  ['k8s:*/demo-*/pod/**', 'k8s:b/demo-c/pod/web-1', true],
  ['k8s:*/demo-*/pod/**', 'k8s:b/demo-c/deployment/web', false],
  ['k8s:*', 'k8s:prod/shop/pod/a', false],
  ['**', 'api:/api/v1/users', true],
  ['k8s:**', 'api:/api/v1/users', false],
  ['api:/api/v1/users/*', '/api/v1/users/7', true],
  ['/api/v1/users/*', 'api:/api/v1/users/7', true],
  ['cluster:prod', 'k8s:prod/shop/pod/a', true],
])('%s on %s: %s', (glob, resource, expected) => {
  const { segments } = parseResource(glob, true)!
  expect(compileGlob(glob, segments).matches(parseResource(resource, false)!.segments)).toBe(expected)
})

test.each(['k8s:', 'k8s:a//pod/x', 'k8s:a/b/Pod/x', 'k8s:a/b/pod/x/y', 'k8s:a/*/pod/x', 'pod:x', 'api:/a/../b', 'ftp:x', '', 'k8s:a b'])(
  'no request names `%s`',
  (resource) => expect(parseResource(resource, false)).toBeUndefined(),
)

test('a short name is completed by the request, never by guessing', () => {
  expect(completeResource('pod:x', { cluster: 'a', namespace: 'b' })).toBe('k8s:a/b/pod/x')
  expect(completeResource('pod:x', { namespace: 'b' })).toBe('pod:x')
})

test.each([
  ['restart_pod', 'pod:restart'],
  ['scale_up', 'deployment:scale'],
  ['pod:restart', 'pod:restart'],
  ['pod', undefined],
  ['pod:*', undefined],
  ['Pod:restart', undefined],
  ['constructor', undefined],
])('the action `%s` is %s', (given, expected) => expect(canonicalAction(given, false)).toBe(expected))
