import type { Client } from '@temporalio/client'
import type { RemediationRequest } from '../domain/remediation.ts'
import { startLoop, type Loop } from './loop.ts'
import { signalAnswer, type AnswerDelivery } from './signals.ts'
import { startRemediation } from './starter.ts'

/** The committed rows the relay carries to Temporal. */
export type Outbox = {
  /** Of each cluster the oldest, at most `limit`. */
  unstarted(limit: number): Promise<RemediationRequest[]>
  markStarted(id: string): Promise<void>
  /** By cluster: runs that work towards their mutation; those that wait for people or verify do not count. */
  inFlight(): Promise<Map<string, number>>
  undelivered(limit: number): Promise<AnswerDelivery[]>
  markDelivered(answerId: string): Promise<void>
}

export type RelayOptions = {
  client: Client
  outbox: Outbox
  /** Work in flight before the mutation, per cluster: more only makes each run slower, and a cluster that is away holds up no other. */
  inFlightLimit: number
  everyMs: number
  onFailure(failure: unknown): void
}

const batch = 50

/** Starts what is accepted and not yet started, and tells runs what people answered. Safe to run many times over. */
export function startRelay({ client, outbox, inFlightLimit, everyMs, onFailure }: RelayOptions): Loop {
  const start = async (): Promise<number> => {
    const [waiting, inFlight] = await Promise.all([outbox.unstarted(inFlightLimit), outbox.inFlight()])
    const requests = withinLimit(waiting, inFlight, inFlightLimit)
    await Promise.all(
      requests.map(async (request) => {
        await startRemediation(client, request)
        await outbox.markStarted(request.id)
      }),
    )
    return requests.length
  }
  const tell = async (): Promise<number> => {
    const answers = await outbox.undelivered(batch)
    for (const answer of answers) {
      await signalAnswer(client, answer)
      await outbox.markDelivered(answer.answerId)
    }
    return answers.length
  }
  return startLoop(async () => (await Promise.all([start(), tell()])).some((count) => count > 0), { everyMs, onFailure })
}

export function withinLimit(waiting: readonly RemediationRequest[], inFlight: ReadonlyMap<string, number>, limit: number): RemediationRequest[] {
  const taken = new Map(inFlight)
  return waiting.filter(({ target: { cluster } }) => {
    const count = taken.get(cluster) ?? 0
    taken.set(cluster, count + 1)
    return count < limit
  })
}
