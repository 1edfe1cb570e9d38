import { minuteMs, parseLocal } from '../calendar.ts'
import type { TimeLeaf, Window } from '../document.ts'
import { inSpan, instantOf, toSpan, type Wall, type WallClock } from '../time.ts'
import { axisOf, cellsWhere, firstCells, has, type Axis, type Cells } from './cells.ts'
import type { Box } from './region.ts'

const dayMinutes = 1440
export const weekMinutes = 7 * dayMinutes

/** Minutes since Monday 00:00 on the wall of a zone at which some window begins or ends: each opens a cell. */
export function weekAxis(zone: string, windows: readonly Window[]): Axis {
  const marks = new Set([0])
  for (const window of windows) {
    const { days, from, to } = toSpan(window)
    days.forEach((chosen, day) => {
      if (!chosen) return
      marks.add(day * dayMinutes + from)
      marks.add((day * dayMinutes + to + (to <= from ? dayMinutes : 0)) % weekMinutes)
    })
  }
  return axisOf('week', zone, [...marks].sort((a, b) => a - b))
}

export function windowCells({ samples }: Axis, windows: readonly Window[]): Cells {
  const spans = windows.map(toSpan)
  return cellsWhere(samples as number[], (minute) => {
    const wall = { weekday: Math.floor(minute / dayMinutes), minuteOfDay: minute % dayMinutes }
    return spans.some((span) => inSpan(span, wall))
  })
}

/** The instants a fixed span begins and ends with. */
export function spanEdges({ time }: TimeLeaf, wallClock: WallClock): number[] {
  if ('windows' in time) return []
  return [instantOf(time.zone, parseLocal(time.from)!, 'earlier', wallClock), instantOf(time.zone, parseLocal(time.to)!, 'later', wallClock)]
}

/** Before the first edge, and from each edge on. */
export function instantAxis(edges: readonly number[]): Axis {
  const sorted = [...new Set(edges.filter(Number.isFinite))].sort((a, b) => a - b)
  return axisOf('instant', 'now', [sorted[0]! - 1, ...sorted])
}

export const instantCells = ({ samples }: Axis, holds: (now: number) => boolean): Cells => cellsWhere(samples as number[], holds)

/** The last cell that begins at or before `at`. */
export function cellAt(starts: readonly number[], at: number): number {
  let [low, high] = [0, starts.length]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (starts[middle]! <= at) low = middle
    else high = middle
  }
  return low
}

const weekMinute = ({ weekday, minuteOfDay }: Wall): number => weekday * dayMinutes + minuteOfDay

export const weekCellAt = ({ key, samples }: Axis, at: number, wallClock: WallClock): number | undefined => {
  const wall = wallClock(key, at)
  return wall && cellAt(samples as number[], weekMinute(wall))
}

const mostStarts = 4
const mostCellsOfAxis = 20

/** Instants in the box, the soonest after `nowMs` first; few, for each may be tried. */
export function instantsIn(box: Box, nowMs: number, wallClock: WallClock): number[] {
  const weeks = [...box].filter(([{ kind }]) => kind === 'week')
  const fixed = [...box].find(([{ kind }]) => kind === 'instant')
  const inside = (at: number): boolean =>
    (!fixed || has(fixed[1], cellAt(fixed[0].samples as number[], at))) &&
    weeks.every(([axis, cells]) => {
      const cell = weekCellAt(axis, at, wallClock)
      return cell !== undefined && has(cells, cell)
    })
  const starts = [nowMs, ...(fixed ? startsOf(fixed[0], fixed[1], nowMs) : [])]
  const tried = starts.flatMap((start) => [start, ...weeks.flatMap(([axis, cells]) => nextOpenings(axis, cells, start, wallClock))])
  return [...new Set(tried)].filter(inside)
}

function startsOf({ samples }: Axis, cells: Cells, nowMs: number): number[] {
  const starts = firstCells(cells, samples.length).map((cell) => samples[cell] as number)
  const [later, earlier] = [starts.filter((at) => at >= nowMs), starts.filter((at) => at < nowMs).reverse()]
  return [...later, ...earlier].slice(0, mostStarts)
}

/** When each of these cells next begins after `start`, as long as the offset stays. */
function nextOpenings({ key, samples }: Axis, cells: Cells, start: number, wallClock: WallClock): number[] {
  const minute = Math.ceil(start / minuteMs) * minuteMs
  const wall = wallClock(key, minute)
  if (!wall) return []
  const from = weekMinute(wall)
  return firstCells(cells, mostCellsOfAxis)
    .map((cell) => minute + (((samples[cell] as number) - from + weekMinutes) % weekMinutes) * minuteMs)
    .sort((a, b) => a - b)
}
