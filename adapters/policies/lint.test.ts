import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathOfText } from '../../domain/policy/check.ts'
import { lintPolicies, type LintOptions } from '../../domain/policy/lint/lint.ts'
import { policyInput } from '../../domain/policy/input.ts'
import { knownFact, ownActions } from '../../domain/policy/lint/facts.ts'
import type { Plan } from '../../domain/plan.ts'
import type { RemediationRequest } from '../../domain/remediation.ts'
import { loadPolicies } from './directory.ts'
import { compileFiles } from './files.ts'
import { wallClock } from './zones.ts'

const root = join(import.meta.dirname, '../..')
const options: LintOptions = { nowMs: Date.UTC(2026, 5, 3, 12), wallClock, tzdata: 'test', history: { unmatched: new Set() } }

test.each([
  ['policies', ['notice L12 restart-one-pod when.all[1]']],
  ['policies/demo', ['notice L12 demo-scale obligations.maxPercent']],
])('what is shipped in %s has nothing that lint minds', async (directory, expected) => {
  const { snapshot, errors } = await loadPolicies(join(root, directory))
  expect(errors).toBeUndefined()
  const { findings } = lintPolicies(snapshot!, options)
  expect(findings.map(({ severity, code, policy, path }) => `${severity} ${code} ${policy} ${path}`)).toEqual(expected)
})

test('a finding leads back to its line', () => {
  const text = readFileSync(join(root, 'policies/30-allow.yaml'), 'utf8').replace('op: between, value: [1, 3] }\n    - { attr: request.replicas', 'op: between, value: [1, 3] }\n    - { attr: request.replica')
  const loaded = compileFiles([{ name: '30-allow.yaml', text }])
  if (!loaded.snapshot) throw new Error(loaded.errors.join('\n'))
  const [finding] = lintPolicies(loaded.snapshot, options).findings.filter(({ code }) => code === 'L6')
  const line = text.split('\n').findIndex((one) => one.includes('request.replica,')) + 1
  expect(line).toBeGreaterThan(0)
  expect(finding!.message).toContain('Aegis gives no fact `request.replica` (`request.replicas`?)')
  expect(loaded.where(finding!.policy!, pathOfText(finding!.path))).toBe(`30-allow.yaml:${line}`)
})

/** Every path in a request's facts that ends in a value. */
const leaves = (facts: object, above: string): string[] =>
  Object.entries(facts).flatMap(([key, value]: [string, unknown]) => {
    const path = /^[A-Za-z_]\w*$/.test(key) ? `${above}.${key}` : `${above}["${key}"]`
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? leaves(value, path) : [path]
  })

const counts = { effects: 1, bad: 0 }
const windows = { '5m': counts, '1h': counts, '24h': counts }
const target = { cluster: 'main', namespace: 'shop', kind: 'Deployment', name: 'web', uid: 'u', generation: 1 } as const
const pin = { revision: 1, replicaSet: 'web-1', replicaSetUid: 'r', templateHash: 'h' }
const plans: Plan[] = [
  { action: 'restart_pod', target: { ...target, kind: 'Pod' }, workload: target, podReady: true, undo: null },
  { action: 'scale_deployment', target, workload: target, replicas: { from: 2, to: 3 }, templateHash: 'h', undo: { replicas: { from: 3, to: 2 } } },
  { action: 'rollback_deployment', target, workload: target, replicas: 2, revision: { from: pin, to: pin }, undo: { revision: { from: pin, to: pin } } },
]

test.each(plans)('lint knows every fact that Aegis gives for $action, and takes none for granted that is not there', (plan) => {
  const request: RemediationRequest = {
    id: 'i', door: 'api', principal: { id: 'a', kind: 'person', owner: 'a', roles: ['user'] }, action: plan.action, target, parameters: {}, reason: 'r',
    severity: 'high', fault: null, incident: null, attempt: 1, acceptedAt: '', deadlineAt: '',
  }
  const health = { desired: 2, updated: 2, ready: 2, available: 2, failing: 0, restarts: 0, faults: [] }
  const history = { sinceLastActionMs: null, workload: windows, namespace: windows, action: windows }
  const input = policyInput({ request, plan, health, podReady: true, labels: {}, history, approvals: [], now: 0, tzdata: 't' })
  const given = [...leaves(input.principal, 'principal'), ...leaves(input.context, 'context'), ...leaves(input.request, 'request'), ...leaves(input.target, 'target'), ...leaves(input.history, 'history')]
  expect(given.filter((attr) => knownFact(attr) === undefined)).toEqual([])
  const granted = ['request.replicas', 'request.deltaReplicas', 'request.revision', 'request.undo', 'request.percentOfReady', 'context.severity', 'context.workload.kind', 'context.unread', 'context.attempt', 'target.ready', 'target.faults', 'history.sinceLastActionMs', 'history.action["1h"].bad']
    .filter((attr) => knownFact(attr)!.guaranteed.includes(input.action))
  expect(ownActions).toContain(input.action)
  expect(granted.filter((attr) => !given.includes(attr))).toEqual([])
})
