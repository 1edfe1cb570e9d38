/** The eight incidents: what happens to whom, and how each must end. */
import type { Outcome, Verdict } from '../../domain/remediation.ts'
import { isClosed, type AegisApi, type RemediationView } from './aegis-api.ts'
import { replicas, until, workloadName, type Shop } from './workloads.ts'

export type Stage = {
  shop: Shop
  admin: AegisApi
  /** Another person than the one who asks. */
  approver: AegisApi
  cluster: string
  /** Changes the one line of the policy file and waits until it is in force. */
  tightenPolicy(): Promise<void>
  /** Arms the proxy before the API server: the worker is killed between call and record, then started again. */
  killWorkerAfterCall(namespace: string): Promise<void>
}

type Tell = (line: string) => void

export type Incident = {
  id: string
  name: string
  expect: { outcome: Outcome; verdict: Verdict | null; /** Effective mutations in the audit log. */ mutations: number }
  /** Makes the workload, before anything goes wrong. */
  prepare(stage: Stage): Promise<void>
  /** Lets it happen; returns the remediation's id. */
  happen(stage: Stage, tell: Tell): Promise<string>
  /** More that must be true at the end, such as the spec; throws a sentence if not. */
  check?(stage: Stage, view: RemediationView): Promise<void>
}

export const namespaceOf = (id: string): string => `demo-${id}`

const good = 'registry.example/checkout:1'
const broken = 'registry.example/checkout:2-missing'
const findLimitMs = 60_000

const deployed = (id: string) => async ({ shop }: Stage) => {
  await shop.open(namespaceOf(id), good)
  await shop.untilReady(namespaceOf(id))
}

async function found({ admin }: Stage, id: string): Promise<string> {
  let remediation: string | undefined
  await until(`the watcher finds the fault in ${namespaceOf(id)}`, async () => (remediation = await admin.findIn(namespaceOf(id))) !== undefined, findLimitMs)
  return remediation ?? ''
}

const target = ({ cluster }: Stage, id: string) => ({ cluster, namespace: namespaceOf(id), kind: 'Deployment', name: workloadName })

const scaleUp = (stage: Stage, id: string) =>
  stage.admin.remediate({ action: 'scale_deployment', target: target(stage, id), parameters: { replicas: replicas + 1 }, reason: 'more room before the sale' })

/** An alert as Alertmanager posts it. */
async function alert({ admin, cluster }: Stage, id: string): Promise<string> {
  const labels = { alertname: 'HighRequestLatency', severity: 'warning', cluster, namespace: namespaceOf(id), deployment: workloadName }
  const startsAt = new Date().toISOString()
  const fired = { status: 'firing', labels, annotations: {}, startsAt, endsAt: '0001-01-01T00:00:00Z', generatorURL: '', fingerprint: fingerprintOf(id) }
  const { results } = await admin.call<{ results: { id: string }[] }>('POST', '/api/v1/alerts', {
    version: '4', groupKey: `{}:{alertname="HighRequestLatency"}`, truncatedAlerts: 0, status: 'firing', receiver: 'aegis',
    groupLabels: { alertname: 'HighRequestLatency' }, commonLabels: labels, commonAnnotations: {}, externalURL: '', alerts: [fired],
  })
  return results[0]?.id ?? ''
}
const fingerprintOf = (id: string) => Buffer.from(`aegis-${id}`.padEnd(8, '0')).toString('hex').slice(0, 16)

const image = async ({ shop }: Stage, id: string) => (await shop.deployment(namespaceOf(id))).spec?.template.spec?.containers[0]?.image
const must = (holds: boolean, sentence: string) => {
  if (!holds) throw new Error(sentence)
}
const scaledTo = (id: string, wanted: number) => async ({ shop }: Stage) => {
  const { spec } = await shop.deployment(namespaceOf(id))
  must(spec?.replicas === wanted, `${namespaceOf(id)} should have ${wanted} replicas, it has ${spec?.replicas}`)
}
const runsGoodImage = (id: string) => async (stage: Stage) => must((await image(stage, id)) === good, `${namespaceOf(id)} should run ${good} again`)

async function waitsForPeople({ admin }: Stage, remediation: string, tell: Tell): Promise<RemediationView> {
  const waits = (view: RemediationView) => isClosed(view) || (view.phase === 'awaiting_approval' && view.plan !== null)
  return admin.follow(remediation, waits, (view) => tell(view.phase))
}
const approve = ({ approver }: Stage, { id, plan }: RemediationView) =>
  approver.call('POST', `/api/v1/remediations/${id}/approve`, { planDigest: plan?.digest, comment: 'go ahead' })

export const incidents: readonly Incident[] = [
  {
    id: 'a',
    name: 'a rollout to a broken image is rolled back',
    expect: { outcome: 'healed', verdict: 'better', mutations: 1 },
    prepare: deployed('a'),
    async happen(stage, tell) {
      await stage.shop.release(namespaceOf('a'), broken)
      tell('a release with a missing image is out; the watcher looks')
      return found(stage, 'a')
    },
    check: runsGoodImage('a'),
  },
  {
    id: 'b',
    name: 'a stuck pod is evicted',
    expect: { outcome: 'healed', verdict: 'better', mutations: 1 },
    prepare: deployed('b'),
    async happen(stage, tell) {
      const [pod] = await stage.shop.pods(namespaceOf('b'))
      await stage.shop.annotatePod(namespaceOf('b'), pod?.metadata?.name ?? '', { 'sandbox.aegis.dev/stuck': 'true' })
      tell('one pod hangs; the watcher looks')
      return found(stage, 'b')
    },
  },
  {
    id: 'c',
    name: 'an alert leads to two replicas more',
    expect: { outcome: 'healed', verdict: 'better', mutations: 1 },
    prepare: deployed('c'),
    happen: (stage) => alert(stage, 'c'),
    check: scaledTo('c', replicas + 2),
  },
  {
    id: 'd',
    name: 'the same alert, with one policy line changed',
    expect: { outcome: 'denied', verdict: null, mutations: 0 },
    prepare: deployed('d'),
    async happen(stage, tell) {
      tell('`value: 6` becomes `value: 2` in the policy file')
      await stage.tightenPolicy()
      return alert(stage, 'd')
    },
    check: scaledTo('d', replicas),
  },
  {
    id: 'e',
    name: 'a rollback that makes it worse is taken back',
    expect: { outcome: 'undone', verdict: 'worse', mutations: 2 },
    async prepare({ shop }) {
      // Revision 1 was ready once and is so no longer: its pods stop being ready soon after they start.
      await shop.open(namespaceOf('e'), 'registry.example/checkout:0-fragile')
      await shop.untilReady(namespaceOf('e'))
      await shop.release(namespaceOf('e'), good)
      await shop.untilReady(namespaceOf('e'))
    },
    async happen(stage, tell) {
      tell('someone asks for revision 1, which no longer works')
      stage.shop.poison(namespaceOf('e'))
      return stage.admin.remediate({ action: 'rollback_deployment', target: target(stage, 'e'), parameters: { revision: 1 }, reason: 'the old release was fine' })
    },
    check: runsGoodImage('e'),
  },
  {
    id: 'f',
    name: 'another person approves',
    expect: { outcome: 'healed', verdict: 'better', mutations: 1 },
    prepare: deployed('f'),
    async happen(stage, tell) {
      const id = await scaleUp(stage, 'f')
      await approve(stage, await waitsForPeople(stage, id, tell))
      tell('approved by another person')
      return id
    },
    check: scaledTo('f', replicas + 1),
  },
  {
    id: 'h',
    name: 'the target changes while approval is pending',
    expect: { outcome: 'overtaken', verdict: null, mutations: 0 },
    prepare: deployed('h'),
    async happen(stage, tell) {
      const id = await scaleUp(stage, 'h')
      const waiting = await waitsForPeople(stage, id, tell)
      await stage.shop.scale(namespaceOf('h'), replicas + 4)
      tell('someone scales it by hand; then the approval comes')
      await approve(stage, waiting)
      return id
    },
    check: scaledTo('h', replicas + 4),
  },
  {
    id: 'g',
    name: 'the worker is killed between call and record',
    expect: { outcome: 'healed', verdict: 'better', mutations: 1 },
    async prepare({ shop }) {
      await shop.open(namespaceOf('g'), good)
      await shop.untilReady(namespaceOf('g'))
      await shop.release(namespaceOf('g'), broken)
    },
    async happen(stage, tell) {
      const killed = stage.killWorkerAfterCall(namespaceOf('g'))
      const id = await stage.admin.remediate({ action: 'rollback_deployment', target: target(stage, 'g'), parameters: {}, reason: 'the release does not start' })
      await killed
      tell('SIGKILL after the call, before its record; a new worker is up')
      return id
    },
    check: runsGoodImage('g'),
  },
]
