export type Majority = { stopped: boolean; failing: number; watched: number }

/** Below this many workloads a share says nothing: one of two is already half. */
const smallestCrowd = 3

/** Many workloads failing at once have a cause that no action on one of them cures. `percent` 0 switches the guard off. */
export const isMajority = (watched: number, failing: number, percent: number): Majority => ({
  stopped: percent > 0 && watched >= smallestCrowd && failing * 100 >= percent * watched,
  failing,
  watched,
})

const minuteMs = 60_000

/** How many more requests the last minute leaves room for. */
export const room = (requestedAtMs: readonly number[], perMinute: number, nowMs: number): number =>
  Math.max(0, perMinute - requestedAtMs.filter((atMs) => nowMs - atMs < minuteMs).length)
