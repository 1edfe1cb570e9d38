/** L7: windows that do not occur on a day on which the clocks go forward. */
import { dayMs, minuteMs } from '../calendar.ts'
import { days, type Window } from '../document.ts'
import type { Glob } from '../glob.ts'
import type { PolicyInput } from '../input.ts'
import { compileTime, offsetAt, offsetChange, toSpan, type Clock, type WallClock } from '../time.ts'
import type { Area } from './areas.ts'
import { dateText } from './dates.ts'
import type { Finding } from './finding.ts'
import { placedLeaves } from './places.ts'
import type { Box } from './region.ts'
import { requestsIn, truthOf, witnessIn, type Ground } from './witness.ts'

const horizonDays = 366

/** The wall goes from `from` to `to` at the instant `at`; walls are read as if the zone were UTC. */
type Gap = { at: number; from: number; to: number }

export function skippedWindows(ground: Ground, areas: readonly Area[]): Finding[] {
  const known = new Map<string, Gap[]>()
  const gapsOf = (zone: string): Gap[] => {
    const gaps = known.get(zone) ?? gapsIn(zone, ground.nowMs, ground.wallClock)
    known.set(zone, gaps)
    return gaps
  }
  return areas.flatMap((area) =>
    placedLeaves(area.policy.document).flatMap(({ leaf, path }) => {
      if (!('time' in leaf) || !('windows' in leaf.time)) return []
      const { zone, windows } = leaf.time
      return windows.flatMap((window, at) => skippedWindow(ground, area, zone, window, `${path}.windows[${at}]`, gapsOf(zone)))
    }))
}

function gapsIn(zone: string, nowMs: number, wallClock: WallClock): Gap[] {
  const clock: Clock = (at) => wallClock(zone, at)
  const start = Math.floor(nowMs / minuteMs) * minuteMs
  return Array.from({ length: horizonDays }, (_, day) => start + day * dayMs).flatMap((from) => {
    const [before, after] = [offsetAt(clock, from), offsetAt(clock, from + dayMs)]
    if (!(after > before)) return []
    const at = offsetChange(clock, from, from + dayMs)
    return [{ at, from: at + before, to: at + after }]
  })
}

function skippedWindow(ground: Ground, { policy, sure = [], globs }: Area, zone: string, window: Window, path: string, gaps: readonly Gap[]): Finding[] {
  const lost = gaps.flatMap((gap) => lostDays(window, gap).map((day) => ({ gap, day }))).filter(({ gap }) => isShutAround(ground, zone, window, gap))
  const [first] = lost
  if (!first) return []
  // The same request is answered by the window on another day, and not at the minute the clocks go forward.
  const shows = (input: PolicyInput): boolean => truthOf(ground, policy, input) === true && truthOf(ground, policy, { ...input, now: first.gap.at }) !== true
  const usual = sure.length === 0 ? null : witnessIn(requestsOf(ground, sure, globs), shows)
  const dates = lost.map(({ day }) => dateText(day)).join(', ')
  return [{
    code: 'L7', severity: 'warning', policy: policy.document.id, others: [], path, witness: usual ? { ...usual, now: first.gap.at } : null,
    message: `this window does not occur on ${dates}: the clocks of ${zone} skip it. Move it out of the skipped hour if it must occur`,
  }]
}

function* requestsOf(ground: Ground, boxes: readonly Box[], globs: readonly Glob[]): Generator<PolicyInput> {
  for (const box of boxes) for (const glob of globs) yield* requestsIn(ground, box, [glob])
}

/** Days, counted from the epoch, whose occurrence of the window lies wholly in the gap. */
function lostDays(window: Window, { from, to }: Gap): number[] {
  const span = toSpan(window)
  const lasts = span.to > span.from ? span.to - span.from : span.to + 1440 - span.from
  const first = Math.floor(from / dayMs) - 1
  return [first, first + 1, first + 2].filter((day) => {
    const starts = day * dayMs + span.from * minuteMs
    return span.days[weekdayOf(day)]! && starts >= from && starts + lasts * minuteMs <= to
  })
}

/** 1970-01-01 was a Thursday. */
const weekdayOf = (day: number): number => (((day + 3) % days.length) + days.length) % days.length

/** The engine's own word for it: the window is shut just before the clocks go forward and just after. */
function isShutAround({ wallClock }: Ground, zone: string, window: Window, { at }: Gap): boolean {
  const { holds } = compileTime({ time: { zone, windows: [window] } }, wallClock)
  return holds(at - minuteMs) === false && holds(at) === false
}
