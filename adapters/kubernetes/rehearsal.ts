import type { V1Deployment, V1Pod } from '@kubernetes/client-node'
import { diffOf } from '../../domain/actions/diff.ts'
import type { DeploymentRead } from '../../domain/actions/situation.ts'
import { Failure } from '../../domain/failure.ts'
import type { Plan, PreflightCard, RestartPodPlan, RollbackDeploymentPlan, ScaleDeploymentPlan } from '../../domain/plan.ts'
import { stampAnnotation } from '../../domain/stamp.ts'
import { get, pathOf } from './api.ts'
import { deploymentRead, podRead, readTarget } from './attempt.ts'
import type { PreflightOptions, SendResult } from './cluster.ts'
import type { Answer, Call, Connection } from './connection.ts'
import { dryRun, rollbackCall, scaleCall } from './mutations.ts'
import { callFor, sendResult } from './sending.ts'
import { plainTemplate, templateHash, type Template } from './template.ts'

/** A dry run of the very request a send makes, and what it would store. */
export type Rehearsal = {
  result: Exclude<SendResult, { sent: 'conflict' }>
  /** What the server would store is what was planned. */
  faithful: boolean
  diff: PreflightCard['diff']
}

export type DeploymentPlan = ScaleDeploymentPlan | RollbackDeploymentPlan
/** What a rehearsal is of, and where. */
export type Stage<P extends Plan> = { connection: Connection; plan: P; options: Pick<PreflightOptions, 'keyedDigest' | 'remediationId'> }
type Tried = { result: SendResult; answer: Answer; deployment?: V1Deployment }
type Ended = Tried & { result: Rehearsal['result'] }

/** Status writes move resourceVersion all the time; a rehearsal starts over this often. */
const tryLimit = 5

/** Each rehearsal starts from what preflight has read already; only a conflict reads again. */
export async function rehearseEviction({ connection, plan, options }: Stage<RestartPodPlan>, first: V1Pod): Promise<Rehearsal> {
  const { result } = await rehearse(async (tries) => {
    const read = tries === 0 ? podRead(first) : await readTarget(connection, plan)
    if (!read.exists || read.uid !== plan.target.uid) return { result: { sent: 'other_object' }, answer: nothing }
    return send(connection, plan, callFor(plan, 'act', options.remediationId, read))
  })
  const diff = [{ path: pathOf('pods', plan.target.namespace, plan.target.name), before: `uid ${plan.target.uid}`, after: null }]
  return { result, faithful: true, diff }
}

export async function rehearseScale(stage: Stage<ScaleDeploymentPlan>, first: V1Deployment): Promise<Rehearsal> {
  const { plan, options } = stage
  const ended = await rehearseOn(stage, first, (read) => callFor(plan, 'act', options.remediationId, read))
  return shownOf(stage, ended, ({ spec }) => spec?.replicas === plan.replicas.to)
}

/** `template` is what the plan pinned; undefined when it is gone. */
export async function rehearseRollback(stage: Stage<RollbackDeploymentPlan>, first: V1Deployment, template: Template | undefined): Promise<Rehearsal> {
  const { plan, options } = stage
  if (!template) return { result: revisionGone, faithful: false, diff: [] }
  const ended = await rehearseOn(stage, first, (read) => rollbackCall(plan, 'act', options.remediationId, read, template))
  return shownOf(stage, ended, ({ spec }) => templateHash(plainTemplate(spec?.template)) === plan.revision.to.templateHash)
}

const revisionGone: Rehearsal['result'] = { sent: 'refused', code: 'revision_gone', message: 'the pinned revision is gone', retryable: false, retryAfterMs: null }

/** Writes what is there already, plus a stamp: would admission let the present state back in? */
export async function rehearseUndo(stage: Stage<DeploymentPlan>, first: V1Deployment): Promise<Rehearsal> {
  const { plan, options } = stage
  const { result } = await rehearseOn(stage, first, (read, raw) =>
    plan.action === 'scale_deployment'
      ? scaleCall(plan, 'undo', options.remediationId, read)
      : rollbackCall(plan, 'undo', options.remediationId, read, plainTemplate(raw.spec?.template)),
  )
  return { result, faithful: true, diff: [] }
}

const nothing: Answer = { status: 404, body: null, retryAfterMs: null }

function rehearseOn({ connection, plan }: Stage<DeploymentPlan>, first: V1Deployment, callOf: (read: DeploymentRead, raw: V1Deployment) => Call): Promise<Ended> {
  const { namespace, name, uid } = plan.target
  return rehearse(async (tries) => {
    const raw = tries === 0 ? first : await get<V1Deployment>(connection, pathOf('deployments', namespace, name))
    if (raw?.metadata?.uid !== uid) return { result: { sent: 'other_object' }, answer: nothing }
    return { ...(await send(connection, plan, callOf(deploymentRead(raw), raw))), deployment: raw }
  })
}

function shownOf({ options }: Stage<DeploymentPlan>, { result, answer, deployment }: Ended, isFaithful: (stored: V1Deployment) => boolean): Rehearsal {
  if (result.sent !== 'applied' || !deployment) return { result, faithful: false, diff: [] }
  const stored = answer.body as V1Deployment
  return { result, faithful: isFaithful(stored), diff: diffOf(shown(deployment), shown(stored), options.keyedDigest) }
}

async function send(connection: Connection, plan: Plan, call: Call): Promise<Tried> {
  const answer = await connection.request(dryRun(call))
  return { result: sendResult(connection, plan, answer), answer }
}

async function rehearse(attempt: (tries: number) => Promise<Tried>): Promise<Ended> {
  for (let tries = 0; tries < tryLimit; tries++) {
    const { result, ...tried } = await attempt(tries)
    if (result.sent === 'refused' && result.code === 'throttled') throw new Failure('unavailable', 'throttled', result.message)
    if (result.sent !== 'conflict') return { ...tried, result }
  }
  throw new Failure('unavailable', 'busy_target', `the target changed ${tryLimit} times while the change was being tried; trying again`)
}

/** What people decide on: no status, no bookkeeping, not our own stamp. */
function shown({ metadata, spec }: V1Deployment) {
  const { [stampAnnotation]: _stamp, ...annotations } = metadata?.annotations ?? {}
  return { metadata: { labels: metadata?.labels, annotations }, spec }
}
