import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client'
import type { RemediationRequest } from '../domain/remediation.ts'
import type { RemediateInput, SettleInput } from '../workflows/messages.ts'
import { decideQueue, firstPhase, remediateWorkflow, searchAttributes, settleWorkflow, settleWorkflowId } from './names.ts'

/** A lost decision worker is noticed after this long, and another takes the workflow over. */
const workflowTaskTimeoutMs = 5_000

/** Starts the one run of an accepted request. A run that is already there is success. */
export async function startRemediation(client: Client, request: RemediationRequest): Promise<void> {
  const { id, action, target, severity, reason } = request
  const firstLookMs = Math.max(0, Date.parse(request.deadlineAt) - Date.now())
  const input: RemediateInput = { id, cluster: target.cluster, firstLookMs }
  const workload = `${target.cluster}/${target.namespace}/${target.kind}/${target.name}`
  await ignoreAlreadyStarted(
    client.workflow.start(remediateWorkflow, {
      workflowId: id,
      taskQueue: decideQueue,
      args: [input],
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      workflowTaskTimeout: workflowTaskTimeoutMs,
      staticSummary: `${action} ${workload}`,
      staticDetails: reason,
      typedSearchAttributes: [
        { key: searchAttributes.cluster, value: target.cluster },
        { key: searchAttributes.namespace, value: target.namespace },
        { key: searchAttributes.target, value: workload },
        { key: searchAttributes.action, value: action },
        { key: searchAttributes.severity, value: severity },
        { key: searchAttributes.phase, value: firstPhase },
        { key: searchAttributes.needsApproval, value: false },
      ],
    }),
  )
}

/** Starts the closing of a lost run; again and again is fine, one runs at a time. */
export async function startSettling(client: Client, input: SettleInput): Promise<void> {
  await ignoreAlreadyStarted(
    client.workflow.start(settleWorkflow, {
      workflowId: settleWorkflowId(input.id),
      taskQueue: decideQueue,
      args: [input],
      workflowTaskTimeout: workflowTaskTimeoutMs,
      staticSummary: `close the lost remediation ${input.id}`,
    }),
  )
}

async function ignoreAlreadyStarted(starting: Promise<unknown>): Promise<void> {
  try {
    await starting
  } catch (failure) {
    if (!(failure instanceof WorkflowExecutionAlreadyStartedError)) throw failure
  }
}
