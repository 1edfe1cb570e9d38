/** Aegis's processes on the real stack, with two clusters, asked as its users ask it and judged by the audit logs. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { actionNames } from '../../domain/remediation.ts'
import { startAegis, type Aegis } from '../../sandbox/aegis.ts'
import { mutationsBy } from '../../sandbox/audit.ts'
import { manageNamespace } from '../../sandbox/servers/backstop.ts'
import { openGuards } from '../../sandbox/open-guards.ts'
import { checkout } from '../../sandbox/setup/programs.mjs'
import { alert, webhook } from '../helpers/alerts.ts'
import { thawed } from '../helpers/freeze.ts'
import { openJudge, type Judge } from '../helpers/judge.ts'
import { operator, type Operator } from '../helpers/operator.ts'
import { clusterNamed, freshDatabase, stack, type FreshDatabase } from '../helpers/stack.ts'
import { administrator, deploymentBody, good, handsOn, name, replicas, subjectFor } from '../helpers/subjects.ts'

const [main, edge] = [clusterNamed('main'), clusterNamed('edge')]

/** `e2e-ask-*` needs two people; everything else in `e2e-*` is allowed. */
const policies = `
apiVersion: aegis.dev/policy/v1
id: e2e-allow
name: Anything in these tests
effect: allow
actions: ['*']
resources: ['k8s:*/e2e-*/**']
owner: tests
---
apiVersion: aegis.dev/policy/v1
id: e2e-ask
name: Two people are asked
effect: require_approval
actions: ['*']
resources: ['k8s:*/e2e-ask-*/**']
obligations: { minApprovals: 2, approvalTtl: 10m }
owner: tests
---
${readFileSync(join(checkout, 'policies/20-production.yaml'), 'utf8')}
`

const settings = {
  ...openGuards,
  AEGIS_MODE: 'auto',
  AEGIS_NAMESPACES: 'e2e-*',
  AEGIS_NAMESPACE_MODES: 'e2e-suggest=suggest,e2e-observe=observe',
  AEGIS_SETTLE_MS: '700',
  AEGIS_DEADLINE_MS: '60000',
  AEGIS_LIMITS: 'restart_pod=2/300s,scale_deployment=100/60s',
}

let aegis: Aegis
let database: FreshDatabase
let judge: Judge
let admin: Operator

beforeAll(async () => {
  database = await freshDatabase()
  const directory = join(stack.directory, 'e2e')
  const policyDirectory = join(directory, 'policies')
  mkdirSync(policyDirectory, { recursive: true, mode: 0o700 })
  writeFileSync(join(policyDirectory, 'e2e.yaml'), policies)
  const env = { ...settings, AEGIS_POLICY_DIRECTORY: policyDirectory }
  aegis = await startAegis({ stack, directory, stackDirectory: stack.directory, database, env, watcher: false })
  judge = openJudge(main, database)
  admin = operator(aegis.url, aegis.apiKey)
})
afterAll(async () => {
  await aegis?.stop()
  await judge?.close()
  await database?.drop()
})

type Operation = { get: { responses: Record<string, { content: Record<string, { schema: object }> }> } }
const { paths } = JSON.parse(readFileSync(join(checkout, 'api/openapi.json'), 'utf8')) as { paths: Record<string, Operation> }

/** What is wrong with an answer by the document that callers are given. */
function againstDocument(path: string, answer: unknown): unknown[] {
  const ajv = new Ajv2020({ strict: false, formats: { uuid: true, 'date-time': true } })
  const schema = paths[path]?.get.responses['200']?.content['application/json']?.schema
  if (!schema) throw new Error(`the document knows no answer to GET ${path}`)
  ajv.validate(schema, answer)
  return ajv.errors ?? []
}

const executed = (cluster: typeof main, namespace: string) => mutationsBy(cluster, { userAgentPrefix: 'aegis-executor/', namespace })

describe('two clusters', () => {
  test('each remediation acts in its own cluster, by that cluster’s worker alone', async () => {
    const [here, there] = [await subjectFor(main, 'scale_deployment', { prefix: 'e2e' }), await subjectFor(edge, 'scale_deployment', { prefix: 'e2e' })]
    const ids = await Promise.all([admin.remediate(here.request), admin.remediate(there.request)])
    const endings = await Promise.all(ids.map((id) => judge.closed(id)))
    expect(endings).toMatchObject([{ outcome: 'healed' }, { outcome: 'healed' }])
    expect(executed(main, here.namespace)).toHaveLength(1)
    expect(executed(edge, there.namespace)).toHaveLength(1)
    expect(executed(edge, here.namespace).concat(executed(main, there.namespace))).toEqual([])
  })
})

describe('the OpenAPI document', () => {
  test.each(actionNames)('is true of a %s, from the wish to its end', async (action) => {
    const { request } = await subjectFor(main, action, { prefix: 'e2e' })
    const id = await admin.remediate(request)
    expect(await judge.closed(id)).toMatchObject({ outcome: 'healed' })
    const shown = await admin.show(id)
    expect(shown).toMatchObject({ plan: { plan: { action } }, preflight: { refusal: null }, effects: [{ result: 'applied' }] })
    expect(againstDocument('/api/v1/remediations/{id}', shown)).toEqual([])
    const list = await admin.must('GET', `/api/v1/remediations?namespace=${request.target.namespace}`)
    expect(list['items']).toEqual([expect.objectContaining({ id, outcome: 'healed' })])
    expect(againstDocument('/api/v1/remediations', list)).toEqual([])
  })
})

describe('alerts', () => {
  test('a storm of fifty alerts for one workload is one run and one effect', async () => {
    const { namespace } = await subjectFor(main, 'scale_deployment', { prefix: 'e2e' })
    const storm = Array.from({ length: 50 }, (_, index) => alert({ namespace, deployment: name, extra: { instance: `${index}` } }))
    const answers = await Promise.all([0, 1, 2, 3, 4].map((part) => admin.must('POST', '/api/v1/alerts', webhook(storm.slice(part * 10, part * 10 + 10)))))
    const results = answers.flatMap(({ results }) => results as { id: string; result: string }[])
    expect(results).toHaveLength(50)
    const ids = new Set(results.map(({ id }) => id))
    expect(ids.size).toBe(1)
    expect(await judge.closed([...ids][0]!)).toMatchObject({ outcome: 'healed', verdict: 'better' })
    expect(executed(main, namespace)).toHaveLength(1)
    expect((await handsOn(main, namespace).deployment()).spec?.replicas).toBe(replicas + 2)
  })

  test('an alert that resolves while people are asked ends the run', async () => {
    const { namespace } = await subjectFor(main, 'scale_deployment', { prefix: 'e2e-ask' })
    const fired = alert({ namespace, deployment: name })
    const { results } = await admin.must('POST', '/api/v1/alerts', webhook([fired]))
    const id = (results as { id: string }[])[0]!.id
    await admin.until(id, 'waits for people', ({ phase }) => phase === 'awaiting_approval')
    await admin.must('POST', '/api/v1/alerts', webhook([{ ...fired, status: 'resolved' }]))
    expect(await judge.closed(id)).toMatchObject({ outcome: 'no_action_needed', reason: 'alert_resolved' })
    expect(executed(main, namespace)).toEqual([])
  })
})

describe('what an alert says is not enough', () => {
  test('a release that has come up since is not taken back', async () => {
    const { namespace } = await subjectFor(main, 'scale_deployment', { prefix: 'e2e' })
    const hands = handsOn(main, namespace)
    await hands.release('registry.example/checkout:2')
    await hands.untilComplete()
    const late = ['KubeDeploymentRolloutStuck', 'KubeDeploymentReplicasMismatch'].map((alertname) =>
      alert({ namespace, deployment: name, alertname, startsAt: new Date(Date.now() - 900_000).toISOString() }))
    for (const each of late) {
      const { results } = await admin.must('POST', '/api/v1/alerts', webhook([each]))
      expect(await judge.closed((results as { id: string }[])[0]!.id)).toMatchObject({ outcome: 'no_action_needed', reason: 'fault_gone' })
    }
    expect(executed(main, namespace)).toEqual([])
  })
})

describe('production', () => {
  test.each(['workload', 'namespace'])('is what its %s is labelled as: people are asked', async (labelled) => {
    const { namespace, request } = await subjectFor(main, 'scale_deployment', { prefix: 'e2e' })
    const [hands, labels] = [handsOn(main, namespace), { environment: 'production' }]
    await (labelled === 'workload' ? hands.patch({ metadata: { labels } }) : hands.labelNamespace(labels))
    const id = await admin.remediate(request)
    const { decision } = await admin.until(id, 'waits for people', ({ phase }) => phase === 'awaiting_approval')
    expect(decision).toMatchObject({ proceed: 'ask', reason: expect.stringContaining('labelled as production') })
    await admin.must('POST', `/api/v1/remediations/${id}/cancel`, {})
    expect(await judge.closed(id)).toMatchObject({ outcome: 'cancelled' })
    expect(executed(main, namespace)).toEqual([])
  })
})

describe('people', () => {
  test('two people must approve, the one who asked is not one of them, and the same person counts once', async () => {
    const { namespace, request } = await subjectFor(main, 'scale_deployment', { prefix: 'e2e-ask' })
    const person = async (owner: string) => {
      const { url, key } = await admin.another(owner, ['approver'])
      return operator(url, key)
    }
    const [robin, kim] = [await person('robin'), await person('kim')]
    const id = await admin.remediate(request)
    const { plan } = await admin.until(id, 'waits for people', ({ phase, plan }) => phase === 'awaiting_approval' && plan !== null)
    const approve = (who: Operator) => who.ask('POST', `/api/v1/remediations/${id}/approve`, { planDigest: plan!.digest })

    expect((await approve(admin)).body).toMatchObject({ status: 403, code: 'own_request' })
    expect((await robin.ask('POST', `/api/v1/remediations/${id}/approve`, { planDigest: `sha256:${'0'.repeat(64)}` })).status).toBe(409)
    expect((await approve(robin)).status).toBeLessThan(300)
    await admin.until(id, 'has counted the first approval', ({ decision, steps }) => decision?.proceed === 'ask' && steps.filter(({ step }) => step === 'evaluatePolicy').length === 2)
    await approve(robin)
    expect(executed(main, namespace)).toEqual([])
    expect((await approve(kim)).status).toBeLessThan(300)
    expect(await judge.closed(id)).toMatchObject({ outcome: 'healed' })
    expect(executed(main, namespace)).toHaveLength(1)
  })

  test('a rejection ends it, and a cancel before the call touches nothing', async () => {
    const [first, second] = [await subjectFor(main, 'scale_deployment', { prefix: 'e2e-ask' }), await subjectFor(main, 'scale_deployment', { prefix: 'e2e-ask' })]
    const ids = [await admin.remediate(first.request), await admin.remediate(second.request)] as const
    await Promise.all(ids.map((id) => admin.until(id, 'waits for people', ({ phase }) => phase === 'awaiting_approval')))
    const { url, key } = await admin.another('sasha', ['approver'])
    await operator(url, key).must('POST', `/api/v1/remediations/${ids[0]}/reject`, { comment: 'not now' })
    await admin.must('POST', `/api/v1/remediations/${ids[1]}/cancel`, {})
    expect(await judge.closed(ids[0])).toMatchObject({ outcome: 'declined', message: 'sasha declined: not now' })
    expect(await judge.closed(ids[1])).toMatchObject({ outcome: 'cancelled' })
    expect([...executed(main, first.namespace), ...executed(main, second.namespace)]).toEqual([])
  })
})

describe('limits, freeze and turns', () => {
  test('the third restart in a namespace with room for two is limited', async () => {
    const { namespace } = await subjectFor(main, 'scale_deployment', { prefix: 'e2e' })
    const hands = handsOn(main, namespace)
    const endings: string[] = []
    for (let round = 0; round < 3; round++) {
      await hands.untilComplete()
      const pod = await hands.hang()
      const id = await admin.remediate({ action: 'restart_pod', target: { cluster: 'main', namespace, kind: 'Pod', name: pod }, reason: 'it hangs' })
      endings.push((await judge.closed(id)).outcome)
    }
    expect(endings).toEqual(['healed', 'healed', 'limited'])
    expect(executed(main, namespace)).toHaveLength(2)
  })

  test('a freeze stops what it covers, and lifting it lets the next one through', async () => {
    const { namespace, request } = await subjectFor(main, 'scale_deployment', { prefix: 'e2e' })
    const { freezeId } = await admin.must('POST', '/api/v1/freeze', { scope: { namespace }, reason: 'an incident call' })
    expect(await judge.closed(await admin.remediate(request))).toMatchObject({ outcome: 'frozen' })
    expect(executed(main, namespace)).toEqual([])
    await thawed({ operator: admin }, String(freezeId))
    expect(await judge.closed(await admin.remediate(request))).toMatchObject({ outcome: 'healed' })
  })

  test('two requests at once for one workload: one acts, the other joins it', async () => {
    const { namespace, request } = await subjectFor(main, 'scale_deployment', { prefix: 'e2e' })
    const ids = await Promise.all([admin.remediate(request), admin.remediate(request)])
    const outcomes = (await Promise.all(ids.map((id) => judge.closed(id)))).map(({ outcome }) => outcome).sort()
    expect([['coalesced', 'healed'], ['healed', 'no_action_needed'], ['healed', 'overtaken']]).toContainEqual(outcomes)
    expect(executed(main, namespace)).toHaveLength(1)
  })
})

describe('modes', () => {
  test('suggest and observe say what they would do and touch nothing', async () => {
    const [suggested, observed] = await Promise.all(['e2e-suggest', 'e2e-observe'].map((namespace) => subjectIn(namespace)))
    expect(await judge.closed(await admin.remediate(suggested!))).toMatchObject({ outcome: 'suggested' })
    expect(await judge.closed(await admin.remediate(observed!))).toMatchObject({ outcome: 'observed' })
    expect([...executed(main, 'e2e-suggest'), ...executed(main, 'e2e-observe')]).toEqual([])
  })
})

/** Modes are set by name, so these namespaces have fixed ones. */
async function subjectIn(namespace: string) {
  await administrator(main).core.createNamespace({ body: { metadata: { name: namespace } } })
  await manageNamespace(main.kubeconfig, namespace)
  const hands = handsOn(main, namespace)
  await hands.deploy(deploymentBody(good))
  await hands.untilComplete()
  return { action: 'scale_deployment', target: { cluster: 'main', namespace, kind: 'Deployment', name }, parameters: { replicas: replicas + 1 }, reason: 'a mode test' }
}
