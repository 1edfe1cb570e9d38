import { asUtc, minuteMs, parseLocal, parseTimeOfDay, type LocalMinute } from './calendar.ts'
import { days, type TimeLeaf, type Window } from './document.ts'
import type { Truth } from './truth.ts'

/** What a clock on the wall of a zone shows. `weekday` 0 is Monday. */
export type Wall = Readonly<LocalMinute & { weekday: number }>

/** Undefined for a zone the time zone data does not know, or an instant outside it. */
export type WallClock = (zone: string, epochMs: number) => Wall | undefined

/** A time condition, ready to be asked. `edge` is the next instant at which its answer changes. */
export type TimeTest = {
  holds(now: number): Truth
  /** Epoch milliseconds after `now` and before `limit`, or null when nothing changes until then or for nine days. */
  edge(now: number, limit: number): number | null
  /** What the wall shows, for people. */
  shows(now: number): string
}

export function compileTime({ time }: TimeLeaf, wallClock: WallClock): TimeTest {
  const test = 'windows' in time ? windowTest(time, wallClock) : spanTest(time, wallClock)
  return { ...test, shows: (now) => wallText(time.zone, wallClock(time.zone, now)) }
}

const two = (n: number): string => String(n).padStart(2, '0')
const dayNames = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']

function wallText(zone: string, wall: Wall | undefined): string {
  if (!wall) return `no time known in ${zone}`
  const { year, month, day, weekday, minuteOfDay } = wall
  const clock = `${two(Math.floor(minuteOfDay / 60))}:${two(minuteOfDay % 60)}`
  return `${dayNames[weekday]} ${year}-${two(month)}-${two(day)} ${clock} ${zone}`
}

/** One span of minutes on chosen days: [from, to) with `to` up to 1440, or wrapping when to <= from. */
export type Span = { days: readonly boolean[]; from: number; to: number }

export function toSpan(window: Window): Span {
  const chosen = days.map((day) => window.days.includes(day))
  if ('allDay' in window) return { days: chosen, from: 0, to: 1440 }
  return { days: chosen, from: parseTimeOfDay(window.from)!, to: parseTimeOfDay(window.to)! }
}

/** A span that wraps belongs to the day it starts on. */
export function inSpan({ days, from, to }: Span, { weekday, minuteOfDay }: Pick<Wall, 'weekday' | 'minuteOfDay'>): boolean {
  if (from < to) return days[weekday]! && minuteOfDay >= from && minuteOfDay < to
  return (days[weekday]! && minuteOfDay >= from) || (days[(weekday + 6) % 7]! && minuteOfDay < to)
}

type Recurring = { zone: string; windows: Window[] }

function windowTest({ zone, windows }: Recurring, wallClock: WallClock): Omit<TimeTest, 'shows'> {
  const spans = windows.map(toSpan)
  const marks = [...new Set(spans.flatMap(({ from, to }) => [from, to]).concat(1440))].sort((a, b) => a - b)
  const open = (wall: Wall): boolean => spans.some((span) => inSpan(span, wall))
  const holds = (now: number): Truth => {
    const wall = wallClock(zone, now)
    return wall ? open(wall) : 'unknown'
  }
  const recurrence = { clock: (at: number) => wallClock(zone, at), marks, open }
  return { holds, edge: (now, limit) => nextChange(recurrence, now, limit) }
}

/** A week, and a day for a change of offset in between. */
const horizonMs = 9 * 24 * 60 * minuteMs

export type Clock = (epochMs: number) => Wall | undefined
type Recurrence = { clock: Clock; marks: readonly number[]; open: (wall: Wall) => boolean }

/**
 * Walks the wall from mark to mark. Where the wall did not move as far as the clock (an offset change),
 * the walk stops at that change first, because the answer may flip there.
 */
function nextChange({ clock, marks, open }: Recurrence, now: number, limit: number): number | null {
  let at = Math.floor(now / minuteMs) * minuteMs
  let wall = clock(at)
  const end = Math.min(at + horizonMs, limit)
  const before = wall && open(wall)
  while (wall && at < end) {
    const from = at
    at += (marks.find((mark) => mark > wall!.minuteOfDay)! - wall.minuteOfDay) * minuteMs
    let next = clock(at)
    if (next && asUtc(next) - at !== asUtc(wall) - from) {
      at = offsetChange(clock, from, at)
      next = clock(at)
    }
    wall = next
    if (wall && open(wall) !== before) return at < limit ? at : null
  }
  return null
}

/** How far the wall is ahead of UTC, in milliseconds; NaN where it is not known. */
export function offsetAt(clock: Clock, epochMs: number): number {
  const wall = clock(epochMs)
  return wall ? asUtc(wall) - Math.floor(epochMs / minuteMs) * minuteMs : Number.NaN
}

/** The first minute after `from` whose offset differs from that at `from`, by bisection. */
export function offsetChange(clock: Clock, from: number, to: number): number {
  const offset = offsetAt(clock, from)
  let [same, other] = [from / minuteMs, to / minuteMs]
  while (other - same > 1) {
    const middle = Math.floor((same + other) / 2)
    if (offsetAt(clock, middle * minuteMs) === offset) same = middle
    else other = middle
  }
  return other * minuteMs
}

type Once = { zone: string; from: string; to: string }

/** A span fixed in the calendar, turned into instants once. */
function spanTest({ zone, from, to }: Once, wallClock: WallClock): Omit<TimeTest, 'shows'> {
  const start = instantOf(zone, parseLocal(from)!, 'earlier', wallClock)
  const end = instantOf(zone, parseLocal(to)!, 'later', wallClock)
  return {
    holds: (now) => (Number.isNaN(start) || Number.isNaN(end) ? 'unknown' : now >= start && now < end),
    edge: (now, limit) => [start, end].find((edge) => edge > now && edge < limit) ?? null,
  }
}

/**
 * The instant at which a wall shows `local`. Twice shown: the one asked for, so that a freeze is the
 * longer of the two readings. Never shown (the clocks skip it): the later instant.
 */
export function instantOf(zone: string, local: LocalMinute, pick: 'earlier' | 'later', wallClock: WallClock): number {
  const guess = asUtc(local)
  const clock: Clock = (at) => wallClock(zone, at)
  const day = 24 * 60 * minuteMs
  const candidates = [guess - offsetAt(clock, guess - day), guess - offsetAt(clock, guess + day)]
  const exact = candidates.filter((at) => at + offsetAt(clock, at) === guess)
  if (exact.length === 0) return Math.max(...candidates)
  return pick === 'earlier' ? Math.min(...exact) : Math.max(...exact)
}
