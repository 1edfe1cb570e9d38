import { describe, expect, test } from '@jest/globals'
import { clusterExecutor } from '../../../adapters/kubernetes/client.ts'
import { actionRules, isRefusal } from '../../../domain/actions/index.ts'
import type { DeploymentObservation } from '../../../domain/actions/observation.ts'
import { auditEvents, eventually } from '../../helpers/stack.ts'
import { cluster, secret, connect, reader, executor, namespace, call, at, deployments, pods, deploy, podsOf, breakIt, remove, target, options, observed, scaling, rollingBack, restarting, run, refusalFor, checkNamed } from './operator.ts'

const lookOnly = clusterExecutor(connect(cluster.observerKubeconfig, 'aegis-executor/test-lookonly'))

describe('preflight refuses', () => {
  test('a namespace that is protected or not on the list', async () => {
    await deploy('listed')
    const plan = await scaling('listed', 4)
    expect(await refusalFor(plan, { allowedNamespaces: [] })).toMatchObject({ outcome: 'blocked', reason: 'namespace_not_allowed' })
    const inSystem = { ...plan, target: { ...plan.target, namespace: 'kube-system' } }
    expect(await refusalFor(inSystem, { allowedNamespaces: ['*'] })).toMatchObject({ reason: 'protected_namespace' })
  })

  test('an identity without the rights to act, undo and fence', async () => {
    await deploy('lookonly')
    const plan = await scaling('lookonly', 4)
    const { refusal, checks } = await lookOnly.preflight(plan, options)
    expect(refusal).toMatchObject({ outcome: 'blocked', reason: 'rbac' })
    expect(checks.find(({ name }) => name === 'dry_run')).toMatchObject({ status: 'fail' })
    expect(await lookOnly.send(plan, 'act', 'r-1', await lookOnly.read(plan))).toMatchObject({ sent: 'refused', code: 'forbidden' })
    await expect(lookOnly.fence(plan, 'r-1', 'abandoned', await lookOnly.read(plan))).rejects.toMatchObject({ kind: 'forbidden' })
  })

  test('to scale what an autoscaler scales', async () => {
    await deploy('autoscaled')
    await call('POST', at('/apis/autoscaling/v2', 'horizontalpodautoscalers'), {
      metadata: { name: 'autoscaled' },
      spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'autoscaled' }, minReplicas: 1, maxReplicas: 9 },
    })
    expect(await refusalFor(await scaling('autoscaled', 4))).toMatchObject({ outcome: 'blocked', reason: 'autoscaled' })
  })

  test('to scale what KEDA scales', async () => {
    await deploy('evented')
    const plan = await scaling('evented', 4)
    expect(await refusalFor(plan)).toBeNull() // no KEDA in the cluster is fine
    await call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      metadata: { name: 'scaledobjects.keda.sh' },
      spec: {
        group: 'keda.sh',
        scope: 'Namespaced',
        names: { plural: 'scaledobjects', singular: 'scaledobject', kind: 'ScaledObject' },
        versions: [{ name: 'v1alpha1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } }],
      },
    })
    await eventually('the kind is served', () => call('POST', at('/apis/keda.sh/v1alpha1', 'scaledobjects'), { apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', metadata: { name: 'evented' }, spec: { scaleTargetRef: { name: 'evented' } } }))
    // That there was no KEDA is remembered for a while, by each connection for itself.
    const fresh = clusterExecutor(connect(cluster.executorKubeconfig, 'aegis-executor/test'))
    expect((await fresh.preflight(plan, options)).refusal).toMatchObject({ reason: 'autoscaled', message: expect.stringContaining('ScaledObject') })
    await remove('/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scaledobjects.keda.sh')
  })

  test('to scale beyond the quota', async () => {
    await deploy('rationed')
    const used = (await call('GET', pods()))['items'].length as number
    await call('POST', at('/api/v1', 'resourcequotas'), { metadata: { name: 'ration' }, spec: { hard: { pods: String(used + 3) } } })
    await eventually('the quota is counted', async () => (await call('GET', at('/api/v1', 'resourcequotas', 'ration')))['status']?.used?.pods !== undefined)
    expect(await refusalFor(await scaling('rationed', 40))).toMatchObject({ reason: 'quota_exceeded', message: expect.stringContaining('`ration`') })
    expect(await checkNamed(await scaling('rationed', 4), 'quota')).toMatchObject({ status: 'pass' })
    expect(await checkNamed(await scaling('rationed', 1), 'quota')).toMatchObject({ status: 'pass' })
    await remove(at('/api/v1', 'resourcequotas', 'ration'))
  })

  test('what Git or a controller would take back', async () => {
    await deploy('gitops', { metadata: { annotations: { 'argocd.argoproj.io/tracking-id': 'x' } } })
    expect(await refusalFor(await scaling('gitops', 4))).toMatchObject({ reason: 'owned_by_gitops' })
    const owner = await call('POST', at('/api/v1', 'configmaps'), { metadata: { name: 'owner' } })
    await deploy('owned', { metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner['metadata'].uid, controller: true }] } })
    const plan = await scaling('owned', 4)
    expect(plan.workload).toMatchObject({ kind: 'ConfigMap', name: 'owner', uid: owner['metadata'].uid })
    expect(await refusalFor(plan)).toMatchObject({ reason: 'owned_by_controller' })
    const pod = await restarting((await podsOf('owned'))[0]!['metadata'].name)
    expect(pod.workload).toEqual(plan.workload)
    expect(await executor.health(pod)).toMatchObject({ rollout: 'complete', health: { desired: 3, ready: 3 } })
  })

  test('what was paused or marked to be ignored after it was planned', async () => {
    await deploy('handsoff')
    const plan = await scaling('handsoff', 4)
    await call('PATCH', deployments('handsoff'), { metadata: { annotations: { 'aegis.dev/ignore': 'true' } } })
    expect(await refusalFor(plan)).toMatchObject({ outcome: 'blocked', reason: 'ignored' })
    expect(actionRules.scale_deployment.plan(await observed('handsoff'), { replicas: 4 }, null)).toMatchObject({ reason: 'ignored' })
    await call('PATCH', deployments('handsoff'), { metadata: { annotations: { 'aegis.dev/ignore': null } }, spec: { paused: true } })
    expect(await refusalFor(plan)).toMatchObject({ outcome: 'overtaken', reason: 'target_changed' })
    expect(actionRules.rollback_deployment.plan(await observed('handsoff'), {}, null)).toMatchObject({ reason: 'paused' })
    expect(await run(plan, 'act', 'r-1')).toBe('changed')
  })

  test('in a namespace that asks to be ignored', async () => {
    await deploy('quiet')
    const pod = (await podsOf('quiet'))[0]!['metadata'].name
    const annotate = (value: string | null) => call('PATCH', `/api/v1/namespaces/${namespace}`, { metadata: { annotations: { 'aegis.dev/ignore': value } } })
    await annotate('true')
    expect(actionRules.restart_pod.plan((await reader.observe(target('Pod', pod)))!, {}, null)).toMatchObject({ outcome: 'blocked', reason: 'ignored' })
    await annotate(null)
    expect(isRefusal(actionRules.restart_pod.plan((await reader.observe(target('Pod', pod)))!, {}, null))).toBe(false)
  })
})

describe('secrets', () => {
  test('never show in an observation, a card, a read or an error', async () => {
    await deploy('discreet')
    await breakIt('discreet')
    const other = `${secret}-second`
    await call('PATCH', deployments('discreet'), { spec: { template: { spec: { containers: [{ name: 'app', image: 'shop/cart:2-broken', env: [{ name: 'GREETING', value: other }] }] } } } })
    await eventually('the newest generation is seen', async () => isSeen(await observed('discreet')))
    const plan = await rollingBack('discreet', 1)
    const card = await executor.preflight(plan, options)
    expect(card.diff).toContainEqual({ path: '/spec/template/spec/containers/app/env/GREETING/value', before: expect.stringMatching(/^hmac:/), after: expect.stringMatching(/^hmac:/) })
    const told = [card, plan, await observed('discreet'), await executor.read(plan), await executor.health(plan)]
    expect(JSON.stringify(told)).not.toContain(secret)
  })

  test('stay out of what is told of a refusal, though the server quotes them', async () => {
    await deploy('refused', { metadata: { labels: { 'test-deny': 'yes' } } })
    const plan = await scaling('refused', 4)
    await denyingPolicy()
    const refusal = await eventually('the policy is in force', async () => (await refusalFor(plan)) ?? undefined)
    expect(refusal).toMatchObject({ outcome: 'blocked', reason: 'admission_denied', message: expect.stringContaining(`\`${namespace}-deny\``) })
    const card = await executor.preflight(plan, options)
    expect(card.checks.find(({ name }) => name === 'undo_dry_run')).toMatchObject({ status: 'warn' })
    const sent = await executor.send(plan, 'act', 'r-1', await executor.read(plan))
    expect(sent).toMatchObject({ sent: 'refused', code: 'admission_denied', retryable: false })
    expect(JSON.stringify([card, sent])).not.toContain(secret)
    const answers = auditEvents(cluster, ({ objectRef, responseStatus }) => objectRef?.name === 'refused' && (responseStatus?.code ?? 0) >= 400)
    expect(JSON.stringify(answers)).toContain(secret) // the server did quote it
  })
})

const isSeen = ({ generation, observedGeneration, revisions }: DeploymentObservation) => generation === observedGeneration && revisions.some(({ current }) => current)

async function denyingPolicy(): Promise<void> {
  const group = '/apis/admissionregistration.k8s.io/v1'
  await call('POST', `${group}/validatingadmissionpolicies`, {
    metadata: { name: `${namespace}-deny` },
    spec: {
      matchConstraints: { resourceRules: [{ apiGroups: ['apps'], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['deployments'] }] },
      matchConditions: [{ name: 'ours', expression: `object.metadata.namespace == '${namespace}' && has(object.metadata.labels) && 'test-deny' in object.metadata.labels && request.userInfo.username.contains('aegis-executor')` }],
      validations: [{ expression: 'false', messageExpression: `'no, not with ' + object.spec.template.spec.containers[0].env[0].value` }],
    },
  })
  await call('POST', `${group}/validatingadmissionpolicybindings`, { metadata: { name: `${namespace}-deny` }, spec: { policyName: `${namespace}-deny`, validationActions: ['Deny'] } })
}
