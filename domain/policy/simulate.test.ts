import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { wallClock, zoneExists } from '../../adapters/policies/zones.ts'
import { playsAll } from '../../tests/helpers/draw.ts'
import { decide } from './decide.ts'
import type { PolicyDocument } from './document.ts'
import { exceptionApiVersion } from './exception.ts'
import type { PolicyInput } from './input.ts'
import { capByMode } from './mode.ts'
import { parseException } from './parse-exception.ts'
import { simulation, type SimulationReport } from './simulate.ts'
import { compileSnapshot } from './snapshot.ts'
import { anyLeaf, documentWith, input, policies, read } from './testing/arbitraries.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const compile = (documents: readonly PolicyDocument[]) => compileSnapshot(documents, { sha256, wallClock })

const recordedAs = (inputs: readonly PolicyInput[]) => inputs.map((one, at) => ({ decisionId: `d${at}`, remediationId: `r${at % 3}`, input: one }))

function simulate(current: readonly PolicyDocument[], candidate: readonly PolicyDocument[], inputs: readonly PolicyInput[]): SimulationReport {
  const run = simulation(compile(current), compile(candidate))
  for (const recorded of recordedAs(inputs)) run.add(recorded)
  return run.report()
}

const policy = (id: string, given: Record<string, unknown>) => read({ apiVersion: 'aegis.dev/policy/v1', actions: ['*'], resources: ['**'], ...given }, id)

const asked = (change: Partial<PolicyInput> = {}): PolicyInput => ({
  principal: { id: 'watcher', kind: 'service', owner: 'ann', roles: ['service'] },
  action: 'deployment:scale', resource: 'k8s:prod/shop/deployment/web', type: 'self_healing',
  context: { severity: 'medium' }, request: { replicas: 4 }, target: {}, history: { sinceLastActionMs: null }, approvals: [],
  now: Date.UTC(2026, 5, 3, 12), tzdata: 'test', ...change,
})

const severe = (severity: string, percentOfReady?: number) => asked({ context: { severity }, request: { replicas: 4, ...(percentOfReady === undefined ? {} : { percentOfReady }) } })

describe('what a candidate would have answered', () => {
  const upToFour = policy('scale', { effect: 'allow', when: { attr: 'request.replicas', op: 'lte', value: 4 } })
  const upToThree = policy('scale', { effect: 'allow', when: { attr: 'request.replicas', op: 'lte', value: 3 } })

  test('a tighter line stops what acted, and says so in words', () => {
    const report = simulate([upToFour], [upToThree], [asked(), asked(), asked({ request: { replicas: 3 } }), asked({ request: { replicas: 9 } })])
    expect(report).toMatchObject({
      decisions: 4, unchanged: 2, newlyAllowed: 0, newlyStopped: 2, stopped: { count: 2, ids: ['r0', 'r1'] }, letThrough: { count: 0 },
      transitions: [{ from: 'act', to: 'deny', count: 2, first: { decisionId: 'd0', before: 'allowed by policy `scale`: scale', after: expect.stringContaining('request.replicas is 4, wanted lte 3') } }],
    })
  })

  test('what would be let through is counted, loosest first, with the gravest as the worst', () => {
    const asks = policy('ask', { effect: 'require_approval', when: { attr: 'context.severity', op: 'lte', value: 'low' } })
    const inputs = [severe('medium'), severe('critical', 10), severe('critical', 50), severe('high'), severe('low')]
    const report = simulate([asks], [upToFour], inputs)
    expect(report.transitions.map(({ from, to, count, first, worst }) => [from, to, count, first.decisionId, worst.decisionId])).toEqual([
      ['deny', 'act', 4, 'd0', 'd2'],
      ['ask', 'act', 1, 'd4', 'd4'],
    ])
    expect(report).toMatchObject({ newlyAllowed: 5, newlyStopped: 0, letThrough: { count: 3, ids: ['r0', 'r1', 'r2'] } })
  })

  test('a fact that was not recorded is reported and never guessed', () => {
    const inTeam = policy('scale', { effect: 'allow', when: { attr: 'context.labels.team', op: 'eq', value: 'web' } })
    const report = simulate([upToFour], [inTeam], [asked(), asked({ context: { severity: 'low', labels: { team: 'web' } } })])
    expect(report).toMatchObject({ newlyStopped: 1, missing: [{ attr: 'context.labels.team', count: 1, firstDecisionId: 'd0' }] })
  })

  const exists = (attr: string) => ({ attr, op: 'exists' })
  const eq = (attr: string, value: unknown) => ({ attr, op: 'eq', value })
  test.each<[string, Record<string, unknown>, string[]]>([
    ['a deny that asks whether it is there first', { effect: 'deny', when: { all: [exists('context.frozen'), eq('context.frozen', 'yes')] } }, ['context.frozen']],
    ['a lone absent', { effect: 'deny', when: { attr: 'context.frozen', op: 'absent' } }, ['context.frozen']],
    ['an allow where it is absent or harmless', { effect: 'allow', when: { any: [{ attr: 'context.frozen', op: 'absent' }, eq('context.frozen', 'no')] } }, ['context.frozen']],
    ['a part that settles nothing', { effect: 'allow', when: { any: [{ attr: 'request.replicas', op: 'lte', value: 4 }, eq('context.team', 'web')] } }, ['context.team']],
    ['an exception from it', { effect: 'allow', unless: { all: [exists('context.frozen')] } }, ['context.frozen']],
    ['a bound on the share', { effect: 'allow', obligations: { maxPercent: 50 } }, ['request.percentOfReady']],
    ['a bound on the number', { effect: 'allow', obligations: { maxReplicas: 5 } }, ['request.replicas']],
    ['a time to wait', { effect: 'allow', obligations: { cooldown: '5m' } }, ['history.sinceLastActionMs']],
    ['what is not in force at that time', { effect: 'deny', when: exists('context.frozen'), validity: { notBefore: '2027-01-01T00:00:00Z' } }, []],
    ['what asks for another action', { effect: 'deny', actions: ['pod:restart'], when: exists('context.frozen') }, []],
  ])('facts that the record lacks are told of %s', (_what, given, attrs) => {
    const lacking = asked({ request: attrs.includes('request.replicas') ? {} : { replicas: 4 }, history: attrs.includes('history.sinceLastActionMs') ? {} : { sinceLastActionMs: null } })
    expect(simulate([], [policy('new', given)], [lacking]).missing.map(({ attr }) => attr)).toEqual(attrs)
  })

  test('and of an exception that opens one', () => {
    const deny = policy('guard', { effect: 'deny' })
    const { exception } = parseException({
      apiVersion: exceptionApiVersion, id: 'x', policy: 'guard', actions: ['*'], resources: ['**'], when: exists('context.frozen'),
      notBefore: '2026-06-01T00:00:00Z', expiresAt: '2026-06-20T00:00:00Z', reason: 'r', author: 'ann', approvedBy: 'bob',
    }, { zoneExists })
    const run = simulation(compile([deny]), compileSnapshot([deny], { sha256, wallClock, exceptions: [exception!] }))
    run.add(recordedAs([asked()])[0]!)
    expect(run.report().missing).toMatchObject([{ attr: 'context.frozen', count: 1 }])
  })

  test('policies that the record never met are named, and questions nobody can read are counted', () => {
    const nightly = policy('nightly', { effect: 'allow', actions: ['pod:restart'] })
    const report = simulate([upToFour], [upToFour, nightly], [asked(), { ...asked(), action: '' }])
    expect(report).toMatchObject({ neverMatched: ['nightly'], untried: ['nightly'], unreadable: 1, unchanged: 2, transitions: [] })
  })

  test('the record has tried whatever permits but what is new and matched nothing', () => {
    const nightly = (over: object = {}) => policy('nightly', { effect: 'allow', actions: ['pod:restart'], ...over })
    const untriedOf = (before: PolicyDocument[], after: PolicyDocument[]) => simulate(before, after, [asked()]).untried
    expect(untriedOf([], [upToFour])).toEqual([])
    expect(untriedOf([nightly()], [nightly()])).toEqual([])
    for (const over of [{ effect: 'deny' }, { enforcement: 'shadow' }]) expect(untriedOf([], [nightly(over)])).toEqual([])
    for (const over of [{ actions: ['pod:delete'] }, { effect: 'require_approval' }]) expect(untriedOf([nightly()], [nightly(over)])).toEqual(['nightly'])
    const later = { validity: { notBefore: '2030-01-01T00:00:00Z' }, actions: ['*'] }
    expect(untriedOf([], [nightly(later)])).toEqual(['nightly'])
  })

  test('a bound that a request breaks stops it like a deny', () => {
    const bounded = policy('scale', { effect: 'allow', obligations: { maxReplicas: 2 } })
    expect(simulate([upToFour], [bounded], [asked()])).toMatchObject({ newlyStopped: 1, transitions: [{ from: 'act', to: 'deny' }] })
  })
})

describe('properties', () => {
  const numRuns = playsAll ? 20_000 : 1_000
  const inputs = fc.array(input, { maxLength: 8 })

  test('the same policies change nothing', () => {
    fc.assert(fc.property(policies, inputs, (documents, all) => {
      const report = simulate(documents, documents.toReversed(), all)
      expect(report).toMatchObject({ decisions: all.length, unchanged: all.length, transitions: [], missing: [], newlyAllowed: 0, newlyStopped: 0 })
    }), { numRuns })
  })

  test('what is skipped because no changed policy concerns it would have been answered the same', () => {
    const edit = fc.tuple(policies, fc.nat({ max: 8 }), documentWith(anyLeaf)).map(([documents, at, one]) => ({
      current: documents,
      candidate: documents.map((each, index) => (index === at ? read(one, each.id) : each)),
    }))
    fc.assert(fc.property(edit, inputs, ({ current, candidate }, all) => {
      const [before, after] = [compile(current), compile(candidate)]
      const answers = all.map((one) => [before, after].map((snapshot) => capByMode(decide(snapshot, one), 'auto').proceed))
      const report = simulate(current, candidate, all)
      expect(report.unchanged).toBe(answers.filter(([from, to]) => from === to).length)
      expect(report.newlyAllowed).toBe(answers.filter(([from, to]) => from !== to && to === 'act').length)
      expect(report.newlyStopped).toBe(answers.filter(([from, to]) => from !== to && from === 'act').length)
    }), { numRuns })
  })
})
