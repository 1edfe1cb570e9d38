/** At most `limit` in every window of `windowMs`. */
export type RateLimit = { limit: number; windowMs: number }

export type SlidingLog = {
  /** Milliseconds until the key has room again; 0: it has. Takes none. */
  waitMs(key: string, nowMs: number): number
  /** Takes room where there is any; else says how long to wait, and takes none. */
  take(key: string, nowMs: number): number
}

/** What is not known yet once `mostKeys` are at work: all of it counts as one. */
const others = '\u0000others'

type Times = { at: number[]; from: number }

/**
 * The exact sliding log of domain/limits.ts for what one process counts in memory. It is bounded: a key holds at most
 * `limit` times, and when `mostKeys` have any in their window, new ones share one log instead of none.
 */
export function slidingLog({ limit, windowMs }: RateLimit, mostKeys = 10_000): SlidingLog {
  const known = new Map<string, Times>()

  const timesOf = (key: string, nowMs: number): Times => {
    const found = known.get(key) ?? (known.size < mostKeys || forgotten(nowMs) ? { at: [], from: 0 } : (known.get(others) ?? { at: [], from: 0 }))
    while (found.from < found.at.length && found.at[found.from]! + windowMs <= nowMs) found.from++
    if (found.from > limit) {
      found.at.splice(0, found.from)
      found.from = 0
    }
    return found
  }
  /** The key that was used least lately makes place if its window is over. */
  const forgotten = (nowMs: number): boolean => {
    const [oldest] = known
    const last = oldest?.[1].at.at(-1)
    if (!oldest || (last !== undefined && last + windowMs > nowMs)) return false
    return known.delete(oldest[0])
  }
  const waitOf = ({ at, from }: Times, nowMs: number): number => (at.length - from < limit ? 0 : limit === 0 ? windowMs : at[from]! + windowMs - nowMs)

  return {
    waitMs: (key, nowMs) => waitOf(timesOf(key, nowMs), nowMs),
    take(key, nowMs) {
      const times = timesOf(key, nowMs)
      const waitMs = waitOf(times, nowMs)
      if (waitMs > 0) return waitMs
      times.at.push(nowMs)
      const place = known.has(key) || known.size < mostKeys ? key : others
      known.delete(place) // so that the order of keys is that of their last use
      known.set(place, times)
      return 0
    },
  }
}
