/** Keys noted lately: each is forgotten after `forMs`, and the oldest as soon as there are more than `limit`. */
export function recent(forMs: number, limit: number, nowMs: () => number = () => performance.now()) {
  const noted = new Map<string, number>()
  return {
    has(key: string): boolean {
      const sinceMs = noted.get(key)
      return sinceMs !== undefined && nowMs() - sinceMs < forMs
    },
    note(key: string): void {
      noted.delete(key) // so that the order of keys is that of their times
      noted.set(key, nowMs())
      const [oldest] = noted.keys()
      if (noted.size > limit && oldest !== undefined) noted.delete(oldest)
    },
  }
}
