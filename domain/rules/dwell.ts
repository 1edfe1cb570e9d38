import { faultClasses, type FaultClass } from '../remediation.ts'
import type { RuleSet } from './rule.ts'

/** For a fault no rule names: it is still watched and recorded. */
export const usualDwellMs = 60_000

/** How long each fault must hold before it is raised: the longest that any of its rules asks for. */
export function dwellMsByFault({ rules }: RuleSet, unnamedMs = usualDwellMs): Record<FaultClass, number> {
  const dwellOf = (fault: FaultClass): number => {
    const asked = rules.filter(({ match }) => 'fault' in match && match.fault === fault).map(({ dwellSeconds }) => dwellSeconds * 1000)
    return asked.length > 0 ? Math.max(...asked) : unnamedMs
  }
  return Object.fromEntries(faultClasses.map((fault) => [fault, dwellOf(fault)])) as Record<FaultClass, number>
}
