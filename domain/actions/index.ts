import type { Plan } from '../plan.ts'
import type { ActionName } from '../remediation.ts'
import { restartPod } from './restart_pod.ts'
import { rollbackDeployment } from './rollback_deployment.ts'
import type { ActionRules } from './rules.ts'
import { scaleDeployment } from './scale_deployment.ts'

export { isRefusal, type ActionRules } from './rules.ts'

type RulesOf = { [A in ActionName]: ActionRules<Extract<Plan, { action: A }>> }

const rulesOf: RulesOf = {
  restart_pod: restartPod,
  scale_deployment: scaleDeployment,
  rollback_deployment: rollbackDeployment,
}

/** The rules of each action. A plan goes to the rules of its own `action`; to any others it is a bug. */
export const actionRules = rulesOf as unknown as Record<ActionName, ActionRules>
