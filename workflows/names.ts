import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common'
import type { Phase } from '../domain/remediation.ts'

/** The queue of workflows and of the steps that read, judge and record. */
export const decideQueue = 'aegis-decide'

/** Each cluster has its own queue and its own worker beside it: no worker holds two clusters' rights. */
export const executeQueue = (cluster: string): string => `aegis-execute-${cluster}`

export const remediateWorkflow = 'remediate'
export const settleWorkflow = 'settle'
export const settleWorkflowId = (remediationId: string): string => `settle/${remediationId}`

/** Of a run from its start: the start says it, and the run need not. */
export const firstPhase: Phase = 'planning'

/** What operators filter by in the Temporal UI; registered when the namespace is set up. */
export const searchAttributes = {
  cluster: defineSearchAttributeKey('AegisCluster', SearchAttributeType.KEYWORD),
  namespace: defineSearchAttributeKey('AegisNamespace', SearchAttributeType.KEYWORD),
  target: defineSearchAttributeKey('AegisTarget', SearchAttributeType.KEYWORD),
  action: defineSearchAttributeKey('AegisAction', SearchAttributeType.KEYWORD),
  severity: defineSearchAttributeKey('AegisSeverity', SearchAttributeType.KEYWORD),
  phase: defineSearchAttributeKey('AegisPhase', SearchAttributeType.KEYWORD),
  outcome: defineSearchAttributeKey('AegisOutcome', SearchAttributeType.KEYWORD),
  needsApproval: defineSearchAttributeKey('AegisNeedsApproval', SearchAttributeType.BOOL),
} as const
