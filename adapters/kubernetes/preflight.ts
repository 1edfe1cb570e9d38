import type { V1Deployment, V1Pod } from '@kubernetes/client-node'
import { annotatedFloors, autoscalerCheck, availabilityCheck, fail, floorCheck, ignoredCheck, namespaceChecks, ownerCheck, pass, pausedCheck, quotaCheck, rbacCheck, refusalOf, unchangedCheck, warn, type Check } from '../../domain/actions/checks.ts'
import type { DeploymentSeen, PodSeen, RevisionFacts } from '../../domain/actions/observation.ts'
import { Failure } from '../../domain/failure.ts'
import { readyPodsTaken } from '../../domain/guards/disruption.ts'
import type { Plan, PreflightCard, RestartPodPlan, RollbackDeploymentPlan, ScaleDeploymentPlan } from '../../domain/plan.ts'
import { get, pathOf } from './api.ts'
import { pinnedTemplate } from './attempt.ts'
import { floorsOf } from './budgets.ts'
import type { ClusterExecutor, PreflightOptions } from './cluster.ts'
import type { Connection } from './connection.ts'
import { lookAt, replicaSetsOf } from './health.ts'
import { permissionsOn } from './permissions.ts'
import { readOnce } from './read-once.ts'
import { rehearseEviction, rehearseRollback, rehearseScale, rehearseUndo, type DeploymentPlan, type Rehearsal, type Stage } from './rehearsal.ts'
import { revisionsOf } from './revisions.ts'
import { refuseOtherCluster, seeDeployment, seePod } from './seen.ts'
import { autoscalersOn, shortagesFor } from './surroundings.ts'

/**
 * Everything that can be known before acting, under the identity that will act. All checks run, so
 * that the card is whole; the first that fails decides. Nothing is changed, here or in the cluster.
 * One read of the target serves all checks, and what does not depend on another is asked at once:
 * these requests stand between a fault and its cure.
 */
export function preflightOn(connection: Connection): ClusterExecutor['preflight'] {
  const tools: Tools = { permissionsFor: permissionsOn(connection), autoscalersOf: autoscalersOn(connection) }
  return async (plan, options) => {
    refuseOtherCluster(connection, plan.target)
    const namespace = namespaceChecks(plan, options.allowedNamespaces)
    // Where Aegis may not act it has no right to look either.
    const { checks: around, diff } = refusalOf(namespace) ? nothingMore : await lookAround(tools, connection, plan, options)
    const checks = [...namespace, ...around]
    return { checks: checks.map(({ result }) => result), diff, undo: plan.undo ? 'planned' : 'none', refusal: refusalOf(checks) }
  }
}

async function lookAround(tools: Tools, connection: Connection, plan: Plan, options: PreflightOptions): Promise<Pick<Inspected, 'checks' | 'diff'>> {
  try {
    const { seen, checks, diff } = await inspect(tools, connection, plan, options)
    return { checks: [...(seen ? [ignoredCheck(seen.ignored)] : []), unchangedCheck(plan, seen), ...checks], diff }
  } catch (failure) {
    if (!(failure instanceof Failure && failure.kind === 'forbidden')) throw failure
    const why = `this identity may not look at namespace \`${plan.target.namespace}\`: apply deploy/managed-namespace there (${failure.message})`
    return { checks: [fail('rbac', 'rbac', why)], diff: [] }
  }
}

type Tools = { permissionsFor: ReturnType<typeof permissionsOn>; autoscalersOf: ReturnType<typeof autoscalersOn> }
type Inspected = { seen: DeploymentSeen | PodSeen | undefined; checks: Check[]; diff: PreflightCard['diff'] }

const inspectedKind: Record<Plan['action'], Plan['target']['kind']> = { restart_pod: 'Pod', scale_deployment: 'Deployment', rollback_deployment: 'Deployment' }

function inspect(tools: Tools, connection: Connection, plan: Plan, options: PreflightOptions): Promise<Inspected> {
  const { kind } = plan.target
  if (kind !== inspectedKind[plan.action]) throw new Failure('invalid', 'wrong_kind', `\`${plan.action}\` cannot act on a target of kind \`${kind}\``)
  return plan.action === 'restart_pod' ? inspectPod(tools, { connection, plan, options }) : inspectDeployment(tools, { connection, plan, options })
}

/** What took the name of a target that is gone is only asked whether it wants to be left alone. */
const nothingMore: Pick<Inspected, 'checks' | 'diff'> = { checks: [], diff: [] }

async function inspectPod(tools: Tools, stage: Stage<RestartPodPlan>): Promise<Inspected> {
  const { connection, plan } = stage
  const { target, workload } = plan
  const pod = await get<V1Pod>(connection, pathOf('pods', target.namespace, target.name))
  if (pod?.metadata?.uid !== target.uid) return { seen: pod && (await seePod(connection, target, pod)), ...nothingMore }
  const once = readOnce(connection)
  const [seen, look, allowed, rehearsal] = await Promise.all([
    seePod(once, target, pod),
    lookAt(once, workload), // the planned one, known before the owner chain is; another owner is refused anyway
    tools.permissionsFor(plan),
    rehearseEviction(stage, pod),
  ])
  const ready = look?.health.ready ?? 0
  const checks = [rbacCheck(allowed), ownerCheck(plan, []), ...evictionChecks(plan, rehearsal), availabilityCheck(seen.ready, ready), floorCheck(ready, seen.ready ? 1 : 0, annotatedFloors(seen.terms))]
  return { seen, checks, diff: rehearsal.diff }
}

async function inspectDeployment(tools: Tools, stage: Stage<DeploymentPlan>): Promise<Inspected> {
  const { connection, plan } = stage
  const { target } = plan
  const deployment = await get<V1Deployment>(connection, pathOf('deployments', target.namespace, target.name))
  if (deployment?.metadata?.uid !== target.uid) return { seen: deployment && (await seeDeployment(connection, target, deployment)), ...nothingMore }
  const [seen, allowed, autoscalers, { own, rehearsal }, undo, floors] = await Promise.all([
    seeDeployment(connection, target, deployment),
    tools.permissionsFor(plan),
    tools.autoscalersOf(plan),
    plan.action === 'scale_deployment' ? tryScale({ ...stage, plan }, deployment) : tryRollback({ ...stage, plan }, deployment),
    rehearseUndo(stage, deployment),
    takesPods(plan) ? floorsOf(connection, deployment, plan.action === 'scale_deployment' ? plan.replicas.to : plan.replicas) : [],
  ])
  const ready = deployment.status?.readyReplicas ?? 0
  const floor = floorCheck(ready, readyPodsTaken(plan, { ready, desired: seen.replicas }, seen.terms), [...floors, ...annotatedFloors(seen.terms)])
  const shared = [rbacCheck(allowed), ownerCheck(plan, seen.managers), autoscalerCheck(plan, autoscalers), pausedCheck(seen.paused), floor]
  return { seen, checks: [...shared, ...own, dryRunCheck(plan, rehearsal), undoCheck(undo)], diff: rehearsal.diff }
}

/** Whether it may leave fewer pods ready; only then does anybody have to be asked. */
const takesPods = (plan: DeploymentPlan): boolean => plan.action === 'rollback_deployment' || plan.replicas.to < plan.replicas.from

type Change = { own: Check[]; rehearsal: Rehearsal }

async function tryScale(stage: Stage<ScaleDeploymentPlan>, deployment: V1Deployment): Promise<Change> {
  const [found, rehearsal] = await Promise.all([shortagesFor(stage.connection, stage.plan, deployment), rehearseScale(stage, deployment)])
  return { own: [quotaCheck(stage.plan, found)], rehearsal }
}

async function tryRollback(stage: Stage<RollbackDeploymentPlan>, deployment: V1Deployment): Promise<Change> {
  const { connection, plan } = stage
  const replicaSets = await replicaSetsOf(connection, plan.target.namespace, deployment)
  const rehearsal = await rehearseRollback(stage, deployment, pinnedTemplate(plan, plan.revision.to, replicaSets))
  return { own: rollbackChecks(plan, revisionsOf(deployment, replicaSets)), rehearsal }
}

/** The dry run asks the budgets without spending any, so it speaks for both. */
function evictionChecks({ target }: RestartPodPlan, { result }: Rehearsal): Check[] {
  if (result.sent === 'refused') {
    const isBudget = result.code.startsWith('pdb_')
    const refused = fail('dry_run', result.code, result.message, endingOf(result))
    return isBudget ? [fail('pdb', result.code, result.message), refused] : [refused]
  }
  if (result.sent === 'other_object') return [fail('dry_run', 'target_gone', `pod \`${target.name}\` was replaced meanwhile`, 'overtaken')]
  return [pass('pdb', 'the disruption budgets allow it now'), pass('dry_run', 'the API server would accept the eviction')]
}

const endingOf = ({ code }: { code: string }) => (code === 'frozen' ? ('frozen' as const) : ('blocked' as const))

function rollbackChecks({ revision: { to } }: RollbackDeploymentPlan, revisions: readonly RevisionFacts[]): Check[] {
  const found = revisions.find(({ replicaSetUid }) => replicaSetUid === to.replicaSetUid)
  if (!found || found.templateHash !== to.templateHash) return [fail('revision', 'revision_gone', `revision ${to.revision} is gone or no longer what was planned: choose another`)]
  if (!found.wasAvailable) return [warn('revision', `nothing shows that revision ${to.revision} was ever available`)]
  return [pass('revision', `revision ${to.revision} is there and was available`)]
}

function dryRunCheck(plan: Plan, { result, faithful }: Rehearsal): Check {
  if (result.sent === 'refused') return fail('dry_run', result.code, result.message, endingOf(result))
  if (result.sent === 'other_object') return fail('dry_run', 'target_gone', `deployment \`${plan.target.name}\` was replaced meanwhile`, 'overtaken')
  if (!faithful) return fail('dry_run', 'dry_run_differs', 'the API server would store something else than was planned (a mutating webhook?): change it by hand')
  return pass('dry_run', 'the API server would accept the change and store it as planned')
}

/** What is there now may be there by an exception: admission can refuse to let it back in. */
function undoCheck({ result }: Rehearsal): Check {
  if (result.sent === 'applied') return pass('undo_dry_run', 'the API server would accept the undo')
  const why = result.sent === 'refused' ? result.message : 'the target moved while it was tried'
  return warn('undo_dry_run', `the undo may not be possible: ${why}`)
}
