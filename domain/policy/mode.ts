import { strictestMode, type Mode } from '../remediation.ts'
import type { Decision } from './decision.ts'

/** What may happen next, and why not more. */
export type Capped = {
  proceed: 'act' | 'ask' | 'suggest' | 'observe' | 'deny'
  mode: Mode
  /** The decision's code, or `obligation_unmet`, or the mode that stopped it. */
  code: string
  message: string
}

/**
 * The autonomy cap: the strictest of the given mode (global and namespace) and the policies' own. It
 * only ever takes away. A denial stays one in every mode; a bound that the request breaks denies too,
 * since no approval could mend it. Under `approve` an allow waits for the approvals in the input.
 */
export function capByMode(decision: Decision, given: Mode): Capped {
  const mode = strictestMode(given, decision.mode)
  const { effect, code, message, breaches } = decision
  if (effect === 'deny') return { proceed: 'deny', mode, code, message }
  if (breaches.length > 0) {
    return { proceed: 'deny', mode, code: 'obligation_unmet', message: breaches.map((breach) => breach.message).join('; ') }
  }
  if (mode === 'observe') return { proceed: 'observe', mode, code: 'mode_observe', message: 'the mode is `observe`: nothing is changed' }
  if (mode === 'suggest') return { proceed: 'suggest', mode, code: 'mode_suggest', message: 'the mode is `suggest`: a person may start this' }
  if (effect === 'require_approval') return { proceed: 'ask', mode, code, message }
  if (mode === 'approve' && !decision.approvals.met) {
    return { proceed: 'ask', mode, code: 'mode_approve', message: 'the mode is `approve`: a person is asked first' }
  }
  return { proceed: 'act', mode, code, message }
}
