import { rungText, type Rung } from '../autonomy/rung.ts'
import { strictestMode, type Mode } from '../remediation.ts'
import { isAnswered } from './approvals.ts'
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

/** Rungs that a message names; a policy set of any size fits into one sentence. */
const mostTold = 3

/**
 * The autonomy cap: the strictest of the given mode (global and namespace), the policies' own and the rungs of those
 * that permit. It only ever takes away. A denial stays one in every mode; a bound that the request breaks denies too,
 * since no approval could mend it. Under `approve` an allow waits for the approvals in the input.
 */
export function capByMode(decision: Decision, given: Mode, rungs: readonly Rung[] = []): Capped {
  const before = strictestMode(given, decision.mode)
  const bound = rungsOf(decision, rungs)
  const mode = strictestMode(before, ...bound.map((rung) => rung.mode))
  const { code, message, breaches } = decision
  const proceed = proceedUnder(decision, mode)
  if (proceed === 'deny' && decision.effect !== 'deny') {
    return { proceed, mode, code: 'obligation_unmet', message: breaches.map((breach) => breach.message).join('; ') }
  }
  const because = becauseOf(mode === before ? [] : bound.filter((rung) => rung.mode === mode))
  if (proceed === 'observe') return { proceed, mode, code: 'mode_observe', message: `the mode is \`observe\`: nothing is changed${because}` }
  if (proceed === 'suggest') return { proceed, mode, code: 'mode_suggest', message: `the mode is \`suggest\`: nothing is changed, so do it by hand or raise the mode${because}` }
  if (proceed === 'ask' && decision.effect === 'allow') return { proceed, mode, code: 'mode_approve', message: `the mode is \`approve\`: a person is asked first${because}` }
  const opened = proceed === 'act' && mode === 'approve' && code === 'allowed' ? openedBy(decision.approvals) : ''
  if (opened !== '') return { proceed, mode, code: 'break_glass', message: `${message}; the mode is \`approve\`, and the break-glass of ${opened} stands in the place of a person` }
  return { proceed, mode, code, message }
}

/** Whose break-glass it took; nobody's where people agreed besides. */
const openedBy = (approvals: Decision['approvals']): string =>
  approvals.breakGlass && !isAnswered(approvals) ? approvals.breakGlass.map((owner) => `\`${owner}\``).join(', ') : ''

/** Of the rungs in one place, those of the policies that permit. */
export const rungsOf = ({ binding }: Pick<Decision, 'binding'>, rungs: readonly Rung[]): Rung[] =>
  rungs.filter(({ policy }) => binding.some(({ id }) => id === policy))

function becauseOf(capping: readonly Rung[]): string {
  if (capping.length === 0) return ''
  const more = capping.length > mostTold ? `; and ${capping.length - mostTold} more` : ''
  return `, because ${capping.slice(0, mostTold).map(rungText).join('; ')}${more}`
}

/** What of a decision says how far it goes. */
export type Answer = Pick<Decision, 'effect' | 'mode' | 'breaches' | 'approvals'>

export function proceedUnder({ effect, mode: own, breaches, approvals }: Answer, given: Mode): Proceed {
  if (effect === 'deny' || breaches.length > 0) return 'deny'
  const mode = strictestMode(given, own)
  if (mode === 'observe' || mode === 'suggest') return mode
  return effect === 'require_approval' || (mode === 'approve' && !approvals.met) ? 'ask' : 'act'
}
