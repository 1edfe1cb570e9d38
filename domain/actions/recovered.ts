import type { Health } from '../plan.ts'
import type { FaultClass } from '../remediation.ts'
import type { AttemptRead } from './situation.ts'

/** Whether what was named as the reason to act is so no more: the question that `detect` and `plan` asked, put once more. */
export function hasRecovered(fault: FaultClass, { faults }: Pick<Health, 'faults'>, read: AttemptRead): boolean {
  const readyAgain = fault === 'stuck_pod' && read.exists && read.kind === 'Pod' && read.ready
  return readyAgain || !faults.includes(fault)
}
