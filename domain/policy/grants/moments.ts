import type { Ground } from '../lint/witness.ts'
import { firstCells } from '../lint/cells.ts'
import { instantsIn } from '../lint/moment-cells.ts'
import type { Box } from '../lint/region.ts'

const weekMs = 7 * 86_400_000
/** Two zones may be another hour apart for some weeks of each year, and are so every year. */
const weeksAhead = 53
const mostSpans = 20

/** A moment that is in the box, from now on; undefined where there is none. The same times are looked for once. */
export function momentsOf({ space, nowMs, wallClock }: Pick<Ground, 'space' | 'nowMs' | 'wallClock'>): (box: Box) => number | undefined {
  const known = new Map<string, number | undefined>()
  const spans = (box: Box): number[] => firstCells(box.get(space.instants) ?? 0n, mostSpans).map((cell) => space.instants.samples[cell] as number)

  function find(box: Box): number | undefined {
    const [soon] = instantsIn(box, nowMs, wallClock)
    if (soon !== undefined) return soon
    for (const start of new Set([nowMs, ...spans(box)])) {
      for (let week = 0; week < weeksAhead; week++) {
        const [found] = instantsIn(box, start + week * weekMs, wallClock).filter((at) => at >= nowMs)
        if (found !== undefined) return found
      }
    }
    return undefined
  }

  return (box) => {
    const times = [...box].filter(([{ kind }]) => kind === 'week' || kind === 'instant')
    const key = times.map(([{ kind, key: zone }, cells]) => `${kind} ${zone} ${cells}`).sort().join(',')
    if (!known.has(key)) known.set(key, find(new Map(times)))
    return known.get(key)
  }
}
