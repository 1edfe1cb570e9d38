import { expect, test } from '@jest/globals'
import type { Rule } from '../rules/rule.ts'
import type { Incident } from './incident.ts'
import { wantedFor } from './request.ts'

const rule = (given: Pick<Rule, 'id' | 'match' | 'action'> & Partial<Rule>): Rule =>
  ({ target: null, fault: null, parameters: {}, severity: { label: null, values: {}, otherwise: 'high' }, dwellSeconds: 60, ...given })

const rules = {
  version: 3,
  hash: 'sha256:0',
  rules: [
    rule({ id: 'stuck-rollout', match: { fault: 'stuck_rollout' }, action: 'rollback_deployment' }),
    rule({ id: 'crash-after-rollout', match: { fault: 'crash_loop', afterRollout: true }, action: 'rollback_deployment' }),
    rule({ id: 'stuck-pod', match: { fault: 'stuck_pod' }, action: 'restart_pod' }),
    rule({ id: 'more-room', match: { fault: 'oom_killed' }, action: 'scale_deployment', parameters: { scale: { change: { step: 2 }, min: 1, max: 4 } } }),
  ],
}

const incident = (given: Partial<Incident>): Incident => ({
  key: { fingerprint: 'watcher/main/u1/x', startsAt: '2026-11-21T10:00:00.000Z' }, cluster: 'main', namespace: 'shop',
  workload: { kind: 'Deployment', name: 'web', uid: 'u1' }, fault: 'stuck_rollout', pod: null, afterRollout: true,
  startedAtMs: 0, pods: ['web-1'], evidence: 'it does not finish', ...given,
})
const pod = { name: 'web-1', uid: 'p1' }

test.each<[string, Partial<Incident>, unknown]>([
  ['a stuck rollout is rolled back', {}, { action: 'rollback_deployment', target: { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'web' }, parameters: {} }],
  ['a crash loop after a rollout is rolled back', { fault: 'crash_loop' }, { action: 'rollback_deployment', rule: { id: 'crash-after-rollout', version: 3 } }],
  ['a crash loop without one leads to nothing', { fault: 'crash_loop', afterRollout: false }, { unmatched: 'no_rule' }],
  ['a stuck pod is restarted, and it alone', { fault: 'stuck_pod', pod, afterRollout: false }, { action: 'restart_pod', target: { kind: 'Pod', name: 'web-1' } }],
  ['a stuck pod of a stateful set is restarted as well', { fault: 'stuck_pod', pod, afterRollout: false, workload: { kind: 'StatefulSet', name: 'db', uid: 'u2' } }, { action: 'restart_pod', target: { kind: 'Pod', name: 'web-1' } }],
  ['a stateful set is not rolled back', { workload: { kind: 'StatefulSet', name: 'db', uid: 'u2' } }, { unmatched: 'no_target' }],
  ['a step stays relative: the plan reads the target', { fault: 'oom_killed' }, { action: 'scale_deployment', parameters: { scale: { change: { step: 2 }, min: 1, max: 4 } } }],
  ['a fault no rule names leads to nothing', { fault: 'never_ready' }, { unmatched: 'no_rule' }],
])('%s', (_name, given, expected) => expect(wantedFor(rules, incident(given))).toMatchObject(expected as object))

test('the reason says what was seen and where', () => {
  expect(wantedFor(rules, incident({}))).toMatchObject({ reason: 'stuck_rollout: Deployment shop/web: it does not finish', severity: 'high' })
})
