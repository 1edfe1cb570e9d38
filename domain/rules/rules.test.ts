import fc from 'fast-check'
import { pathText } from '../policy/check.ts'
import { applyRule } from './apply.ts'
import { boundedReplicas } from './bounds.ts'
import { dwellMsByFault } from './dwell.ts'
import { parseRules } from './parse.ts'
import type { AlertSignal, FaultSignal, RuleSet } from './rule.ts'

const target = { kind: 'Deployment', namespaceLabel: 'namespace', nameLabel: 'deployment' }
const scaleUp = { id: 'latency', match: { alert: 'HighRequestLatency' }, target, action: 'scale_deployment', parameters: { replicas: { step: 2, max: 10 } }, severity: 'medium' }
const rollback = { id: 'stuck', match: { fault: 'stuck_rollout' }, action: 'rollback_deployment', severity: 'high', dwellSeconds: 60 }
const file = (...rules: object[]) => ({ apiVersion: 'aegis.dev/rules/v1', version: 3, rules })

function rulesOf(...rules: object[]): RuleSet {
  const { file: read, problems } = parseRules(file(...rules))
  if (!read) throw new Error(JSON.stringify(problems))
  return { ...read, hash: 'sha256:h' }
}

const alert = (labels: Record<string, string>, change: Partial<AlertSignal> = {}): AlertSignal =>
  ({ kind: 'alert', alert: 'HighRequestLatency', labels, defaultCluster: 'home', heldMs: 0, ...change })
const web = { cluster: 'home', namespace: 'shop', kind: 'Deployment', name: 'web' } as const
const fault = (change: Partial<FaultSignal> = {}): FaultSignal => ({ kind: 'fault', fault: 'stuck_rollout', afterRollout: true, targets: [web], heldMs: 60_000, ...change })
const labels = { namespace: 'shop', deployment: 'web' }

test('an alert leads to the one action of its rule, bounded and still relative', () => {
  expect(applyRule(rulesOf(scaleUp), alert(labels))).toEqual({
    rule: { id: 'latency', version: 3, hash: 'sha256:h' }, action: 'scale_deployment', target: web,
    parameters: { scale: { change: { step: 2 }, min: 1, max: 10 } }, severity: 'medium', fault: null,
  })
})

test('an alert whose rule names a fault brings it along: API objects have to show it too', () => {
  expect(applyRule(rulesOf({ ...scaleUp, fault: 'never_ready' }), alert(labels))).toMatchObject({ fault: 'never_ready' })
  expect(parseRules(file({ ...rollback, fault: 'stuck_rollout' })).problems?.map(({ path }) => pathText(path))).toEqual(['rules[0].fault'])
  expect(parseRules(file({ ...scaleUp, fault: 'bad_luck' })).problems?.map(({ path }) => pathText(path))).toEqual(['rules[0].fault'])
})

test('a fault brings its own target, and the kind must fit the action', () => {
  const pod = { ...web, kind: 'Pod', name: 'web-1' } as const
  expect(applyRule(rulesOf(rollback), fault({ targets: [pod, web] }))).toMatchObject({ action: 'rollback_deployment', target: web, severity: 'high', fault: 'stuck_rollout', parameters: {} })
  expect(applyRule(rulesOf(rollback), fault({ targets: [pod] }))).toMatchObject({ unmatched: 'no_target', ruleId: 'stuck' })
})

test.each<[string, object[], AlertSignal | FaultSignal, object]>([
  ['no rule', [rollback], alert(labels), { unmatched: 'no_rule', ruleId: null }],
  ['another fault', [rollback], fault({ fault: 'crash_loop' }), { unmatched: 'no_rule' }],
  ['too early', [rollback], fault({ heldMs: 45_000 }), { unmatched: 'too_early', waitMs: 15_000 }],
  ['held for an unknown time', [rollback], fault({ heldMs: Number.NaN }), { unmatched: 'too_early' }],
  ['not after a rollout', [{ ...rollback, match: { fault: 'crash_loop', afterRollout: true } }], fault({ fault: 'crash_loop', afterRollout: false }), { unmatched: 'no_rule' }],
  ['a label is missing', [scaleUp], alert({ namespace: 'shop' }), { unmatched: 'no_target', message: 'rule `latency` found no target: the alert has no label `deployment`' }],
  ['a label that is inherited, not given', [{ ...scaleUp, target: { ...target, nameLabel: 'constructor' } }], alert(labels), { unmatched: 'no_target' }],
  ['a label that is no name', [scaleUp], alert({ ...labels, deployment: '../../nodes/x' }), { unmatched: 'no_target', message: 'rule `latency` found no target: label `deployment` is no object name' }],
  ['a namespace that is none', [scaleUp], alert({ ...labels, namespace: 'a/b' }), { unmatched: 'no_target' }],
  ['labels the rule asks for are not there', [{ ...scaleUp, match: { alert: '*', labels: { team: '*' } } }], alert(labels), { unmatched: 'no_rule' }],
])('nothing is asked for: %s', (_name, rules, signal, expected) => expect(applyRule(rulesOf(...rules), signal)).toMatchObject(expected))

test('the first match wins, by glob and by label', () => {
  const rules = rulesOf(
    { ...scaleUp, id: 'mobile', match: { alert: 'High*', labels: { team: 'mobile-*' } }, parameters: { replicas: { percent: 50, max: 4 } } },
    scaleUp,
  )
  expect(applyRule(rules, alert({ ...labels, team: 'mobile-ios' }))).toMatchObject({ rule: { id: 'mobile' } })
  expect(applyRule(rules, alert({ ...labels, team: 'web' }))).toMatchObject({ rule: { id: 'latency' } })
})

test.each([
  [{ ...labels, cluster: 'other' }, 'other'],
  [labels, 'home'],
])('the cluster is the label’s, else the default', (given, cluster) => expect(applyRule(rulesOf(scaleUp), alert(given))).toMatchObject({ target: { cluster } }))

test.each([
  ['page', 'critical'],
  ['low', 'low'],
  ['whatever', 'medium'],
  [undefined, 'medium'],
])('the severity label %s means %s', (given, severity) => {
  const rules = rulesOf({ ...scaleUp, severity: { label: 'severity', values: { page: 'critical' }, otherwise: 'medium' } })
  expect(applyRule(rules, alert(given === undefined ? labels : { ...labels, severity: given }))).toMatchObject({ severity })
})

test('the watcher waits for the longest dwell of a fault’s rules', () => {
  const rules = rulesOf({ ...rollback, match: { fault: 'crash_loop', afterRollout: true }, dwellSeconds: 30 }, { ...rollback, id: 'b', match: { fault: 'crash_loop' }, dwellSeconds: 90 })
  expect(dwellMsByFault(rules)).toMatchObject({ crash_loop: 90_000, stuck_pod: 60_000 })
})

test.each([
  [3, { step: 2 }, 5],
  [9, { step: 2 }, 10],
  [12, { step: 2 }, 12], // above the bound already: up never means down
  [3, { step: -2 }, 1],
  [2, { step: -2 }, 1],
  [1, { percent: 50 }, 1], // half of one rounds to nothing
  [5, { percent: 50 }, 7],
  [5, { percent: -50 }, 3],
  [0, { step: 2 }, 0], // switched off on purpose
])('%s replicas changed by %j become %s', (current, change, expected) => expect(boundedReplicas(current, { change, min: 1, max: 10 })).toBe(expected))

test('a bounded change never passes its bounds nor turns round', () => {
  const change = fc.oneof(fc.record({ step: fc.integer({ min: -100, max: 100 }) }), fc.record({ percent: fc.integer({ min: -90, max: 300 }) }))
  fc.assert(fc.property(fc.nat(2000), change, fc.integer({ min: 1, max: 50 }), fc.nat(100), (current, by, min, span) => {
    const after = boundedReplicas(current, { change: by, min, max: min + span })
    const up = ('step' in by ? by.step : by.percent) >= 0
    expect(up ? after >= current : after <= current).toBe(true)
    expect(after === current || (up ? after <= min + span : after >= min)).toBe(true)
  }))
})

test.each<[string, unknown, string]>([
  ['no rules', file(), 'rules: must name at least one'],
  ['no version', { ...file(rollback), version: undefined }, 'version: expected a whole number'],
  ['an unknown field', file({ ...rollback, dwell: 1 }), 'rules[0].dwell: unknown field `dwell`'],
  ['an unknown fault', file({ ...rollback, match: { fault: 'sad' } }), 'rules[0].match.fault: expected one of stuck_rollout'],
  ['an unknown action', file({ ...rollback, action: 'drain' }), 'rules[0].action: expected one of restart_pod'],
  ['a target on a fault', file({ ...rollback, target }), 'rules[0].target: a fault brings its own target'],
  ['no target on an alert', file({ ...scaleUp, target: undefined }), 'rules[0].target: expected a mapping, found nothing'],
  ['a kind that does not fit', file({ ...scaleUp, target: { ...target, kind: 'Pod' } }), 'rules[0].target.kind: expected one of Deployment'],
  ['scaling without an end', file({ ...scaleUp, parameters: { replicas: { step: 2 } } }), 'rules[0].parameters.replicas.max: expected a whole number'],
  ['both a step and a percentage', file({ ...scaleUp, parameters: { replicas: { step: 2, percent: 5, max: 3 } } }), 'rules[0].parameters.replicas: needs either `step` or `percent`'],
  ['a step that changes nothing', file({ ...scaleUp, parameters: { replicas: { step: 0, max: 3 } } }), 'rules[0].parameters.replicas.step: a step of 0 changes nothing'],
  ['bounds upside down', file({ ...scaleUp, parameters: { replicas: { step: 1, min: 5, max: 3 } } }), 'rules[0].parameters.replicas: `min` must not be above `max`'],
  ['parameters an action does not take', file({ ...rollback, parameters: {} }), 'rules[0].parameters: `rollback_deployment` takes no parameters'],
  ['a severity off the scale', file({ ...rollback, severity: 'sev1' }), 'rules[0].severity: expected one of info'],
  ['a key left empty', file({ ...rollback, dwellSeconds: null }), 'rules[0].dwellSeconds: expected a whole number'],
  ['an id twice', file(rollback, { ...rollback, match: { fault: 'crash_loop' } }), 'rules[1].id: another rule already has the id `stuck`'],
  ['a rule that is never reached', file(rollback, { ...rollback, id: 'again' }), 'rules[1].match: never reached: rule `stuck` matches the same signals first'],
])('refused, and the place is named: %s', (_name, value, expected) => {
  const complaints = parseRules(value).problems?.map(({ path, message }) => `${pathText(path)}: ${message}`)
  expect(complaints).toEqual(expect.arrayContaining([expect.stringContaining(expected)]))
})

test('nothing makes the parser throw', () => {
  fc.assert(fc.property(fc.anything(), fc.anything(), (value, change) => {
    expect(() => parseRules(value)).not.toThrow()
    expect(() => parseRules(file({ ...rollback, ...(change as object) }))).not.toThrow()
  }), { numRuns: 500 })
})
