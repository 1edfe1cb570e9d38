import type { Escalation } from '../domain/approvals/escalation.ts'
import type { EffectPhase, Ending, Verdict } from '../domain/remediation.ts'
import type { LostRun } from '../domain/settlement.ts'
import type { AnswerKind } from '../domain/transition.ts'

/**
 * What the steps tell the workflow. Small on purpose: history keeps every byte, and whoever can read
 * the namespace can read it. Plans, cards and decisions stay in PostgreSQL under these ids and digests.
 */

/** A step that ends the remediation says how; `summary` is the line the ledger and the console show. */
export type Ends = { ending: Ending; summary: string }

export type Detected =
  | { go: true; deadlineMs: number; timing: Timing; summary: string }
  | ({ go: false } & Ends)
  | { go: false; ending: null; summary: string } // another run of this remediation, or one already closed

/** All durations of a run, fixed when it starts so that a later change of settings cannot bend it. */
export type Timing = { settleMs: number; verifyTimeoutMs: number; undoTimeoutMs: number; fenceTimeoutMs: number }

export type Planned = { planned: true; digest: string; undo: boolean; summary: string } | ({ planned: false } & Ends)

/** `retryMs`: what stands in the way passes with time (a spent PodDisruptionBudget). */
export type Preflighted = { clear: true; summary: string } | ({ clear: false; retryMs: number | null } & Ends)

export type Evaluated =
  | { proceed: 'act'; decisionId: string; undoSame: boolean; summary: string }
  /** `escalations`: when the voice of a group that is missing comes to another, the soonest first; left out where there is none to come. */
  | { proceed: 'ask'; decisionId: string; answerTimeoutMs: number; escalations?: Escalation[]; summary: string }
  | ({ proceed: 'stop' } & Ends)

export type AnswerChecked =
  | { valid: true; kind: AnswerKind; by: string; comment: string; summary: string }
  | { valid: false; reason: string; summary: string }

/** False: the rule is gone, or waits for longer by now. */
export type Escalated = { escalated: boolean; summary: string }

export type Reserved =
  | { reserved: true; claimToken: number; summary: string }
  | { reserved: false; retryMs: number; summary: string } // the claim is held for another action: wait for a turn
  | ({ reserved: false; retryMs: null } & Ends)

export type Warranted = { warrantId: string; summary: string }

export type Validated = { valid: true; summary: string } | { valid: false; reason: string; summary: string }

export type Recorded = { recorded: true; summary: string } | ({ recorded: false } & Ends)

/** How an attempt at the mutation ended. Without an effect some earlier attempt may still land: fence before closing. */
export type Attempted =
  | { effect: 'applied' | 'presumed'; summary: string }
  | { effect: 'none'; because: 'warrant' | 'frozen' | 'cancelled' | 'limited' | 'pdb'; retryMs: number; summary: string }
  | ({ effect: 'none'; because: 'final' } & Ends)

export type Verified = { verdict: Verdict; evidence: string; summary: string }

export type Fenced =
  | { fenced: 'not_sent' | 'fenced'; summary: string } // no effect, and none can follow
  | { fenced: 'landed'; digest: string; summary: string } // the call for this plan had landed after all
  | { fenced: 'unfenced'; summary: string }

export type Closed = { ending: Ending; summary: string }

export type StepInput = { id: string; cluster: string }
export type DigestInput = StepInput & { digest: string }
export type AttemptInput = DigestInput & { phase: EffectPhase; warrantId: string; claimToken: number }


export type DecisionSteps = {
  detect(input: StepInput & { firstRunId: string }): Promise<Detected>
  /** With `expected`, a plan whose digest differs is `overtaken`: what was approved is no longer what would be done. */
  plan(input: StepInput & { expected: string | null }): Promise<Planned>
  evaluatePolicy(input: DigestInput): Promise<Evaluated>
  checkAnswer(input: StepInput & { digest: string | null; kind: AnswerKind; answerId: string }): Promise<AnswerChecked>
  /** Says that nobody of the group has answered in time, so that `to` may speak for it. */
  escalate(input: DigestInput & { group: string; to: string }): Promise<Escalated>
  reserve(input: DigestInput): Promise<Reserved>
  issueWarrant(input: DigestInput & { phase: EffectPhase; decisionId: string }): Promise<Warranted>
  /** `firstRunId`: a run that is not the one bound to the request closes nothing. Null from the reconciler. */
  close(input: StepInput & { ending: Ending; runId: string; firstRunId: string | null; source: 'workflow' | 'reconciler' }): Promise<Closed>
  /** How a remediation ends whose own run was lost, judged from its intents once they are fenced. */
  judgeLost(input: StepInput & { lost: LostRun }): Promise<Ends>
}

export type ExecutionSteps = {
  preflight(input: DigestInput): Promise<Preflighted>
  validateSignature(input: DigestInput & { phase: EffectPhase; warrantId: string }): Promise<Validated>
  recordIntent(input: AttemptInput & { runId: string }): Promise<Recorded>
  executeAction(input: AttemptInput): Promise<Attempted>
  /** `startMs`: when verification began, whichever attempt this is. */
  verify(input: DigestInput & { startMs: number; settleMs: number; timeoutMs: number }): Promise<Verified>
  rollback(input: AttemptInput): Promise<Attempted>
  fence(input: StepInput & { phase: EffectPhase }): Promise<Fenced>
}
