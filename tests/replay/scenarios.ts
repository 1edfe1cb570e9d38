/**
 * Every way a remediation can go, told by what its steps answer. The same table drives the workflow
 * tests on a real Temporal server and the recording of the histories that must replay for ever.
 */
import { ApplicationFailure } from '@temporalio/common'
import type { DecisionSteps, ExecutionSteps, Ends } from '../../activities/results.ts'
import type { Outcome, Verdict } from '../../domain/remediation.ts'
import type { AnswerKind } from '../../domain/transition.ts'

export type Steps = DecisionSteps & ExecutionSteps
export type StepName = keyof Steps
/** What a step answers, call after call; the last answer stands for all later calls. */
export type Answers = { [Name in StepName]?: Scripted<Name>[] }
type Scripted<Name extends StepName> = Awaited<ReturnType<Steps[Name]>> | Error | 'hang' | (() => Awaited<ReturnType<Steps[Name]>> | ReturnType<Steps[Name]>)

/** Something from outside, once this step has been called so often (default: once). */
export type Outside = { after: StepName; calls?: number; do: AnswerKind | 'forge' | 'cancelInTemporal'; by?: 'signal' | 'update' }

export type Scenario = {
  name: string
  steps?: Answers
  outside?: Outside[]
  outcome: Outcome | null
  reason?: string
  /** The steps that must have been asked for, in order, without repeats of the same call. */
  asked: StepName[]
  failed?: boolean
  settle?: 'terminated' | 'failed' | 'vanished'
}

const summary = 'as told'
export const ends = (outcome: Outcome, reason: string, verdict: Verdict | null = null): Ends => ({
  ending: { outcome, reason, message: summary, verdict },
  summary,
})
const stop = (outcome: Outcome, reason: string) => ({ proceed: 'stop' as const, ...ends(outcome, reason) })
const ask = { proceed: 'ask' as const, decisionId: 'd1', answerTimeoutMs: 20_000, summary }
const escalations = [{ group: 'dba', to: 'sre-leads', inMs: 300 }]
const act = { proceed: 'act' as const, decisionId: 'd2', undoSame: false, summary }
const final = (outcome: Outcome, reason: string) => ({ effect: 'none' as const, because: 'final' as const, ...ends(outcome, reason) })
const away = ApplicationFailure.create({ message: 'the cluster does not answer', type: 'unavailable', nonRetryable: false, details: ['cluster_unreachable'] })
const databaseAway = ApplicationFailure.create({ message: 'the database did not answer', type: 'unavailable', nonRetryable: false, details: ['database_down'] })
const refusedForGood = ApplicationFailure.create({ message: 'the cluster says no', type: 'forbidden', nonRetryable: true, details: ['forbidden'] })
const verified = (verdict: Verdict) => ({ verdict, evidence: summary, summary })
const applied = { effect: 'applied' as const, summary }

const timing = { settleMs: 10, verifyTimeoutMs: 20_000, undoTimeoutMs: 1_500, fenceTimeoutMs: 1_500 }
const soon = (ms: number) => [() => ({ go: true as const, deadlineMs: Date.now() + ms, timing, summary })]

/** A remediation that goes well; scenarios say where theirs differs. */
export const wellGoing = (): { [Name in StepName]: Scripted<Name>[] } => ({
  detect: soon(60_000),
  plan: [{ planned: true, digest: 'sha256:plan', undo: true, summary }],
  preflight: [{ clear: true, summary }],
  evaluatePolicy: [act],
  checkAnswer: [{ valid: false, reason: 'no_such_answer', summary }],
  escalate: [{ escalated: true, summary }],
  reserve: [{ reserved: true, claimToken: 1, summary }],
  issueWarrant: [{ warrantId: 'w1', summary }],
  validateSignature: [{ valid: true, summary }],
  recordIntent: [{ recorded: true, summary }],
  executeAction: [applied],
  verify: [verified('better')],
  rollback: [applied],
  fence: [{ fenced: 'not_sent', summary }],
  judgeLost: [ends('blocked', 'run_lost')],
  close: [], // answers with the ending it is given, after the failures it is told
})

const judging: StepName[] = ['detect', 'plan', 'preflight', 'evaluatePolicy']
const acting: StepName[] = ['reserve', 'issueWarrant', 'validateSignature', 'recordIntent', 'executeAction']
const again: StepName[] = ['checkAnswer', 'plan', 'evaluatePolicy']
const undoing: StepName[] = ['issueWarrant', 'validateSignature', 'recordIntent', 'rollback']
const valid = (kind: AnswerKind) => ({ valid: true as const, kind, by: 'robin', comment: '', summary })

export const scenarios: readonly Scenario[] = [
  { name: 'healed', outcome: 'healed', asked: [...judging, ...acting, 'verify', 'close'] },
  {
    name: 'healed-after-approval',
    steps: { evaluatePolicy: [ask, act], checkAnswer: [valid('approve')] },
    outside: [{ after: 'evaluatePolicy', do: 'approve', by: 'update' }],
    outcome: 'healed',
    asked: [...judging, ...again, ...acting, 'verify', 'close'],
  },
  {
    name: 'healed-after-two-approvals',
    steps: { evaluatePolicy: [ask, ask, act], checkAnswer: [valid('approve')] },
    outside: [{ after: 'evaluatePolicy', do: 'approve' }, { after: 'evaluatePolicy', calls: 2, do: 'approve' }],
    outcome: 'healed',
    asked: [...judging, ...again, ...again, ...acting, 'verify', 'close'],
  },
  {
    name: 'healed-after-two-approvals-its-waits-said-to-be-over',
    steps: { evaluatePolicy: [ask, ask, act], checkAnswer: [valid('approve')] },
    outside: [{ after: 'evaluatePolicy', do: 'approve' }, { after: 'evaluatePolicy', calls: 2, do: 'approve' }],
    outcome: 'healed',
    asked: [...judging, ...again, ...again, ...acting, 'verify', 'close'],
  },
  {
    name: 'healed-after-an-escalation',
    steps: { evaluatePolicy: [{ ...ask, escalations }, act], checkAnswer: [valid('approve')] },
    outside: [{ after: 'escalate', do: 'approve' }],
    outcome: 'healed',
    asked: [...judging, 'escalate', ...again, ...acting, 'verify', 'close'],
  },
  {
    name: 'healed-after-an-escalation-that-an-answer-came-before',
    steps: { evaluatePolicy: [{ ...ask, escalations: [{ group: 'dba', to: 'sre-leads', inMs: 2_000 }] }, { ...ask, escalations }, act], checkAnswer: [valid('approve')] },
    outside: [{ after: 'evaluatePolicy', do: 'approve' }, { after: 'escalate', do: 'approve' }],
    outcome: 'healed',
    asked: [...judging, ...again, 'escalate', ...again, ...acting, 'verify', 'close'],
  },
  {
    name: 'healed-after-an-escalation-that-could-not-be-said',
    steps: { evaluatePolicy: [{ ...ask, escalations }, act], escalate: [refusedForGood], checkAnswer: [valid('approve')] },
    outside: [{ after: 'escalate', do: 'approve' }],
    outcome: 'healed',
    asked: [...judging, 'escalate', ...again, ...acting, 'verify', 'close'],
  },
  {
    name: 'healed-after-a-break-glass',
    steps: { evaluatePolicy: [ask, act], checkAnswer: [valid('approve')] },
    outside: [{ after: 'evaluatePolicy', do: 'approve' }],
    outcome: 'healed',
    asked: [...judging, ...again, ...acting, 'verify', 'close'],
  },
  {
    name: 'healed-though-the-alert-resolved-and-a-stranger-cancelled-meanwhile',
    steps: { verify: [() => new Promise((resolve) => setTimeout(resolve, 700, verified('better')))] },
    outside: [{ after: 'verify', do: 'resolve' }, { after: 'verify', do: 'cancel' }],
    outcome: 'healed',
    asked: [...judging, ...acting, 'verify', 'checkAnswer', 'close'],
  },
  {
    name: 'healed-after-waiting-for-a-turn',
    steps: { reserve: [{ reserved: false, retryMs: 50, summary }, { reserved: true, claimToken: 2, summary }] },
    outcome: 'healed',
    asked: [...judging, 'reserve', 'plan', 'preflight', 'evaluatePolicy', ...acting, 'verify', 'close'],
  },
  {
    name: 'healed-after-a-spent-disruption-budget',
    steps: { preflight: [{ clear: false, retryMs: 50, ...ends('blocked', 'pdb_exhausted') }, { clear: true, summary }] },
    outcome: 'healed',
    asked: [...judging, 'plan', 'preflight', 'evaluatePolicy', ...acting, 'verify', 'close'],
  },
  {
    name: 'healed-after-a-wait-for-a-disruption-budget-that-is-said',
    steps: { preflight: [{ clear: false, retryMs: 50, ...ends('blocked', 'pdb_exhausted') }, { clear: true, summary }] },
    outcome: 'healed',
    asked: [...judging, 'plan', 'preflight', 'evaluatePolicy', ...acting, 'verify', 'close'],
  },
  {
    name: 'healed-with-a-renewed-warrant',
    steps: { executeAction: [{ effect: 'none', because: 'warrant', retryMs: 0, summary }, applied] },
    outcome: 'healed',
    asked: [...judging, ...acting, 'evaluatePolicy', 'issueWarrant', 'validateSignature', 'recordIntent', 'executeAction', 'verify', 'close'],
  },
  {
    name: 'healed-with-the-record-stored-late',
    steps: { close: [databaseAway] },
    outcome: 'healed',
    asked: [...judging, ...acting, 'verify', 'close', 'close'],
  },
  {
    name: 'healed-although-its-call-was-given-up',
    steps: { executeAction: [refusedForGood], fence: [{ fenced: 'landed', digest: 'sha256:plan', summary }] },
    outcome: 'healed',
    asked: [...judging, ...acting, 'fence', 'verify', 'close'],
  },
  { name: 'no-action-needed', steps: { detect: [{ go: false, ...ends('no_action_needed', 'fault_gone') }] }, outcome: 'no_action_needed', asked: ['detect', 'close'] },
  {
    name: 'no-action-needed-when-the-alert-resolves',
    steps: { evaluatePolicy: [ask], checkAnswer: [valid('resolve')] },
    outside: [{ after: 'evaluatePolicy', do: 'resolve' }],
    outcome: 'no_action_needed',
    reason: 'alert_resolved',
    asked: [...judging, 'checkAnswer', 'close'],
  },
  { name: 'another-run', steps: { detect: [{ go: false, ending: null, summary }] }, outcome: null, asked: ['detect'] },
  { name: 'observed', steps: { evaluatePolicy: [stop('observed', 'mode_observe')] }, outcome: 'observed', asked: [...judging, 'close'] },
  { name: 'suggested', steps: { evaluatePolicy: [stop('suggested', 'mode_suggest')] }, outcome: 'suggested', asked: [...judging, 'close'] },
  { name: 'denied', steps: { evaluatePolicy: [stop('denied', 'explicit_deny')] }, outcome: 'denied', asked: [...judging, 'close'] },
  {
    name: 'denied-although-approved',
    steps: { evaluatePolicy: [ask, stop('denied', 'explicit_deny')], checkAnswer: [valid('approve')] },
    outside: [{ after: 'evaluatePolicy', do: 'approve' }],
    outcome: 'denied',
    asked: [...judging, ...again, 'close'],
  },
  {
    name: 'declined',
    steps: { evaluatePolicy: [ask], checkAnswer: [valid('reject')] },
    outside: [{ after: 'evaluatePolicy', do: 'reject' }],
    outcome: 'declined',
    asked: [...judging, 'checkAnswer', 'close'],
  },
  { name: 'unanswered', steps: { evaluatePolicy: [{ ...ask, answerTimeoutMs: 300 }] }, outcome: 'unanswered', asked: [...judging, 'close'] },
  {
    name: 'unanswered-after-two-escalations',
    steps: { evaluatePolicy: [{ ...ask, answerTimeoutMs: 1_200, escalations: [...escalations, { group: 'dba', to: 'directors', inMs: 600 }, { group: 'dba', to: 'board', inMs: 60_000 }] }] },
    outcome: 'unanswered',
    asked: [...judging, 'escalate', 'escalate', 'close'],
  },
  {
    name: 'unanswered-after-more-escalations-than-a-wait-has',
    steps: { evaluatePolicy: [{ ...ask, answerTimeoutMs: 1_200, escalations: Array.from({ length: 12 }, (_, at) => ({ group: 'dba', to: `g${at}`, inMs: 100 })) }] },
    outcome: 'unanswered',
    asked: [...judging, ...Array.from({ length: 9 }, () => 'escalate' as const), 'close'],
  },
  {
    name: 'unanswered-although-the-glass-was-broken-at-the-floor',
    steps: { evaluatePolicy: [{ ...ask, answerTimeoutMs: 1_500 }], checkAnswer: [valid('approve')] },
    outside: [{ after: 'evaluatePolicy', do: 'approve' }],
    outcome: 'unanswered',
    asked: [...judging, ...again, 'close'],
  },
  {
    name: 'unanswered-when-the-approval-is-forged',
    steps: { evaluatePolicy: [{ ...ask, answerTimeoutMs: 1_500 }] },
    outside: [{ after: 'evaluatePolicy', do: 'forge' }],
    outcome: 'unanswered',
    asked: [...judging, 'checkAnswer', 'close'],
  },
  {
    name: 'cancelled-by-a-person',
    steps: { evaluatePolicy: [ask], checkAnswer: [valid('cancel')] },
    outside: [{ after: 'evaluatePolicy', do: 'cancel' }],
    outcome: 'cancelled',
    asked: [...judging, 'checkAnswer', 'close'],
  },
  {
    name: 'cancelled-in-temporal',
    steps: { evaluatePolicy: [ask] },
    outside: [{ after: 'evaluatePolicy', do: 'cancelInTemporal' }],
    outcome: 'cancelled',
    reason: 'cancelled_in_temporal',
    asked: [...judging, 'close'],
  },
  {
    name: 'cancelled-during-verify',
    steps: { verify: ['hang'], checkAnswer: [valid('cancel')] },
    outside: [{ after: 'verify', do: 'cancel' }],
    outcome: 'cancelled',
    reason: 'cancelled_during_verify',
    asked: [...judging, ...acting, 'verify', 'checkAnswer', 'close'],
  },
  { name: 'limited', steps: { reserve: [{ reserved: false, retryMs: null, ...ends('limited', 'limit_reached') }] }, outcome: 'limited', asked: [...judging, 'reserve', 'close'] },
  {
    name: 'frozen',
    steps: { executeAction: [{ effect: 'none', because: 'frozen', retryMs: 0, summary }] },
    outcome: 'frozen',
    asked: [...judging, ...acting, 'fence', 'close'],
  },
  {
    name: 'blocked-in-preflight',
    steps: { preflight: [{ clear: false, retryMs: null, ...ends('blocked', 'hpa') }] },
    outcome: 'blocked',
    reason: 'hpa',
    asked: [...judging, 'close'],
  },
  { name: 'blocked-at-the-deadline', steps: { detect: soon(1_200), preflight: [away] }, outcome: 'blocked', reason: 'cluster_unreachable', asked: ['detect', 'plan', 'preflight', 'close'] },
  {
    name: 'blocked-by-a-bad-warrant',
    steps: { validateSignature: [{ valid: false, reason: 'warrant_signature', summary }] },
    outcome: 'blocked',
    reason: 'warrant_signature',
    asked: [...judging, 'reserve', 'issueWarrant', 'validateSignature', 'fence', 'close'],
  },
  {
    name: 'overtaken-while-approval-was-pending',
    steps: { evaluatePolicy: [ask], checkAnswer: [valid('approve')], plan: [{ planned: true, digest: 'sha256:plan', undo: true, summary }, { planned: false, ...ends('overtaken', 'target_changed') }] },
    outside: [{ after: 'evaluatePolicy', do: 'approve' }],
    outcome: 'overtaken',
    asked: [...judging, 'checkAnswer', 'plan', 'close'],
  },
  { name: 'overtaken-at-the-call', steps: { executeAction: [final('overtaken', 'target_changed')] }, outcome: 'overtaken', asked: [...judging, ...acting, 'fence', 'close'] },
  { name: 'coalesced', steps: { reserve: [{ reserved: false, retryMs: null, ...ends('coalesced', 'same_action_running') }] }, outcome: 'coalesced', asked: [...judging, 'reserve', 'close'] },
  { name: 'undone', steps: { verify: [verified('worse')] }, outcome: 'undone', asked: [...judging, ...acting, 'verify', ...undoing, 'close'] },
  {
    name: 'undone-because-policy-asks-for-it',
    steps: { verify: [verified('same')], evaluatePolicy: [{ ...act, undoSame: true }] },
    outcome: 'undone',
    reason: 'was_same',
    asked: [...judging, ...acting, 'verify', ...undoing, 'close'],
  },
  { name: 'needs-human-not-better', steps: { verify: [verified('same')] }, outcome: 'needs_human', reason: 'not_better', asked: [...judging, ...acting, 'verify', 'close'] },
  { name: 'needs-human-verdict-unknown', steps: { verify: [verified('unknown')] }, outcome: 'needs_human', reason: 'verdict_unknown', asked: [...judging, ...acting, 'verify', 'close'] },
  { name: 'needs-human-verify-unreachable', steps: { verify: [refusedForGood] }, outcome: 'needs_human', reason: 'verdict_unknown', asked: [...judging, ...acting, 'verify', 'close'] },
  {
    name: 'needs-human-no-undo',
    steps: { plan: [{ planned: true, digest: 'sha256:plan', undo: false, summary }], verify: [verified('worse')] },
    outcome: 'needs_human',
    reason: 'no_undo',
    asked: [...judging, ...acting, 'verify', 'close'],
  },
  {
    name: 'needs-human-undo-failed',
    steps: { verify: [verified('worse')], rollback: [refusedForGood] },
    outcome: 'needs_human',
    reason: 'undo_failed',
    asked: [...judging, ...acting, 'verify', ...undoing, 'fence', 'close'],
    failed: true,
  },
  {
    name: 'needs-human-undo-overtaken',
    steps: { verify: [verified('worse')], rollback: [final('overtaken', 'target_changed')] },
    outcome: 'needs_human',
    reason: 'undo_overtaken',
    asked: [...judging, ...acting, 'verify', ...undoing, 'fence', 'close'],
  },
  {
    name: 'needs-human-undo-frozen',
    steps: { verify: [verified('worse')], rollback: [{ effect: 'none', because: 'frozen', retryMs: 2_000, summary }] },
    outcome: 'needs_human',
    reason: 'undo_frozen',
    asked: [...judging, ...acting, 'verify', ...undoing, 'fence', 'close'],
  },
  {
    name: 'needs-human-unfenced',
    steps: { executeAction: [refusedForGood], fence: [{ fenced: 'unfenced', summary }] },
    outcome: 'needs_human',
    reason: 'unfenced',
    asked: [...judging, ...acting, 'fence', 'close'],
    failed: true,
  },
  { name: 'settled-after-termination', settle: 'terminated', steps: { judgeLost: [ends('cancelled', 'terminated')] }, outcome: 'cancelled', asked: ['fence', 'fence', 'judgeLost', 'close'] },
  { name: 'settled-while-the-cluster-is-away', settle: 'vanished', steps: { fence: [refusedForGood], judgeLost: [ends('needs_human', 'unverified')] }, outcome: 'needs_human', reason: 'unverified', asked: ['fence', 'fence', 'judgeLost', 'close'] },
]
