import type { DecisionDeps } from './deps.ts'
import type { DecisionSteps } from './results.ts'

/** Loads the row an answer names and checks who gave it, to what. A message without a row is refused and recorded. */
export const checkAnswer =
  ({ db, store }: DecisionDeps): DecisionSteps['checkAnswer'] =>
  async ({ id, digest, kind, answerId }) => {
    const refuse = (reason: string) => ({ valid: false as const, reason, summary: `answer \`${answerId}\` refused: ${reason}` })
    const answer = uuid.test(answerId) ? await store.loadAnswer(db, answerId) : undefined
    if (!answer) return refuse('no_such_answer')
    if (answer.id !== id) return refuse('other_remediation')
    if (answer.kind !== kind) return refuse('other_kind')
    if (kind === 'approve' && answer.planDigest !== digest) return refuse('other_plan')
    const { principal, comment } = answer
    return { valid: true, kind, by: principal.owner, comment, summary: `${kind} by ${principal.owner}` }
  }

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
