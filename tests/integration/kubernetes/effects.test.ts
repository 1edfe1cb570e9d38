import { describe, expect, test } from '@jest/globals'
import { actionRules } from '../../../domain/actions/index.ts'
import type { AttemptRead } from '../../../domain/actions/situation.ts'
import { stampAnnotation } from '../../../domain/stamp.ts'
import { eventually } from '../../helpers/stack.ts'
import { reader, executor, namespace, call, at, deployments, pods, podSpec, deploy, settled, podsOf, breakIt, remove, target, options, observed, scaling, rollingBack, restarting, run, fence, changes, changesOf, stamps, refusalFor, checkNamed } from './operator.ts'

describe('scale', () => {
  test('is one write with the stamp in it, done once however often it is asked, and taken back the same way', async () => {
    await deploy('scaled')
    const plan = await scaling('scaled', 5)
    const card = await executor.preflight(plan, options)
    expect(card).toMatchObject({ refusal: null, undo: 'planned', diff: [{ path: '/spec/replicas', before: '3', after: '5' }] })
    expect(changesOf('scaled')).toEqual([])

    expect(await run(plan, 'act', 'r-1')).toBe('applied')
    expect(await run(plan, 'act', 'r-1')).toBe('done_by_us')
    expect(await run(plan, 'act', 'r-other')).toBe('wanted')
    await settled('scaled', 5)
    expect(await run(plan, 'undo', 'r-1')).toBe('applied')
    expect(await run(plan, 'undo', 'r-1')).toBe('done_by_us')
    expect(await run(plan, 'act', 'r-1')).toBe('stopped')

    const writes = changesOf('scaled')
    expect(writes.map(({ requestObject }) => requestObject?.['spec'])).toEqual([{ replicas: 5 }, { replicas: 3 }])
    for (const { objectRef, requestObject } of writes) {
      expect(objectRef?.subresource).toBeUndefined()
      expect(requestObject?.['metadata']).toMatchObject({ uid: plan.target.uid, resourceVersion: expect.any(String), annotations: { [stampAnnotation]: expect.stringContaining('r-1') } })
    }
    expect(await stamps('scaled')).toEqual([{ id: 'r-1', phase: 'undone' }])
  })

  test('is refused by the server on another UID and on a stale read', async () => {
    await deploy('guarded')
    const plan = await scaling('guarded', 4)
    const read = await executor.read(plan)
    expect(await executor.send(plan, 'act', 'r-1', { ...read, uid: '00000000-0000-0000-0000-000000000000' } as AttemptRead)).toEqual({ sent: 'other_object' })
    await call('PATCH', deployments('guarded'), { metadata: { annotations: { touched: 'yes' } } })
    expect(await executor.send(plan, 'act', 'r-1', read)).toEqual({ sent: 'conflict' })
    expect(changesOf('guarded')).toEqual([])
  })

  test('does not touch another deployment that took the name', async () => {
    await deploy('reborn')
    const plan = await scaling('reborn', 4)
    const read = await executor.read(plan)
    await remove(deployments('reborn'))
    await deploy('reborn')
    expect((await executor.send(plan, 'act', 'r-1', read)).sent).not.toBe('applied')
    expect(await run(plan, 'act', 'r-1')).toBe('changed')
    expect(await refusalFor(plan)).toMatchObject({ outcome: 'overtaken', reason: 'target_gone' })
    expect(await executor.fence(plan, 'r-1', 'abandoned', await executor.read(plan))).toBe('gone')
    expect(changesOf('reborn')).toEqual([])
  })

  test('leaves alone what a person changed meanwhile', async () => {
    await deploy('theirs')
    const plan = await scaling('theirs', 5)
    await call('PATCH', deployments('theirs'), { spec: { replicas: 2 } })
    expect(await run(plan, 'act', 'r-1')).toBe('changed')
    expect(await refusalFor(plan)).toMatchObject({ outcome: 'overtaken', reason: 'target_changed' })

    const next = await scaling('theirs', 4)
    expect(await run(next, 'act', 'r-2')).toBe('applied')
    await call('PATCH', deployments('theirs'), { spec: { replicas: 7 } })
    expect(await run(next, 'undo', 'r-2')).toBe('changed')
    expect((await observed('theirs')).replicas).toBe(7)
  })

  test('writes its undo stamp even when the value is already back', async () => {
    await deploy('back')
    const plan = await scaling('back', 5)
    await run(plan, 'act', 'r-1')
    await call('PATCH', deployments('back'), { spec: { replicas: 3 } })
    expect(await run(plan, 'undo', 'r-1')).toBe('wanted')
    expect(await fence(plan, 'r-1', 'undone')).toBe('fenced')
    expect(await stamps('back')).toEqual([{ id: 'r-1', phase: 'undone' }])
    expect(await run(plan, 'act', 'r-1')).toBe('stopped')
  })
})

describe('a fence', () => {
  test('on a deployment makes a late call fail', async () => {
    await deploy('fenced')
    const plan = await scaling('fenced', 5)
    const late = await executor.read(plan)
    expect(await executor.fence(plan, 'r-1', 'abandoned', late)).toBe('fenced')
    expect(await executor.send(plan, 'act', 'r-1', late)).toEqual({ sent: 'conflict' })
    expect(await run(plan, 'act', 'r-1')).toBe('stopped')
    expect((await observed('fenced')).replicas).toBe(3)
  })

  test('on a pod makes a late eviction fail, and touches the annotation alone', async () => {
    await deploy('fencedpod')
    const name = (await podsOf('fencedpod'))[0]!['metadata'].name
    const plan = await restarting(name)
    const late = await executor.read(plan)
    expect(await executor.fence(plan, 'r-1', 'abandoned', late)).toBe('fenced')
    expect(await executor.send(plan, 'act', 'r-1', late)).toEqual({ sent: 'conflict' })
    expect(await run(plan, 'act', 'r-1')).toBe('stopped')
    expect(changesOf(name).map(({ requestObject }) => requestObject)).toEqual([
      { metadata: { uid: plan.target.uid, resourceVersion: expect.any(String), annotations: { [stampAnnotation]: '[{"id":"r-1","phase":"abandoned"}]' } } },
    ])
  })

  test('with a stale read is a conflict, so that it is written on what is there now', async () => {
    await deploy('stalefence')
    const plan = await scaling('stalefence', 5)
    const read = await executor.read(plan)
    await call('PATCH', deployments('stalefence'), { metadata: { annotations: { touched: 'yes' } } })
    expect(await executor.fence(plan, 'r-1', 'abandoned', read)).toBe('conflict')
  })
})

describe('rollback', () => {
  test('restores the template exactly, and its undo restores the other one exactly', async () => {
    await deploy('rolled')
    const good = (await call('GET', deployments('rolled')))['spec'].template
    await breakIt('rolled')
    const bad = (await call('GET', deployments('rolled')))['spec'].template
    const plan = await rollingBack('rolled')
    expect(plan.revision).toMatchObject({ from: { revision: 2 }, to: { revision: 1 } })
    expect((await executor.preflight(plan, options)).refusal).toBeNull()

    expect(await run(plan, 'act', 'r-1')).toBe('applied')
    expect((await call('GET', deployments('rolled')))['spec'].template).toEqual(good)
    await settled('rolled', 3)
    // The bad revision is the second newest now: a rollback to "the previous" would flip back to it.
    expect(await run(plan, 'act', 'r-1')).toBe('done_by_us')
    expect(await run(plan, 'undo', 'r-1')).toBe('applied')
    expect((await call('GET', deployments('rolled')))['spec'].template).toEqual(bad)

    const [act, undo] = changesOf('rolled')
    expect(changesOf('rolled')).toHaveLength(2)
    for (const write of [act, undo]) {
      expect(write?.requestObject).toMatchObject([{ op: 'test', path: '/metadata/uid', value: plan.target.uid }, { op: 'replace', path: '/metadata/resourceVersion' }, { op: 'add' }, { op: 'replace', path: '/spec/template' }])
    }
    expect(await stamps('rolled')).toEqual([{ id: 'r-1', phase: 'undone' }])
  })

  test('is refused on a stale read and when the UID is another', async () => {
    await deploy('rolledguard')
    await breakIt('rolledguard')
    const plan = await rollingBack('rolledguard')
    const read = await executor.read(plan)
    await call('PATCH', deployments('rolledguard'), { metadata: { annotations: { touched: 'yes' } } })
    expect(await executor.send(plan, 'act', 'r-1', read)).toEqual({ sent: 'conflict' })
    const wrong = await executor.read(plan)
    Object.assign(wrong, { uid: '00000000-0000-0000-0000-000000000000' })
    expect((await executor.send(plan, 'act', 'r-1', wrong)).sent).not.toBe('applied')
    expect(changesOf('rolledguard')).toEqual([])
  })

  test('says so when its revision was garbage-collected, and sends nothing', async () => {
    await deploy('forgotten')
    await breakIt('forgotten')
    const plan = await rollingBack('forgotten')
    await remove(at('/apis/apps/v1', 'replicasets', plan.revision.to.replicaSet))
    expect(await refusalFor(plan)).toMatchObject({ outcome: 'blocked', reason: 'revision_gone' })
    const read = await executor.read(plan)
    await expect(executor.send(plan, 'act', 'r-1', read)).rejects.toMatchObject({ kind: 'missing', code: 'revision_gone' })
    expect(changesOf('forgotten')).toEqual([])
  })

  test('never chooses a revision that was never available', async () => {
    await deploy('unproven', { image: 'shop/cart:0-broken', replicas: 0 })
    await call('PATCH', deployments('unproven'), { spec: { replicas: 1, template: { spec: podSpec('shop/cart:1-broken') } } })
    await eventually('the second revision is seen', async () => (await observed('unproven')).revisions.length === 2)
    await eventually('the newest generation is seen', async () => (await observed('unproven')).observedGeneration === 2)
    expect(actionRules.rollback_deployment.plan(await observed('unproven'), {}, null)).toMatchObject({ outcome: 'blocked', reason: 'no_earlier_revision' })
    expect(await checkNamed(await rollingBack('unproven', 1), 'revision')).toMatchObject({ status: 'warn' })
  })

  test('is refused while a mutating policy would store something else', async () => {
    await deploy('mutated')
    await breakIt('mutated')
    await call('PATCH', deployments('mutated'), { metadata: { labels: { 'test-mutate': namespace } } })
    const plan = await rollingBack('mutated')
    await mutatingPolicy()
    expect(await eventually('the policy is in force', async () => (await refusalFor(plan)) ?? undefined)).toMatchObject({ reason: 'dry_run_differs' })
  })
})

async function mutatingPolicy(): Promise<void> {
  const group = '/apis/admissionregistration.k8s.io/v1'
  await call('POST', `${group}/mutatingadmissionpolicies`, {
    metadata: { name: `${namespace}-label` },
    spec: {
      matchConstraints: { resourceRules: [{ apiGroups: ['apps'], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['deployments'] }] },
      matchConditions: [{ name: 'ours', expression: `has(object.metadata.labels) && 'test-mutate' in object.metadata.labels && object.metadata.labels['test-mutate'] == '${namespace}'` }],
      failurePolicy: 'Fail',
      reinvocationPolicy: 'Never',
      mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{spec: Object.spec{template: Object.spec.template{metadata: Object.spec.template.metadata{labels: {"injected": "yes"}}}}}' } }],
    },
  })
  await call('POST', `${group}/mutatingadmissionpolicybindings`, { metadata: { name: `${namespace}-label` }, spec: { policyName: `${namespace}-label` } })
}

describe('restart', () => {
  test('is an eviction with the UID, the resourceVersion and the remediation in it', async () => {
    await deploy('evicted')
    const name = (await podsOf('evicted'))[0]!['metadata'].name
    const plan = await restarting(name)
    expect(plan.workload).toMatchObject({ kind: 'Deployment', name: 'evicted' })
    expect(await executor.preflight(plan, options)).toMatchObject({ refusal: null, undo: 'none' })
    expect((await executor.health(plan)).podGone).toBe(false)

    const read = await executor.read(plan)
    const resourceVersion = read.exists ? read.resourceVersion : ''
    expect(await executor.send(plan, 'act', 'r-1', read)).toEqual({ sent: 'applied', resourceVersion: null })
    expect(await run(plan, 'act', 'r-1')).toBe('gone')
    const writes = changesOf(name)
    expect(writes).toHaveLength(1)
    expect(writes[0]).toMatchObject({
      userAgent: 'aegis-executor/test',
      user: { username: 'system:serviceaccount:aegis-system:aegis-executor' },
      objectRef: { subresource: 'eviction' },
      requestObject: { metadata: { annotations: { 'aegis.dev/remediation': 'r-1' } }, deleteOptions: { preconditions: { uid: plan.target.uid, resourceVersion } } },
    })
    await eventually('the pod is replaced', async () => {
      const { podGone, rollout, health } = await executor.health(plan)
      return podGone === true && rollout === 'complete' && health.ready === 3
    })
  })

  test('never reaches the replacement that took the name', async () => {
    await call('POST', at('/apis/apps/v1', 'statefulsets'), {
      metadata: { name: 'db' },
      spec: { replicas: 1, serviceName: 'db', selector: { matchLabels: { app: 'db' } }, template: { metadata: { labels: { app: 'db' } }, spec: podSpec('shop/db:1') } },
    })
    await eventually('db-0 is ready', async () => (await reader.observe(target('Pod', 'db-0')))?.health.ready === 1)
    const plan = await restarting('db-0')
    expect(plan.workload).toMatchObject({ kind: 'StatefulSet', name: 'db' })
    const late = await executor.read(plan)
    expect(await run(plan, 'act', 'r-1')).toBe('applied')
    const replacement = await eventually('db-0 is back', async () => {
      const pod = await reader.observe(target('Pod', 'db-0'))
      return pod && pod.uid !== plan.target.uid && pod.health.ready === 1 && pod.uid
    })
    expect((await executor.send(plan, 'act', 'r-1', late)).sent).toBe('conflict')
    expect(await run(plan, 'act', 'r-1')).toBe('gone')
    expect(await executor.fence(plan, 'r-1', 'abandoned', await executor.read(plan))).toBe('gone')
    expect((await reader.observe(target('Pod', 'db-0')))?.uid).toBe(replacement)
    expect(changesOf('db-0')).toHaveLength(1)
  })

  test('is refused while the disruption budget is spent, and for good with two of them', async () => {
    await deploy('budgeted')
    const budget = (name: string) => call('POST', at('/apis/policy/v1', 'poddisruptionbudgets'), { metadata: { name }, spec: { minAvailable: 3, selector: { matchLabels: { app: 'budgeted' } } } })
    await budget('budget-one')
    const plan = await restarting((await podsOf('budgeted'))[0]!['metadata'].name)
    const refused = await eventually('the budget counts', async () => (await refusalFor(plan)) ?? undefined)
    expect(refused).toMatchObject({ outcome: 'blocked', reason: 'pdb_exhausted' })
    expect(await checkNamed(plan, 'pdb')).toMatchObject({ status: 'fail' })
    expect(await executor.send(plan, 'act', 'r-1', await executor.read(plan))).toMatchObject({ sent: 'refused', code: 'pdb_exhausted', retryable: true })

    await budget('budget-two')
    expect(await executor.send(plan, 'act', 'r-1', await executor.read(plan))).toMatchObject({ sent: 'refused', code: 'pdb_ambiguous', retryable: false })
    expect(await refusalFor(plan)).toMatchObject({ reason: 'pdb_ambiguous' })
    expect(changes().filter(({ objectRef }) => objectRef?.name === plan.target.name)).toEqual([])
  })

  test('leaves a pod alone that nothing would replace', async () => {
    await call('POST', pods(), { metadata: { name: 'bare' }, spec: podSpec('shop/bare:1') })
    const observation = await reader.observe(target('Pod', 'bare'))
    expect(actionRules.restart_pod.plan(observation!, {}, null)).toMatchObject({ outcome: 'blocked', reason: 'not_controlled' })
  })

  test('leaves a static pod alone', async () => {
    const node = await call('GET', '/api/v1/nodes/node-1')
    const owner = { apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: node['metadata'].uid, controller: true }
    await call('POST', pods(), { metadata: { name: 'mirror', annotations: { 'kubernetes.io/config.mirror': 'x' }, ownerReferences: [owner] }, spec: { nodeName: 'node-1', ...podSpec('shop/static:1') } })
    const observation = await reader.observe(target('Pod', 'mirror'))
    expect(actionRules.restart_pod.plan(observation!, {}, null)).toMatchObject({ outcome: 'blocked', reason: 'static_pod' })
  })

  test('says when it takes the only ready pod', async () => {
    await deploy('single', { replicas: 1 })
    expect(await checkNamed(await restarting((await podsOf('single'))[0]!['metadata'].name), 'availability')).toMatchObject({ status: 'warn' })
  })
})
