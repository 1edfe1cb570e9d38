import type { V1Deployment } from '@kubernetes/client-node'
import { diffOf } from '../../domain/actions/diff.ts'
import type { DeploymentRead } from '../../domain/actions/situation.ts'
import { Failure } from '../../domain/failure.ts'
import type { Plan, PreflightCard, RestartPodPlan, RollbackDeploymentPlan, ScaleDeploymentPlan } from '../../domain/plan.ts'
import { stampAnnotation } from '../../domain/stamp.ts'
import { get, pathOf } from './api.ts'
import { deploymentRead, keepTemplates, readTarget } from './attempt.ts'
import type { PreflightOptions, SendResult } from './cluster.ts'
import type { Answer, Call, Connection } from './connection.ts'
import { dryRun, rollbackCall, scaleCall } from './mutations.ts'
import { callFor, sendResult } from './sending.ts'
import { plainTemplate, templateHash } from './template.ts'

/** A dry run of the very request a send makes, and what it would store. */
export type Rehearsal = {
  result: Exclude<SendResult, { sent: 'conflict' }>
  /** What the server would store is what was planned. */
  faithful: boolean
  diff: PreflightCard['diff']
  /** As it was read for the rehearsal that counted. */
  deployment: V1Deployment | undefined
}

type DeploymentPlan = ScaleDeploymentPlan | RollbackDeploymentPlan
type Options = Pick<PreflightOptions, 'keyedDigest' | 'remediationId'>
type Tried = { result: SendResult; answer: Answer; deployment?: V1Deployment }

/** Status writes move resourceVersion all the time; a rehearsal starts over this often. */
const tryLimit = 5

export async function rehearseEviction(connection: Connection, plan: RestartPodPlan, { remediationId }: Options): Promise<Rehearsal> {
  const { result } = await rehearse(async () => {
    const read = await readTarget(connection, plan)
    if (!read.exists || read.uid !== plan.target.uid) return { result: { sent: 'other_object' }, answer: nothing }
    return send(connection, plan, callFor(plan, 'act', remediationId, read))
  })
  const diff = [{ path: pathOf('pods', plan.target.namespace, plan.target.name), before: `uid ${plan.target.uid}`, after: null }]
  return { result, faithful: true, diff, deployment: undefined }
}

export async function rehearseChange(connection: Connection, plan: DeploymentPlan, { remediationId, keyedDigest }: Options): Promise<Rehearsal> {
  const { result, answer, deployment } = await rehearse(() =>
    withDeployment(connection, plan, async (_raw, read) => {
      if (plan.action === 'rollback_deployment' && !(await keepTemplates(connection, plan, read))) return { result: revisionGone, answer: nothing }
      return send(connection, plan, callFor(plan, 'act', remediationId, read))
    }),
  )
  if (result.sent !== 'applied' || !deployment) return { result, faithful: false, diff: [], deployment }
  const stored = answer.body as V1Deployment
  return { result, faithful: isFaithful(plan, stored), diff: diffOf(shown(deployment), shown(stored), keyedDigest), deployment }
}

const revisionGone: SendResult = { sent: 'refused', code: 'revision_gone', message: 'the pinned revision is gone', retryable: false, retryAfterMs: null }

/** Writes what is there already, plus a stamp: would admission let the present state back in? */
export async function rehearseUndo(connection: Connection, plan: DeploymentPlan, { remediationId }: Options): Promise<Rehearsal> {
  const { result } = await rehearse(() =>
    withDeployment(connection, plan, (raw, read) => {
      const call =
        plan.action === 'scale_deployment'
          ? scaleCall(plan, 'undo', remediationId, read)
          : rollbackCall(plan, 'undo', remediationId, read, plainTemplate(raw.spec?.template))
      return send(connection, plan, call)
    }),
  )
  return { result, faithful: true, diff: [], deployment: undefined }
}

const nothing: Answer = { status: 404, body: null, retryAfterMs: null }

async function withDeployment(connection: Connection, plan: DeploymentPlan, act: (raw: V1Deployment, read: DeploymentRead) => Promise<Tried>): Promise<Tried> {
  const raw = await get<V1Deployment>(connection, pathOf('deployments', plan.target.namespace, plan.target.name))
  if (raw?.metadata?.uid !== plan.target.uid) return { result: { sent: 'other_object' }, answer: nothing }
  return { ...(await act(raw, deploymentRead(raw))), deployment: raw }
}

async function send(connection: Connection, plan: Plan, call: Call): Promise<Tried> {
  const answer = await connection.request(dryRun(call))
  return { result: sendResult(connection, plan, answer), answer }
}

async function rehearse(attempt: () => Promise<Tried>): Promise<Tried & { result: Rehearsal['result'] }> {
  for (let tries = 0; tries < tryLimit; tries++) {
    const { result, ...tried } = await attempt()
    if (result.sent === 'refused' && result.code === 'throttled') throw new Failure('unavailable', 'throttled', result.message)
    if (result.sent !== 'conflict') return { ...tried, result }
  }
  throw new Failure('unavailable', 'busy_target', `the target changed ${tryLimit} times while the change was being tried; trying again`)
}

function isFaithful(plan: DeploymentPlan, { spec }: V1Deployment): boolean {
  if (plan.action === 'scale_deployment') return spec?.replicas === plan.replicas.to
  return templateHash(plainTemplate(spec?.template)) === plan.revision.to.templateHash
}

/** What people decide on: no status, no bookkeeping, not our own stamp. */
function shown({ metadata, spec }: V1Deployment) {
  const { [stampAnnotation]: _stamp, ...annotations } = metadata?.annotations ?? {}
  return { metadata: { labels: metadata?.labels, annotations }, spec }
}
