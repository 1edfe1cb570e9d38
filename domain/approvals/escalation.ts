/** Whom a group's voice goes to when nobody of it answers, and when. */

/** After this long without enough answers a member of `to` may speak for `group`. At most one rule per group. */
export type EscalationRule = { group: string; to: string; afterMs: number }

/** A wait follows a chain of rules so far: what goes round in a circle ends here too. */
const mostSteps = 3

/** Of one wait for people, however many groups are missing. */
export const mostEscalations = 9

export type Step = { to: string; afterMs: number }

/** Who may speak for the group besides its members, the soonest first; the waits of a chain add up. */
export function stepsFrom(group: string, rules: readonly EscalationRule[]): Step[] {
  const steps: Step[] = []
  for (let from = group; steps.length < mostSteps; from = steps.at(-1)!.to) {
    const rule = rules.find((one) => one.group === from)
    if (!rule || rule.to === group || steps.some(({ to }) => to === rule.to)) break
    steps.push({ to: rule.to, afterMs: rule.afterMs + (steps.at(-1)?.afterMs ?? 0) })
  }
  return steps
}

/** Whether the rule would lead back to where it begins. */
export const closesCircle = ({ group, to }: EscalationRule, others: readonly EscalationRule[]): boolean => {
  const seen = new Set([group])
  for (let at: string | undefined = to; at !== undefined; at = others.find((one) => one.group === at)?.to) {
    if (seen.has(at)) return true
    seen.add(at)
  }
  return false
}

export type Escalation = { group: string; to: string; /** From now; 0: it is due. */ inMs: number }

/** What is still to come of the missing groups' rules, the soonest first, when people have been asked for `waitedMs`. */
export function escalationsAhead(missing: readonly string[], rules: readonly EscalationRule[], waitedMs: number, done: readonly Pick<Escalation, 'group' | 'to'>[]): Escalation[] {
  return missing
    .flatMap((group) => stepsFrom(group, rules).map(({ to, afterMs }) => ({ group, to, inMs: Math.max(0, afterMs - waitedMs) })))
    .filter(({ group, to }) => !done.some((one) => one.group === group && one.to === to))
    .toSorted((a, b) => a.inMs - b.inMs || (a.group < b.group ? -1 : a.group > b.group ? 1 : 0))
    .slice(0, Math.max(0, mostEscalations - done.length))
}
