import { minuteMs, parseLocal } from '../calendar.ts'
import type { TimeLeaf, Window } from '../document.ts'
import { inSpan, instantOf, offsetAt, offsetChange, toSpan, type Clock, type Wall, type WallClock } from '../time.ts'
import { axisOf, cellsWhere, firstCells, has, type Axis, type Cells } from './cells.ts'
import { isSpent, spend, type Effort } from './effort.ts'
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

const weekMs = weekMinutes * minuteMs
/** Zones may be another hour apart for some weeks of each year, and are so every year. */
const weeksAhead = 53

/**
 * Instants in the box, from the soonest span after `nowMs` on. While no offset changes walls repeat week by week, so what
 * is open at all within a year of the begin of one of its spans is so there, at a change of an offset, or where one of its
 * times of the week next begins after either. Each of those is tried: where nothing comes and `effort` is left, there is nothing.
 */
export function* instantsIn(box: Box, nowMs: number, wallClock: WallClock, effort: Effort): Generator<number> {
  const weeks = [...box].filter(([{ kind }]) => kind === 'week')
  const fixed = [...box].find(([{ kind }]) => kind === 'instant')
  const isInside = (at: number): boolean =>
    (!fixed || has(fixed[1], cellAt(fixed[0].samples as number[], at))) &&
    weeks.every(([axis, cells]) => {
      const cell = weekCellAt(axis, at, wallClock)
      return cell !== undefined && has(cells, cell)
    })
  const tried = new Set<number>()
  function* openAfter(start: number): Generator<number> {
    if (isSpent(effort)) return
    const openings = weeks.flatMap(([axis, cells]) => nextOpenings(axis, cells, start, wallClock)).sort((a, b) => a - b)
    for (const at of [start, ...openings]) {
      if (tried.has(at)) continue
      if (!spend(effort, 1 + weeks.length)) return
      tried.add(at)
      if (isInside(at)) yield at
    }
  }
  const starts = [nowMs, ...(fixed ? spanStarts(fixed[0], fixed[1], nowMs) : [])]
  for (const start of starts) yield* openAfter(start)
  for (const start of starts) for (const change of changesAfter(weeks.map(([{ key }]) => key), start, wallClock, effort)) yield* openAfter(change)
}

/** The cells of a set whose neighbour before is not in it: all that begins anywhere begins with one. */
const begins = (cells: Cells, before: Cells): number[] => firstCells(cells & ~before, Infinity)

/** Those after `nowMs` first. Before all edges there is no begin, so a week of it is taken. */
function spanStarts({ samples }: Axis, cells: Cells, nowMs: number): number[] {
  const starts = begins(cells, cells << 1n).map((cell) => (samples[cell] as number) - (cell === 0 ? weekMs : 0))
  return [...starts.filter((at) => at >= nowMs), ...starts.filter((at) => at < nowMs).reverse()]
}

/** When times of the week next begin after `start`, as long as the offset stays. */
function nextOpenings({ key, samples }: Axis, cells: Cells, start: number, wallClock: WallClock): number[] {
  const minute = Math.ceil(start / minuteMs) * minuteMs
  const wall = wallClock(key, minute)
  if (!wall) return []
  const [from, last] = [weekMinute(wall), BigInt(samples.length - 1)]
  return begins(cells, (cells << 1n) | (cells >> last)).map((cell) => minute + (((samples[cell] as number) - from + weekMinutes) % weekMinutes) * minuteMs)
}

/** When an offset of these zones changes within a year. None does so twice in a week. */
function changesAfter(zones: readonly string[], start: number, wallClock: WallClock, effort: Effort): number[] {
  if (!spend(effort, zones.length * weeksAhead)) return []
  const weeks = Array.from({ length: weeksAhead }, (_, week) => Math.floor(start / minuteMs) * minuteMs + week * weekMs)
  const found = zones.flatMap((zone) => {
    const clock: Clock = (at) => wallClock(zone, at)
    return weeks.filter((week) => Math.abs(offsetAt(clock, week) - offsetAt(clock, week + weekMs)) > 0).map((week) => offsetChange(clock, week, week + weekMs))
  })
  return found.sort((a, b) => a - b)
}
