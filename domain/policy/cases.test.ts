import { createHash } from 'node:crypto'
import { wallClock } from '../../adapters/policies/zones.ts'
import { parseCase, runCase, type PolicyCase } from './cases.ts'
import { coverageOf } from './coverage.ts'
import { compileSnapshot } from './snapshot.ts'
import { read } from './testing/arbitraries.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const policy = (id: string, given: Record<string, unknown>) => read({ apiVersion: 'aegis.dev/policy/v1', actions: ['*'], resources: ['**'], ...given }, id)
const small = compileSnapshot([
  policy('small', { effect: 'allow', when: { all: [{ attr: 'request.replicas', op: 'lte', value: 4 }, { not: { attr: 'context.labels.team', op: 'exists' } }] } }),
  policy('never', { effect: 'deny', actions: ['node:*'] }),
], { sha256, wallClock })

const written = {
  apiVersion: 'aegis.dev/policy-test/v1',
  name: 'four is few',
  now: '2026-06-03T12:00:00Z',
  request: { action: 'scale_up', resource: 'k8s:main/shop/deployment/web', request: { replicas: 4 } },
  expect: { proceed: 'act', code: 'allowed', determining: ['small'] },
}
const parsed = (change: object = {}): PolicyCase => {
  const { test: found, problems } = parseCase({ ...written, ...change }, 'test')
  if (!found) throw new Error(JSON.stringify(problems))
  return found
}

describe('a test of policies', () => {
  test('passes when the answer, its code and its reasons are as wanted', () => {
    expect(runCase(small, parsed())).toMatchObject({ ok: true, proceed: 'act', code: 'allowed', determining: ['small'], failures: [] })
  })

  test('says what came out instead, line by line', () => {
    const wrong = parsed({ request: { ...written.request, request: { replicas: 5 } } })
    expect(runCase(small, wrong)).toMatchObject({
      ok: false,
      failures: ['proceed: wanted act, found deny', 'code: wanted allowed, found no_policy_matched', 'determining: wanted small, found none'],
      message: expect.stringContaining('request.replicas is 5, wanted lte 4'),
    })
  })

  test('a request that cannot be read is a denial, not a crash', () => {
    const odd = parsed({ request: { ...written.request, principal: 'me' }, expect: { proceed: 'deny', code: 'malformed_request' } })
    expect(runCase(small, odd).ok).toBe(true)
  })

  test.each<[string, object, string]>([
    ['a misspelt field', { expct: {} }, 'expct'],
    ['a time without a zone', { now: '2026-06-03T12:00' }, 'now'],
    ['an answer that there is not', { expect: { proceed: 'allow' } }, 'expect.proceed'],
    ['an empty list of reasons', { expect: { proceed: 'deny', determining: [] } }, 'expect.determining'],
    ['no action', { request: { resource: 'k8s:a/b/pod/c' } }, 'request.action'],
    ['facts that are none', { request: { ...written.request, context: 'high' } }, 'request.context'],
  ])('is refused with the place for %s', (_what, change, place) => {
    expect(parseCase({ ...written, ...change }, 'test').problems?.map(({ path }) => path.join('.'))).toContain(place)
  })
})

describe('coverage', () => {
  const input = (request: object, context: object = {}) => parsed({ request: { ...written.request, request, context } }).input

  test('names policies that never matched and answers that no condition gave', () => {
    expect(coverageOf(small, [input({ replicas: 4 })])).toEqual({
      policies: 2,
      neverMatched: ['never'],
      leaves: 2,
      uncovered: [
        { policy: 'small', path: 'when.all[0]', wanted: 'lte 4', unseen: [false, 'unknown'] },
        { policy: 'small', path: 'when.all[1].not', wanted: 'exists', unseen: [true] },
      ],
    })
  })

  test('is whole when every condition was true, false and, where it can be, unknown', () => {
    const inputs = [input({ replicas: 4 }), input({ replicas: 9 }), input({}, { labels: { team: 'a' } })]
    expect(coverageOf(small, inputs).uncovered).toEqual([])
  })

  test('counts for the policy that was asked, not for another that says the same elsewhere', () => {
    const when = { attr: 'request.replicas', op: 'lte', value: 4 }
    const twins = compileSnapshot([policy('here', { effect: 'allow', when }), policy('there', { effect: 'allow', resources: ['k8s:other/**'], when })], { sha256, wallClock })
    const inputs = [{ replicas: 4 }, { replicas: 5 }, {}].map((request) => input(request))
    expect(coverageOf(twins, inputs)).toMatchObject({ neverMatched: ['there'], uncovered: [{ policy: 'there', unseen: [true, false, 'unknown'] }] })
  })
})
