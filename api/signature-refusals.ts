import { randomUUID } from 'node:crypto'
import type { Knex } from 'knex'
import type { Logger } from '../adapters/log.ts'
import type { ApiMetrics } from '../adapters/metrics.ts'
import { appendEntry, systemActor } from '../adapters/postgres/ledger.ts'
import type { Callers } from './callers.ts'

/** `claimedKeyId` is what the call says; null where it says none. */
export type SignatureRefusal = { code: string; method: string; route: string; requestId: string; claimedKeyId: string | null }

export type SignatureRefusals = {
  record(refusal: SignatureRefusal): Promise<void>
  /** Writes the summary that is due, if any. */
  flush(): Promise<void>
}

const summaryEveryMs = 60_000
/** Entries of their own in that time; whoever knows a key id must not be able to fill the ledger. */
const mostEntries = 600

type Deps = { db: Knex; find: Callers['find']; log: Logger; metrics: ApiMetrics; everyMs?: number }

/**
 * A refused signature under a key of ours is an entry of its own. Who names no key of ours is anybody: those are
 * counted, and one entry a minute says how many there were.
 */
export function signatureRefusals({ db, find, log, metrics, everyMs = summaryEveryMs }: Deps): SignatureRefusals {
  let counts = new Map<string, number>()
  let entries = 0
  let timer: NodeJS.Timeout | undefined

  async function record({ claimedKeyId, ...refusal }: SignatureRefusal): Promise<void> {
    const key = claimedKeyId === null ? undefined : await find(claimedKeyId)
    metrics.signaturesRefused.inc({ code: refusal.code, key: key ? 'known' : 'unknown' })
    timer ??= setTimeout(() => void flush(), everyMs).unref()
    if (!key || entries >= mostEntries) return void counts.set(refusal.code, (counts.get(refusal.code) ?? 0) + 1)
    entries += 1
    // Whose key was named is not who called: nothing is proven of a signature that was refused.
    const body = { ...refusal, keyId: key.keyId, caller: key.caller }
    await appendEntry(db, { stream: streamOfToday(), stepKey: randomUUID(), kind: 'signature_refused', actor: systemActor, body })
  }

  async function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    const due = counts
    counts = new Map()
    entries = 0
    if (due.size === 0) return
    try {
      const body = { counts: countsOf(due), everyMs }
      await appendEntry(db, { stream: streamOfToday(), stepKey: randomUUID(), kind: 'signatures_refused', actor: systemActor, body })
    } catch (failure) {
      log.error({ err: failure, counts: countsOf(due) }, 'refused signatures could not be recorded')
    }
  }

  return { record, flush }
}

/** A list: a code such as `no_credential` is no name for a member, whose value would be taken for a secret. */
const countsOf = (counts: ReadonlyMap<string, number>) => [...counts].map(([code, count]) => ({ code, count })).sort((a, b) => (a.code < b.code ? -1 : 1))

const streamOfToday = (): string => `refused/${new Date().toISOString().slice(0, 10)}`
