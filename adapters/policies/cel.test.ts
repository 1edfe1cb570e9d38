import { coverageOf } from '../../domain/policy/coverage.ts'
import { decide } from '../../domain/policy/decide.ts'
import type { Facts, PolicyInput } from '../../domain/policy/input.ts'
import { simulation } from '../../domain/policy/simulate.ts'
import { compileCel } from './cel.ts'
import { compileDocuments } from './files.ts'

const facts: Facts = {
  severity: 'high', namespace: 'shop', attempt: 1, nothing: null, share: 33.5,
  tags: ['a', 'b'], workload: { kind: 'deployment', name: 'web' }, labels: { 'app.kubernetes.io/name': 'web' },
}
const input = (context: Facts = facts, now = Date.UTC(2026, 5, 3, 12, 30, 45)): PolicyInput => ({
  principal: { id: 'watcher', kind: 'service', owner: 'ann', roles: ['service'] },
  action: 'deployment:scale', resource: 'k8s:prod/shop/deployment/web', type: 'self_healing',
  context, request: { replicas: 4, deltaReplicas: 2 }, target: { ready: 2, desired: 2 }, history: { sinceLastActionMs: null },
  approvals: [], now, tzdata: 'test',
})
const ask = (expression: string, given = input()) => {
  const { test, problem } = compileCel(expression)
  if (!test) throw new Error(`refused: it ${problem}`)
  return test.evaluate(given)
}
/** CPU time, so that other work on the machine does not count. */
function cpuMs(work: () => void): number {
  const before = process.cpuUsage()
  work()
  return process.cpuUsage(before).user / 1000
}

test.each<[string, true | false | 'unknown']>([
  ['request.replicas <= target.desired * 2', true],
  ['context.share > 33 && context.share < 34.0', true],
  ['principal.roles.exists(role, role == "admin")', false],
  ['context.labels["app.kubernetes.io/name"].matches("^w[a-z]{2}$")', true],
  ['has(context.workload) && context.workload.name in ["web", "api"]', true],
  ['action == "deployment:scale" && resource.endsWith("/web") && type != "api_access"', true],
  ['now.getHours("Europe/Berlin") == 14 && now.getMinutes() == 30 && now.getSeconds() == 0', true],
  ['now.getDayOfWeek("Europe/Berlin") == 3 && now.getDayOfYear("UTC") == 153 && now.getMonth() == 5 && now.getDate() == 3', true],
  ['now < timestamp("2026-06-03T12:31:00Z") && now + duration("1m") > timestamp("2026-06-03T12:30:59Z")', true],
  ['now > timestamp(1780000000) && now < timestamp(1790000000)', true], // seconds
  ['context.severity > "critical"', true], // words compare as text: `critical` comes before `high`
  ['context.missing == 1', 'unknown'],
  ['context.nothing == null', 'unknown'],
  ['has(context.nothing)', false],
  ['history.sinceLastActionMs > 5', 'unknown'],
  ['context.severity > 3', 'unknown'],
  ['context.attempt', 'unknown'],
  ['request.replicas / 0 == 1', 'unknown'],
  ['context.missing == 1 || action == "deployment:scale"', true],
  ['context.missing == 1 && action == "pod:restart"', false],
  ['!(context.missing == 1)', 'unknown'],
  ['now.getHours("Europe/Berln") == 14', 'unknown'],
  ['now.getHours("+02:00") == 14', 'unknown'], // an offset is no zone: it knows no summer time
  ['context.severity + context.namespace == "highshop"', 'unknown'],
  ['context[context.severity] == 1', 'unknown'],
])('%s is %s', (expression, expected) => expect(ask(expression)).toBe(expected))

test.each([
  ['a fact there is none of', 'approvals.size() > 0', '`approvals` is no fact'],
  ['a misspelt function', 'context.namespace.startWith("a")', '`startWith` is no function here'],
  ['a message', 'google.protobuf.Duration{seconds: 1} == duration("1s")', 'builds a `google.protobuf.Duration`'],
  ['two loops', 'context.tags.all(x, x == "a") && context.tags.exists(x, x == "b")', 'more than one of all'],
  ['six nested loops', `${'context.tags.all(x, '.repeat(6)}true${')'.repeat(6)}`, 'more than one of all'],
  ['22 doublings', `${'[context.tags]'}${'.map(x, x + x)'.repeat(22)}.size() > 0`, 'more than one of all'],
  ['text put together', 'context.severity + "x" == "highx"', 'joins text with `+`'],
  ['a pattern out of a fact', 'context.namespace.matches(context.severity)', 'needs the pattern of `matches` written out'],
  ['a pattern in a loop', 'context.tags.all(x, x.matches("a+"))', 'has `matches` inside of all'],
  ['a pattern that is none', 'context.namespace.matches("(a")', 'has a pattern that is not RE2'],
  ['a pattern that looks back', 'context.namespace.matches("(a)\\\\1")', 'has a pattern that is not RE2'],
  ['a pattern repeated by count', 'context.namespace.matches("((a?){30}){30}")', 'repeats more than 32 times'],
  ['a long pattern', `context.namespace.matches("${'a'.repeat(129)}")`, 'longer than 128'],
  ['many patterns', Array(5).fill('action.matches("a")').join(' || '), 'more than 4 patterns'],
  ['201 nodes', Array(101).fill('1').join(' + '), 'more than 200 parts'],
  ['deep brackets', '('.repeat(500), 'is no CEL expression: it nests too deep'],
  ['half an expression', 'context.a ==', 'is no CEL expression: 1:'],
  ['__proto__', 'context.__proto__.x == 1', '`__proto__` names no fact'],
  ['constructor', 'context["constructor"] == 1', '`constructor` names no fact'],
  ['a loop over __proto__', 'context.tags.all(__proto__, true)', '`__proto__` names no fact'],
  ['prototype as a variable', 'prototype == 1', '`prototype` is no fact'],
])('%s is refused with the reason', (_name, expression, reason) => {
  let problem: string | undefined
  const ms = cpuMs(() => (problem = compileCel(expression).problem))
  expect(problem).toContain(reason)
  expect(ms).toBeLessThan(500)
})

test.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])('the key %s reaches no prototype, even when a fact names it', (key) => {
  expect(ask('context[context.key] == context.key', input({ key }))).toBe('unknown')
  expect(ask('context.key in context', input({ key }))).toBe(false)
  const own = JSON.parse(`{ "key": "${key}", "${key}": "own" }`) as Facts
  expect(ask('context[context.key] == "own"', input(own))).toBe(true)
})

describe('what is made to cost has an answer, or none, within its bound', () => {
  const wide = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`k${at}`, at]))
  const hostile: [string, string, Facts][] = [
    ['a backtracker’s nightmare', 'context.text.matches("(a+)+$")', { text: `${'a'.repeat(28)}!` }],
    ['the longest text for the dearest pattern', 'context.text.matches("(\\\\pL?\\\\pN?a?){32}$")', { text: 'a'.repeat(256) }],
    ['a text too long for a pattern', 'context.text.matches("a+$")', { text: 'a'.repeat(257) }],
    ['a text too long for anything', 'context.text == "a"', { text: 'a'.repeat(1_000_000) }],
    ['large mappings compared in a loop', `context.list.all(x, ${Array(28).fill('context.wide == context.same').join(' && ')})`, { list: Array(256).fill(1), wide, same: { ...wide } }],
    ['large mappings compared over and over', Array(33).fill('context.wide == context.same').join(' && '), { wide, same: { ...wide } }],
    ['a long list looked through in a loop', 'context.list.all(x, x in context.list)', { list: Array.from({ length: 5000 }, (_, at) => at) }],
    ['a loop with a large body', `context.list.all(x, ${Array(45).fill('x < 5').join(' && ')})`, { list: Array(100_000).fill(1) }],
    ['lists joined in a loop', 'context.list.map(x, context.list + context.list + context.list).size() > 0', { list: Array(20_000).fill(1) }],
  ]

  test.each(hostile)('%s', (_name, expression, context) => {
    const given = input(context)
    const { test: compiled, problem } = compileCel(expression)
    expect(problem).toBeUndefined()
    compiled!.evaluate(input()) // compiled by the runtime before it is measured
    let truth: unknown
    expect(cpuMs(() => (truth = compiled!.evaluate(given)))).toBeLessThan(500)
    expect([true, false, 'unknown']).toContain(truth)
  })

  test('a budget that is used up is no answer, whatever stands beside it', () => {
    const list = Array.from({ length: 5000 }, (_, at) => at)
    expect(ask('context.list.all(x, x in context.list) || true', input({ list }))).toBe('unknown')
    expect(ask('context.list == context.same || true', input({ list: Array(30_000).fill(1), same: Array(30_000).fill(1) }))).toBe('unknown')
    expect(ask('context.list.all(x, x in context.list)', input({ list: list.slice(0, 40) }))).toBe(true)
  })
})

describe('in a policy', () => {
  const document = (cel: string) => ({
    apiVersion: 'aegis.dev/policy/v1', id: 'p', effect: 'allow', actions: ['deployment:scale'], resources: ['k8s:**'], when: { all: [{ cel }] },
  })
  const decided = (cel: string, given = input()) => decide(compileDocuments([document(cel)]).snapshot!, given)

  test('an expression decides, and a miss names it', () => {
    expect(decided('request.replicas < 5').code).toBe('allowed')
    const { code, message } = decided('request.replicas < 4')
    expect([code, message]).toEqual(['no_policy_matched', 'denied: no policy allows `deployment:scale` on `k8s:prod/shop/deployment/web`; nearest is `p`: the expression is false, wanted request.replicas < 4'])
    expect(decided('context.gone == 1').nearMisses[0]).toMatchObject({ truth: 'unknown', failed: [{ path: 'when.all[0].cel', actual: 'the expression has no answer', expected: 'context.gone == 1' }] })
  })

  test('a refusal names the place and the reason', () => {
    expect(compileDocuments([document('request.replica.all(x')]).problems).toEqual([
      { document: 0, path: ['when', 'all', 0, 'cel'], message: expect.stringContaining('the expression is no CEL expression') },
    ])
    expect(compileDocuments([document('x'.repeat(1025))]).problems).toMatchObject([{ message: 'longer than 1024 characters' }])
    const many = { ...document('true'), when: { all: Array(9).fill({ cel: 'true' }) } }
    expect(compileDocuments([many]).problems).toMatchObject([{ path: ['when', 'all', 8, 'cel'], message: 'more than 8 expressions in one policy' }])
  })

  test('a simulation says which expression has no answer on record, and coverage which answers no test got out of it', () => {
    const [before, after] = ['request.replicas < 5', 'context.team == "web"'].map((cel) => compileDocuments([document(cel)]).snapshot!)
    const run = simulation(before!, after!)
    run.add({ decisionId: 'd0', remediationId: 'r0', input: input() })
    expect(run.report()).toMatchObject({ newlyStopped: 1, missing: [{ attr: 'context.team', count: 1 }] })
    expect(coverageOf(after!, [input({ team: 'web' })]).uncovered).toEqual([{ policy: 'p', path: 'when.all[0].cel', wanted: 'context.team == "web"', unseen: [false, 'unknown'] }])
  })

  test.each([
    ['has(context.labels.team) && context.labels.team == "web"', ['context.labels.team']],
    ['!has(context.frozen)', ['context.frozen']],
    ['"a/b" in context.labels && context.labels["a/b"] == "x"', ['context.labels["a/b"]']],
    ['"x" in context.tags || "service" in principal.roles', []],
    ['context.tags.exists(tag, tag == context.team)', ['context.team']],
    ['request.replicas < target.updated', ['target.updated']],
    ['request.replicas', ['cel: request.replicas']],
  ])('a simulation names every fact of %s that the record lacks', (cel, attrs) => {
    const run = simulation(compileDocuments([]).snapshot!, compileDocuments([document(cel)]).snapshot!)
    run.add({ decisionId: 'd0', remediationId: 'r0', input: input({ tags: ['x'], labels: {} }) })
    expect(run.report().missing.map(({ attr }) => attr)).toEqual(attrs)
  })

  test('what reads the clock holds until the next minute, anything else as long as the rest', () => {
    expect(decided('now.getHours() < 13').validUntil).toBe(Date.UTC(2026, 5, 3, 12, 31))
    expect(decided('request.replicas < 5').validUntil).toBeNull()
  })
})
