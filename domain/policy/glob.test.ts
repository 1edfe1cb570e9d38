import fc from 'fast-check'
import { compileGlob } from './glob.ts'
import { canonicalAction, completeResource, parseResource } from './names.ts'
import { slowGlob } from './testing/reference.ts'

const segment = fc.string({ unit: fc.constantFrom('a', 'b', '*'), minLength: 1, maxLength: 5 }).map((text) => text.replaceAll('**', '*'))
const pattern = fc.array(fc.oneof(segment, fc.constant('**')), { minLength: 1, maxLength: 5 })
const text = fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 6 })

test('every glob matches what a backtracking matcher matches', () => {
  fc.assert(
    fc.property(pattern, text, (segments, given) => {
      expect(compileGlob(segments.join('/')).matches(given)).toBe(slowGlob(segments, given))
    }),
    { numRuns: 20_000 },
  )
})

test('texts made to hurt a matcher cost no more than their length', () => {
  const within = compileGlob(`${'a*'.repeat(60)}b`)
  const across = compileGlob(`${'**/a/'.repeat(50)}b`)
  const before = process.cpuUsage()
  for (let i = 0; i < 100; i++) {
    expect(within.matches(['a'.repeat(250)])).toBe(false)
    expect(across.matches(Array.from({ length: 120 }, () => 'a'))).toBe(false)
  }
  expect(process.cpuUsage(before).user).toBeLessThan(500_000) // µs; other work on the machine does not count
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
