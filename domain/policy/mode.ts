import { strictestMode, type Mode } from '../remediation.ts'
import type { Decision } from './decision.ts'

/** How far a decision goes, the least first. */
export const proceeds = ['deny', 'observe', 'suggest', 'ask', 'act'] as const
export type Proceed = (typeof proceeds)[number]

/** What may happen next, and why not more. */
export type Capped = {
  proceed: Proceed
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
  const { code, message, breaches } = decision
  const proceed = proceedUnder(decision, given)
  if (proceed === 'deny' && decision.effect !== 'deny') {
    return { proceed, mode, code: 'obligation_unmet', message: breaches.map((breach) => breach.message).join('; ') }
  }
  if (proceed === 'observe') return { proceed, mode, code: 'mode_observe', message: 'the mode is `observe`: nothing is changed' }
  if (proceed === 'suggest') return { proceed, mode, code: 'mode_suggest', message: 'the mode is `suggest`: a person may start this' }
  if (proceed === 'ask' && decision.effect === 'allow') return { proceed, mode, code: 'mode_approve', message: 'the mode is `approve`: a person is asked first' }
  return { proceed, mode, code, message }
}

/** What of a decision says how far it goes. */
export type Answer = Pick<Decision, 'effect' | 'mode' | 'breaches' | 'approvals'>

export function proceedUnder({ effect, mode: own, breaches, approvals }: Answer, given: Mode): Proceed {
  if (effect === 'deny' || breaches.length > 0) return 'deny'
  const mode = strictestMode(given, own)
  if (mode === 'observe' || mode === 'suggest') return mode
  return effect === 'require_approval' || (mode === 'approve' && !approvals.met) ? 'ask' : 'act'
}
