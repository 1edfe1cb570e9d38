import type { Ending } from './remediation.ts'

export const lostRuns = ['terminated', 'failed', 'vanished'] as const
export type LostRun = (typeof lostRuns)[number]
/** What is known of an intent; `result` null: it may have been sent, and nobody knows what became of it. */
export type KnownIntent = { attempts: number; result: 'applied' | 'presumed' | 'overtaken' | 'fenced' | 'not_sent' | null }

const how: Record<LostRun, string> = {
  terminated: 'the workflow was terminated in Temporal',
  failed: 'the workflow failed in Temporal',
  vanished: 'the workflow is gone from Temporal',
}

/** How a remediation ends whose run ended without a record: by its effects, which outlived the run. */
export function endingOfLostRun(lost: LostRun, act: KnownIntent | undefined, undo: KnownIntent | undefined): Ending {
  const end = (outcome: Ending['outcome'], reason: string, rest: string): Ending => ({
    outcome,
    reason,
    message: `${how[lost]}; ${rest}`,
    verdict: null,
  })
  if (isOpen(act) || isOpen(undo)) return end('needs_human', 'unfenced', 'a call of it may still land, and no fence could be written')
  if (hasEffect(undo)) return end('undone', 'undone_before_loss', 'its change had been taken back')
  if (hasEffect(act)) return end('needs_human', 'unverified', 'its change is in the cluster and was not verified')
  if (act?.result === 'overtaken') return end('overtaken', 'target_changed', 'someone else had changed the target')
  if (lost === 'terminated') return end('cancelled', 'terminated', 'nothing was changed')
  return end('blocked', 'run_lost', 'nothing was changed')
}

const isOpen = (intent: KnownIntent | undefined): boolean => intent !== undefined && intent.result === null && intent.attempts > 0
const hasEffect = (intent: KnownIntent | undefined): boolean => intent?.result === 'applied' || intent?.result === 'presumed'
