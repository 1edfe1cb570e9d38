import { stepsFrom } from '../domain/approvals/escalation.ts'
import type { DecisionDeps } from './deps.ts'
import { endingWith } from './recording.ts'
import type { DecisionSteps } from './results.ts'

/** The run's timer and the database's clock need not agree to the millisecond. */
const slackMs = 1_000

/** Puts on record that a group's voice has come to another, by the rules of now: what was planned when the wait began may not hold. */
export const escalate =
  ({ db, store }: DecisionDeps): DecisionSteps['escalate'] =>
  async ({ id, digest, group, to }) => {
    const { rules, waitedMs, wanted } = await store.waitingOf(db, id, digest)
    const step = stepsFrom(group, rules).find((one) => one.to === to)
    if (!wanted.includes(group) || !step || step.afterMs > waitedMs + slackMs) return { escalated: false, summary: `no rule brings the voice of \`${group}\` to \`${to}\` by now` }
    const summary = `\`${to}\` may speak for \`${group}\`, which has been missing for ${Math.round(step.afterMs / 60_000)} min`
    return endingWith((record) => store.recordEscalation(db, { id, planDigest: digest, group, to }, record), () => ({ escalated: true, summary }))
  }
