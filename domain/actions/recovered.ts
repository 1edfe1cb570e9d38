import type { Plan } from '../plan.ts'
import type { AttemptRead } from './situation.ts'

/**
 * Whether what was wrong with the target when it was judged is so no more, and has not been for `heldMs`. A pod that
 * is ready for moments at a time flaps and is not well. A scaling was not asked for because its Deployment was down.
 */
export function hasRecovered(plan: Plan, read: AttemptRead, heldMs: number, nowMs: number): boolean {
  if (!read.exists || read.wellSinceMs === null || wasWell(plan)) return false
  return nowMs - read.wellSinceMs >= heldMs
}

function wasWell(plan: Plan): boolean {
  switch (plan.action) {
    case 'restart_pod':
      return plan.podReady
    case 'rollback_deployment':
      // Plans of before do not say.
      return plan.complete !== false
    case 'scale_deployment':
      return true
  }
}
