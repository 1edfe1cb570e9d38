import type { Client } from '@temporalio/client'
import type { Readiness } from '../adapters/metrics.ts'

const checkTimeoutMs = 1_500
/** Health is public and asked often; Temporal is not asked each time. */
const rememberedMs = 2_000

/** Whether Temporal answers. Never rejects. */
export function temporalHealth(client: Client): () => Promise<Readiness> {
  let asked = { at: -Infinity, answer: Promise.resolve<Readiness>({ ok: false }) }
  return () => {
    if (performance.now() - asked.at > rememberedMs) asked = { at: performance.now(), answer: ask(client) }
    return asked.answer
  }
}

const ask = (client: Client): Promise<Readiness> =>
  client.connection
    .withDeadline(Date.now() + checkTimeoutMs, () => client.workflowService.describeNamespace({ namespace: client.options.namespace }))
    .then(
      () => ({ ok: true }),
      () => ({ ok: false, reason: 'it does not answer: requests and answers are kept and follow later' }),
    )
