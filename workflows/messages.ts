import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow'
import type { Ending, Phase } from '../domain/remediation.ts'
import type { AnswerKind, Reply } from '../domain/transition.ts'

/**
 * Input of `remediate`. Facts come from the committed row of this id, never from the starter;
 * `firstLookMs` only bounds the wait for a database or cluster that is away before the row is read.
 */
export type RemediateInput = { id: string; cluster: string; firstLookMs: number }

/** Input of `settle`, which closes a remediation whose own run ended without doing so. */
export type SettleInput = { id: string; cluster: string; lost: 'terminated' | 'failed' | 'vanished' }

export type AnswerRef = { answerId: string }

/** Signals and updates carry the id of an answer that the API has committed; an id without a row is refused. */
export const approveSignal = defineSignal<[AnswerRef]>('approve')
export const rejectSignal = defineSignal<[AnswerRef]>('reject')
export const cancelSignal = defineSignal<[AnswerRef]>('cancel')
/** The alert behind this run stopped firing. */
export const resolveSignal = defineSignal<[AnswerRef]>('resolve')

export const answerUpdate = defineUpdate<Reply, [AnswerRef & { kind: AnswerKind }]>('answer')

export type RemediationStatus = { phase: Phase; step: string | null; planDigest: string | null; ending: Ending | null }
export const statusQuery = defineQuery<RemediationStatus>('status')
