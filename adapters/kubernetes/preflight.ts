import type { V1Deployment } from '@kubernetes/client-node'
import { autoscalerCheck, availabilityCheck, fail, ignoredCheck, namespaceChecks, ownerCheck, pausedCheck, pass, quotaCheck, rbacCheck, refusalOf, unchangedCheck, warn, type Check } from '../../domain/actions/checks.ts'
import type { DeploymentObservation, PodObservation } from '../../domain/actions/observation.ts'
import { Failure } from '../../domain/failure.ts'
import type { Plan, PreflightCard, Refusal, RestartPodPlan, RollbackDeploymentPlan, ScaleDeploymentPlan } from '../../domain/plan.ts'
import type { PreflightOptions } from './cluster.ts'
import type { Connection } from './connection.ts'
import { rehearseChange, rehearseEviction, rehearseUndo, type Rehearsal } from './rehearsal.ts'
import { clusterReader } from './reader.ts'
import { autoscalersOf, permissionsFor, shortagesFor } from './surroundings.ts'

export type Preflighted = PreflightCard & { refusal: Refusal | null }

/**
 * Everything that can be known before acting, under the identity that will act. All checks run, so
 * that the card is whole; the first that fails decides. Nothing is changed, here or in the cluster.
 */
export async function preflight(connection: Connection, plan: Plan, options: PreflightOptions): Promise<Preflighted> {
  const observation = await clusterReader(connection).observe(plan.target)
  const early = [...namespaceChecks(plan, options.allowedNamespaces), ...(observation ? [ignoredCheck(observation.ignored)] : []), unchangedCheck(plan, observation)]
  const gone = !observation || observation.uid !== plan.target.uid
  const late = gone ? { checks: [], diff: [] } : await checksOf(connection, plan, observation, options)
  const checks = [...early, ...late.checks]
  return { checks: checks.map(({ result }) => result), diff: late.diff, undo: plan.undo ? 'planned' : 'none', refusal: refusalOf(checks) }
}

type Late = { checks: Check[]; diff: PreflightCard['diff'] }

async function checksOf(connection: Connection, plan: Plan, observation: PodObservation | DeploymentObservation, options: PreflightOptions): Promise<Late> {
  const permissions = permissionsFor(connection, plan)
  if (plan.action === 'restart_pod' && observation.kind === 'Pod') {
    const [allowed, rehearsal] = await Promise.all([permissions, rehearseEviction(connection, plan, options)])
    const checks = [rbacCheck(allowed), ownerCheck(plan, []), ...evictionChecks(plan, rehearsal), availabilityCheck(observation.ready, observation.health.ready)]
    return { checks, diff: rehearsal.diff }
  }
  if (plan.action !== 'restart_pod' && observation.kind === 'Deployment') {
    const [allowed, autoscalers, rehearsal, undo] = await Promise.all([
      permissions,
      autoscalersOf(connection, plan),
      rehearseChange(connection, plan, options),
      rehearseUndo(connection, plan, options),
    ])
    const shared = [rbacCheck(allowed), ownerCheck(plan, observation.managers), autoscalerCheck(plan, autoscalers), pausedCheck(observation.paused)]
    const own = plan.action === 'scale_deployment' ? await scaleChecks(connection, plan, rehearsal.deployment) : rollbackChecks(plan, observation)
    return { checks: [...shared, ...own, dryRunCheck(plan, rehearsal), undoCheck(undo)], diff: rehearsal.diff }
  }
  throw new Failure('invalid', 'wrong_kind', `\`${plan.action}\` cannot act on a target of kind \`${observation.kind}\``)
}

/** The dry run asks the budgets without spending any, so it speaks for both. */
function evictionChecks({ target }: RestartPodPlan, { result }: Rehearsal): Check[] {
  if (result.sent === 'refused') {
    const isBudget = result.code.startsWith('pdb_')
    const refused = fail('dry_run', result.code, result.message)
    return isBudget ? [fail('pdb', result.code, result.message), refused] : [refused]
  }
  if (result.sent === 'other_object') return [fail('dry_run', 'target_gone', `pod \`${target.name}\` was replaced meanwhile`, 'overtaken')]
  return [pass('pdb', 'the disruption budgets allow it now'), pass('dry_run', 'the API server would accept the eviction')]
}

async function scaleChecks(connection: Connection, plan: ScaleDeploymentPlan, deployment: V1Deployment | undefined): Promise<Check[]> {
  return deployment ? [quotaCheck(plan, await shortagesFor(connection, plan, deployment))] : []
}

function rollbackChecks({ revision: { to } }: RollbackDeploymentPlan, { revisions }: DeploymentObservation): Check[] {
  const found = revisions.find(({ replicaSetUid }) => replicaSetUid === to.replicaSetUid)
  if (!found || found.templateHash !== to.templateHash) return [fail('revision', 'revision_gone', `revision ${to.revision} is gone or no longer what was planned: choose another`)]
  if (!found.wasAvailable) return [warn('revision', `nothing shows that revision ${to.revision} was ever available`)]
  return [pass('revision', `revision ${to.revision} is there and was available`)]
}

function dryRunCheck(plan: Plan, { result, faithful }: Rehearsal): Check {
  if (result.sent === 'refused') return fail('dry_run', result.code, result.message)
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
