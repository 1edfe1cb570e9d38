import { namespaceAllowed, protectedNamespaces } from '../namespaces.ts'
import type { CheckResult, Plan, Refusal, ScaleDeploymentPlan, WorkloadTerms } from '../plan.ts'
import type { DeploymentSeen, Manager, PodSeen } from './observation.ts'
import type { Shortage } from './quota.ts'

/** One finding of preflight: what the card shows, and how the run ends if nothing else speaks first. */
export type Check = { result: CheckResult; refusal: Refusal | null }

export const pass = (name: string, message: string): Check => ({ result: { name, status: 'pass', message }, refusal: null })
export const warn = (name: string, message: string): Check => ({ result: { name, status: 'warn', message }, refusal: null })
export const fail = (name: string, reason: string, message: string, outcome: Refusal['outcome'] = 'blocked'): Check => ({
  result: { name, status: 'fail', message },
  refusal: { outcome, reason, message },
})

/** The first check that fails decides. */
export const refusalOf = (checks: readonly Check[]): Refusal | null => checks.find(({ refusal }) => refusal)?.refusal ?? null

export function namespaceChecks({ target }: Plan, allowed: readonly string[]): Check[] {
  const { namespace } = target
  if (protectedNamespaces.includes(namespace)) {
    return [fail('protected_namespace', 'protected_namespace', `namespace \`${namespace}\` is protected: Aegis never acts there`)]
  }
  const open = namespaceAllowed(allowed, target)
  return [
    pass('protected_namespace', `namespace \`${namespace}\` is not a protected one`),
    open
      ? pass('allowed_namespace', `namespace \`${namespace}\` is on the allow-list`)
      : fail('allowed_namespace', 'namespace_not_allowed', `namespace \`${namespace}\` is not on the allow-list: add it to AEGIS_NAMESPACES to let Aegis act there`),
  ]
}

/** What was planned has to be what is there. */
export function unchangedCheck(plan: Plan, seen: DeploymentSeen | PodSeen | undefined): Check {
  const name = `${plan.target.kind.toLowerCase()} \`${plan.target.namespace}/${plan.target.name}\``
  const overtaken = (reason: string, message: string) => fail('unchanged', reason, message, 'overtaken')
  if (!seen || seen.uid !== plan.target.uid) return overtaken('target_gone', `${name} is gone or was replaced since it was planned`)
  if (seen.workload.uid !== plan.workload.uid) return overtaken('target_changed', `${name} has another owner since it was planned`)
  if (seen.kind === 'Pod') {
    return seen.terminating ? overtaken('target_gone', `${name} is being deleted already`) : pass('unchanged', `${name} is the one that was planned`)
  }
  const same = seen.generation === plan.target.generation && stillAsPlanned(plan, seen.replicas, seen.templateHash)
  return same ? pass('unchanged', `${name} is as it was planned`) : overtaken('target_changed', `${name} was changed since it was planned`)
}

function stillAsPlanned(plan: Plan, replicas: number, templateHash: string): boolean {
  if (plan.action === 'scale_deployment') return replicas === plan.replicas.from && templateHash === plan.templateHash
  if (plan.action === 'rollback_deployment') return templateHash === plan.revision.from.templateHash
  return true
}

export const ignoredCheck = (ignored: boolean): Check =>
  ignored
    ? fail('ignored', 'ignored', 'the target, its workload or its namespace carries `aegis.dev/ignore` as an annotation or a label')
    : pass('ignored', 'nothing asks Aegis to keep its hands off')

/**
 * Who else would write the object. A controller or GitOps takes the change back within moments, and
 * the fight is worse than the fault: refused. Helm only writes when someone runs it, so the change
 * holds until the next upgrade: allowed, and said.
 */
export function ownerCheck(plan: Plan, managers: readonly Manager[]): Check {
  if (plan.action === 'restart_pod') return pass('owner', `${plan.workload.kind} \`${plan.workload.name}\` will replace the pod`)
  const fights = managers.find(({ is }) => is !== 'helm')
  if (fights?.is === 'controller') {
    return fail('owner', 'owned_by_controller', `the deployment is controlled by \`${fights.evidence}\`, which would take the change back: change that instead`)
  }
  if (fights) return fail('owner', 'owned_by_gitops', `the deployment is managed by ${fights.is} (\`${fights.evidence}\`), which would take the change back: make it in Git`)
  const helm = managers.find(({ is }) => is === 'helm')
  if (helm) return warn('owner', `the deployment belongs to Helm (\`${helm.evidence}\`): the next \`helm upgrade\` will overwrite the change`)
  return pass('owner', 'nothing else manages the deployment')
}

export type Autoscaler = { kind: string; name: string }

export function autoscalerCheck(plan: Plan, autoscalers: readonly Autoscaler[]): Check {
  const [first] = autoscalers
  if (!first) return pass('hpa', 'no autoscaler sets the replica count')
  const owner = `${first.kind} \`${first.name}\``
  if (plan.action === 'scale_deployment') return fail('hpa', 'autoscaled', `${owner} sets the replica count: change its bounds instead`)
  return pass('hpa', `${owner} goes on setting the replica count, which this leaves alone`)
}

export const pausedCheck = (paused: boolean): Check =>
  paused ? fail('paused', 'paused', 'the deployment is paused: resume its rollout first') : pass('paused', 'the rollout is not paused')

export function quotaCheck({ replicas: { from, to } }: ScaleDeploymentPlan, found: readonly Shortage[]): Check {
  if (to <= from) return pass('quota', 'fewer pods need no room')
  const certain = found.find(({ scoped }) => !scoped)
  if (certain) return fail('quota', 'quota_exceeded', `quota \`${certain.quota}\` leaves no room for ${to - from} more pods (\`${certain.resource}\`): raise it or scale less`)
  const maybe = found[0]
  if (maybe) return warn('quota', `quota \`${maybe.quota}\` leaves no room in \`${maybe.resource}\` if these pods are among those it counts`)
  return pass('quota', `there is room for ${to - from} more pods`)
}

/** A restart of the only ready pod is an outage until its replacement is up. */
export function availabilityCheck(podReady: boolean, ready: number): Check {
  if (podReady && ready <= 1) return warn('availability', 'this is the only ready pod: nothing serves until its replacement is ready')
  return pass('availability', podReady ? `${ready - 1} other pods stay ready` : 'the pod serves nothing as it is')
}

/** How many pods something wants ready, and what that is. */
export type Floor = { name: string; pods: number }

/** Ready pods never fall below a floor by our hand. Where there are fewer already, what takes none down may pass. */
export function floorCheck(ready: number, taken: number, floors: readonly Floor[]): Check {
  const highest = floors.toSorted((a, b) => b.pods - a.pods)[0]
  const after = ready - taken
  if (taken === 0 || !highest || after >= highest.pods) return pass('min_available', highest ? `${after} pods stay ready, and ${highest.name} asks for ${highest.pods}` : 'no floor is set for its ready pods')
  const message = `${ready} pods are ready and this would take ${taken} down, but ${highest.name} asks for ${highest.pods}: add pods first, or lower that`
  return fail('min_available', 'below_min_available', message)
}

/** The floor that the workload's owner set beside it. */
export const annotatedFloors = ({ minAvailable }: Pick<WorkloadTerms, 'minAvailable'>): Floor[] =>
  minAvailable === null ? [] : [{ name: 'the annotation `aegis.dev/min-available`', pods: minAvailable }]

export type Permission = { verb: string; resource: string; allowed: boolean }

export function rbacCheck(permissions: readonly Permission[]): Check {
  const missing = permissions.filter(({ allowed }) => !allowed).map(({ verb, resource }) => `\`${verb} ${resource}\``)
  if (missing.length > 0) return fail('rbac', 'rbac', `this identity may not ${missing.join(', ')} here: grant it, or take the action off the rules`)
  return pass('rbac', 'this identity may act, undo and fence')
}
