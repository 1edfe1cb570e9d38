import type { Health, Plan, Refusal } from '../plan.ts'
import type { ActionParameters, EffectPhase, FaultClass } from '../remediation.ts'
import type { Judgement, Sample, VerifyWindow } from '../verdict.ts'
import type { Observation } from './observation.ts'
import type { AttemptRead, Situation } from './situation.ts'

/** What Aegis knows of one action. Pure: the cluster is an argument. */
export type ActionRules<P extends Plan = Plan> = {
  /** Pins every value, or says why not. Throws `unavailable` when the cluster has not settled enough to tell. */
  plan(observation: Observation, parameters: ActionParameters, fault: FaultClass | null): P | Refusal
  /** What an attempt's read means for this plan and phase. */
  situation(plan: P, phase: EffectPhase, remediationId: string, read: AttemptRead): Situation
  /** Judged from the health before acting and the looks since, oldest first. */
  verdict(plan: P, baseline: Health, samples: readonly Sample[], window: VerifyWindow): Judgement
}

export const isRefusal = (planned: Plan | Refusal): planned is Refusal => 'outcome' in planned

export const noAction = (reason: string, message: string): Refusal => ({ outcome: 'no_action_needed', reason, message })
export const blocked = (reason: string, message: string): Refusal => ({ outcome: 'blocked', reason, message })
