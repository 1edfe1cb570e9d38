import { findSessions, type Standing } from '../adapters/postgres/sessions.ts'
import type { Knex } from 'knex'
import { Failure } from '../domain/failure.ts'
import { grouped } from './grouped.ts'

export type SessionLookup = {
  /** How the session stands; at most 4 s old, so that with the time a call takes no change needs more than 5 s. */
  find(sessionId: string): Promise<Standing | undefined>
  /** What this process itself has just changed holds here at once. */
  forget(): void
}

const keptMs = 4_000
const mostKept = 20_000
const mostWaiting = 5_000

export function sessionLookup(db: Knex, nowMs: () => number = () => performance.now()): SessionLookup {
  const kept = new Map<string, { standing: Standing | undefined; askedAt: number }>()
  let generation = 0
  const look = grouped((ids: string[]) => findSessions(db, ids), {
    mostInGroup: 100,
    mostRunning: 2,
    mostWaiting,
    full: () => new Failure('limited', 'too_many_calls', `${mostWaiting} calls wait for their session to be looked up: call again in a moment`),
  })
  return {
    async find(sessionId) {
      const known = kept.get(sessionId)
      // The age counts from before the question: an answer may be old when it comes.
      const askedAt = nowMs()
      if (known && askedAt - known.askedAt < keptMs) return known.standing
      const asked = generation
      const standing = await look(sessionId)
      if (asked !== generation) return standing
      kept.delete(sessionId)
      kept.set(sessionId, { standing, askedAt })
      for (const oldest of kept.keys()) {
        if (kept.size <= mostKept) break
        kept.delete(oldest)
      }
      return standing
    },
    forget() {
      generation += 1
      kept.clear()
    },
  }
}
