import type { Observation } from '../domain/actions/observation.ts'

export type FirstLooks = {
  /** What `detect` saw just now. */
  keep(id: string, observation: Observation): void
  /** The same for the `plan` that follows, once, while it is as good as new. */
  take(id: string): Observation | undefined
}

/** No longer than two steps of one workflow task are apart. */
const freshMs = 1_000
/** Far above the remediations that one worker starts in that time. */
const mostKept = 100

/**
 * `plan` comes within milliseconds of `detect` and would ask the API server the same again. What was
 * seen may be lost with the worker, which only costs a second look; and what changes after it is found
 * by preflight and by the call itself, as it is after any look.
 */
export function firstLooks(nowMs: () => number): FirstLooks {
  const kept = new Map<string, { observation: Observation; atMs: number }>()
  return {
    keep(id, observation) {
      const [oldest] = kept.keys()
      if (kept.size >= mostKept && oldest !== undefined) kept.delete(oldest)
      kept.set(id, { observation, atMs: nowMs() })
    },
    take(id) {
      const found = kept.get(id)
      kept.delete(id)
      return found && nowMs() - found.atMs <= freshMs ? found.observation : undefined
    },
  }
}
