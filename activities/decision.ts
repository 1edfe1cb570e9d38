import { checkAnswer } from './check-answer.ts'
import { close } from './close.ts'
import type { DecisionDeps } from './deps.ts'
import { detect } from './detect.ts'
import { escalate } from './escalate.ts'
import { evaluatePolicy } from './evaluate-policy.ts'
import { firstLooks } from './first-look.ts'
import { issueWarrant } from './issue-warrant.ts'
import { judgeLost } from './judge-lost.ts'
import { plan } from './plan.ts'
import { reserve } from './reserve.ts'
import type { DecisionSteps } from './results.ts'

/** The steps of the decision worker: reads clusters, holds the warrant key, never writes to a cluster. */
export function decisionSteps(deps: DecisionDeps): DecisionSteps {
  const looks = firstLooks(Date.now)
  return {
    detect: detect(deps, looks),
    plan: plan(deps, looks),
    evaluatePolicy: evaluatePolicy(deps),
    checkAnswer: checkAnswer(deps),
    escalate: escalate(deps),
    reserve: reserve(deps),
    issueWarrant: issueWarrant(deps),
    judgeLost: judgeLost(deps),
    close: close(deps),
  }
}
