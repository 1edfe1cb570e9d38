import { isSpent } from '../lint/effort.ts'
import { instantsIn } from '../lint/moment-cells.ts'
import type { Box } from '../lint/region.ts'
import type { Ground } from '../lint/witness.ts'

/** For one set of times: a few milliseconds. */
const mostEffort = 5_000

/** A moment that is in the box, from now on; `never`, or `unclear` where there was too much to try. The same times are looked for once. */
export function momentsOf({ nowMs, wallClock }: Pick<Ground, 'nowMs' | 'wallClock'>): (box: Box) => number | 'never' | 'unclear' {
  const known = new Map<string, number | 'never' | 'unclear'>()

  function find(box: Box): number | 'never' | 'unclear' {
    const effort = { left: mostEffort }
    for (const at of instantsIn(box, nowMs, wallClock, effort)) if (at >= nowMs) return at
    return isSpent(effort) ? 'unclear' : 'never'
  }

  return (box) => {
    const times = [...box].filter(([{ kind }]) => kind === 'week' || kind === 'instant')
    const key = times.map(([{ kind, key: zone }, cells]) => `${kind} ${zone} ${cells}`).sort().join(',')
    if (!known.has(key)) known.set(key, find(new Map(times)))
    return known.get(key)!
  }
}
