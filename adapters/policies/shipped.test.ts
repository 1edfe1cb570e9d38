import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decide } from '../../domain/policy/decide.ts'
import type { PolicyInput } from '../../domain/policy/input.ts'
import { capByMode } from '../../domain/policy/mode.ts'
import type { PolicySnapshot } from '../../domain/policy/snapshot.ts'
import { applyRule } from '../../domain/rules/apply.ts'
import { loadRules } from '../rules.ts'
import { loadPolicies } from './directory.ts'
import { compileFiles } from './files.ts'

// The policies and rules that come with Aegis do what their comments say.
const root = join(import.meta.dirname, '../..')

async function shipped(directory: string): Promise<PolicySnapshot> {
  const { snapshot, errors } = await loadPolicies(join(root, directory))
  if (!snapshot) throw new Error(errors.join('\n'))
  return snapshot
}

const request = (action: string, resource: string, change: Partial<PolicyInput> = {}): PolicyInput => ({
  principal: { id: 'watcher', kind: 'service', owner: 'platform', roles: ['service'] },
  action,
  resource,
  type: 'self_healing',
  context: { severity: 'medium', door: 'alert', fault: 'none' },
  request: { replicas: 4, deltaReplicas: 2, percentOfReady: 0, undo: 'planned' },
  target: { desired: 2, ready: 2 },
  history: { sinceLastActionMs: null },
  approvals: [],
  now: Date.UTC(2026, 5, 3, 12),
  tzdata: 'test',
  ...change,
})
const proceed = (snapshot: PolicySnapshot, input: PolicyInput) => capByMode(decide(snapshot, input), 'auto').proceed
const scaling = (replicas: number, deltaReplicas: number) => ({ request: { replicas, deltaReplicas, percentOfReady: 0, undo: 'planned' } })
const severity = (word: string) => ({ context: { severity: word } })

describe('the default policies', () => {
  test.each<[string, PolicyInput, string]>([
    ['a small step up', request('scale_deployment', 'k8s:a/shop/deployment/web'), 'act'],
    ['in production', request('scale_deployment', 'k8s:a/prod-eu/deployment/web'), 'ask'],
    ['in a namespace ending in prod', request('rollback_deployment', 'k8s:a/shop-prod/deployment/web'), 'ask'],
    ['labelled as production', request('pod:restart', 'k8s:a/shop/pod/x', { context: { severity: 'high', labels: { environment: 'production' } } }), 'ask'],
    ['in a namespace labelled as production', request('pod:restart', 'k8s:a/shop/pod/x', { context: { severity: 'high', namespaceLabels: { environment: 'prod' } } }), 'ask'],
    ['in a namespace whose labels could not be read', request('pod:restart', 'k8s:a/shop/pod/x', { context: { severity: 'high', unread: ['namespaceLabels'] } }), 'ask'],
    ['labelled as staging', request('pod:restart', 'k8s:a/shop/pod/x', { context: { severity: 'high', labels: { environment: 'staging' } } }), 'act'],
    ['in kube-system', request('restart_pod', 'k8s:a/kube-system/pod/x'), 'deny'],
    ['in Aegis’ own namespace', request('restart_pod', 'k8s:a/aegis-system/pod/x'), 'deny'],
    ['to zero', request('scale_deployment', 'k8s:a/shop/deployment/web', scaling(0, -2)), 'deny'],
    ['to zero in production', request('scale_deployment', 'k8s:a/prod/deployment/web', scaling(0, -2)), 'deny'],
    ['down', request('scale_deployment', 'k8s:a/shop/deployment/web', scaling(2, -2)), 'ask'],
    ['five more', request('scale_deployment', 'k8s:a/shop/deployment/web', scaling(7, 5)), 'ask'],
    ['beyond ten', request('scale_deployment', 'k8s:a/shop/deployment/web', scaling(11, 1)), 'ask'],
    ['beyond a hundred', request('scale_deployment', 'k8s:a/shop/deployment/web', scaling(101, 1)), 'deny'],
    ['too lightly', request('rollback_deployment', 'k8s:a/shop/deployment/web', severity('low')), 'deny'],
    ['a restart, lightly', request('restart_pod', 'k8s:a/shop/pod/x', severity('low')), 'act'],
    ['for information', request('restart_pod', 'k8s:a/shop/pod/x', severity('info')), 'deny'],
    ['without a severity', request('restart_pod', 'k8s:a/shop/pod/x', { context: {} }), 'deny'],
    ['the only ready pod', request('restart_pod', 'k8s:a/shop/pod/x', { request: { percentOfReady: 100 } }), 'deny'],
    ['a rollback that cannot be taken back', request('rollback_deployment', 'k8s:a/shop/deployment/web', { request: { undo: 'none' } }), 'deny'],
    ['again too soon', request('restart_pod', 'k8s:a/shop/pod/x', { history: { sinceLastActionMs: 60_000 } }), 'deny'],
    ['an action nobody thought of', request('node:drain', 'k8s:a/shop/node/n1'), 'deny'],
  ])('%s', async (_name, input, expected) => expect(proceed(await shipped('policies'), input)).toBe(expected))
})

describe('the demo', () => {
  test.each<[string, PolicyInput, string]>([
    ['a restart', request('restart_pod', 'k8s:two/demo-a/pod/x'), 'act'],
    ['a rollback', request('rollback_deployment', 'k8s:one/demo-b/deployment/web'), 'act'],
    ['scaling in demo-c', request('scale_deployment', 'k8s:one/demo-c/deployment/web', scaling(6, 2)), 'act'],
    ['scaling past six', request('scale_deployment', 'k8s:one/demo-c/deployment/web', scaling(7, 2)), 'deny'],
    ['scaling elsewhere', request('scale_deployment', 'k8s:one/demo-b/deployment/web'), 'deny'],
    ['a restart in demo-f', request('restart_pod', 'k8s:one/demo-f/pod/x'), 'ask'],
    ['a rollback in demo-h', request('rollback_deployment', 'k8s:one/demo-h/deployment/web'), 'ask'],
    ['outside the demo', request('restart_pod', 'k8s:one/shop/pod/x'), 'deny'],
  ])('%s', async (_name, input, expected) => expect(proceed(await shipped('policies/demo'), input)).toBe(expected))

  test('the same alert is denied after changing the one marked line', () => {
    const text = readFileSync(join(root, 'policies/demo/demo.yaml'), 'utf8')
    const lines = text.split('\n')
    const marked = lines.flatMap((line, at) => (line.includes('# the one line') ? [at] : []))
    expect(marked).toHaveLength(1)
    const changed = lines.with(marked[0]!, lines[marked[0]!]!.replace('value: 6', 'value: 2')).join('\n')
    const input = request('scale_deployment', 'k8s:one/demo-c/deployment/web')
    const [before, after] = [text, changed].map((yaml) => decide(compileFiles([{ name: 'demo.yaml', text: yaml }]).snapshot!, input))
    expect(before!.effect).toBe('allow')
    expect(after!).toMatchObject({ effect: 'deny', code: 'no_policy_matched' })
    expect(after!.message).toContain('nearest is `demo-scale`: request.replicas is 4, wanted lte 2')
  })
})

test('the default rules lead from the demo alert to two replicas more, ten at most', async () => {
  const rules = await loadRules(join(root, 'rules/default.yaml'))
  const labels = { namespace: 'demo-c', deployment: 'web', severity: 'warning' }
  expect(applyRule(rules, { kind: 'alert', alert: 'HighRequestLatency', labels, defaultCluster: 'one', heldMs: 0 })).toMatchObject({
    rule: { id: 'alert-high-request-latency', version: 2 }, action: 'scale_deployment', severity: 'medium',
    target: { cluster: 'one', namespace: 'demo-c', kind: 'Deployment', name: 'web' }, parameters: { scale: { change: { step: 2 }, max: 10 } },
  })
})

test('a rule file with an error names file, line and field', async () => {
  await expect(loadRules(join(root, 'policies/demo/demo.yaml'))).rejects.toMatchObject({ code: 'rules_invalid', message: 'demo.yaml: expected one document, found 4' })
  await expect(loadRules(join(root, 'policies/10-protected.yml'))).rejects.toThrow('(ENOENT); check the path')
})
