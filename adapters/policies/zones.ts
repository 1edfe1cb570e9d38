import { civilFromDays, dayMs, minuteMs } from '../../domain/policy/calendar.ts'
import type { Wall, WallClock } from '../../domain/policy/time.ts'

/** Days of one zone kept before they are forgotten: years of ordinary use. */
const mostDays = 4096

/** Offsets in minutes; `after` from the minute `change` on, counted from the epoch. */
type DayOffset = { before: number; after: number; change: number }
type Zone = { format: Intl.DateTimeFormat; days: Map<number, DayOffset>; last: { minute: number; wall: Wall } | undefined }

/** Null for a name that is known to name nothing. */
const zones = new Map<string, Zone | null>()

/** How many names are remembered, known or not: names come from files people edit. */
const mostZones = 1024

/** `Europe/Berlin` or `UTC`. Bare offsets such as `+01:00` are no zones: they know no summer time. */
const zonePattern = /^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+){0,2}$/

function zoneNamed(name: string): Zone | undefined {
  const known = zones.get(name)
  if (known !== undefined) return known ?? undefined
  if (zones.size >= mostZones) zones.clear()
  const zone = openZone(name)
  zones.set(name, zone ?? null)
  return zone
}

function openZone(name: string): Zone | undefined {
  if (!zonePattern.test(name)) return undefined
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: name, hourCycle: 'h23', era: 'short', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric',
    })
    return { format, days: new Map(), last: undefined }
  } catch {
    return undefined
  }
}

/** How far the zone's wall is ahead of UTC at this minute, in minutes, asked of the time zone data itself. */
function offsetByFormat({ format }: Zone, minute: number): number {
  const parts: Partial<Record<Intl.DateTimeFormatPartTypes, string>> = {}
  for (const { type, value } of format.formatToParts(minute * minuteMs)) parts[type] = value
  const year = parts.era === 'BC' ? 1 - Number(parts.year) : Number(parts.year)
  const wall = new Date(0)
  wall.setUTCFullYear(year, Number(parts.month) - 1, Number(parts.day))
  wall.setUTCHours(Number(parts.hour), Number(parts.minute))
  return Math.round(wall.getTime() / minuteMs) - minute
}

/**
 * A UTC day of a zone: the offsets it begins and ends with and, where they differ, the minute of the
 * change. No zone changes its offset twice within one UTC day.
 */
function dayOffset(zone: Zone, day: number): DayOffset {
  const [start, end] = [day * 1440, day * 1440 + 1440]
  const [before, after] = [offsetByFormat(zone, start), offsetByFormat(zone, end)]
  if (before === after) return { before, after, change: end }
  let [same, other] = [start, end]
  while (other - same > 1) {
    const middle = Math.floor((same + other) / 2)
    if (offsetByFormat(zone, middle) === before) same = middle
    else other = middle
  }
  return { before, after, change: other }
}

function offsetMinutes(zone: Zone, minute: number): number {
  const day = Math.floor(minute / 1440)
  let known = zone.days.get(day)
  if (known === undefined) {
    if (zone.days.size >= mostDays) zone.days.clear()
    known = dayOffset(zone, day)
    zone.days.set(day, known)
  }
  return minute < known.change ? known.before : known.after
}

/** Years 0 to 9999; policies need no others, and all of them format alike. */
const earliestMs = -62_167_219_200_000
const latestMs = 253_402_300_800_000

/** What a wall clock in an IANA zone shows; undefined for an unknown zone. */
export const wallClock: WallClock = (name, epochMs): Wall | undefined => {
  const zone = epochMs >= earliestMs + dayMs && epochMs < latestMs - 2 * dayMs ? zoneNamed(name) : undefined
  if (!zone) return undefined
  const minute = Math.floor(epochMs / minuteMs)
  // One decision asks for its own minute once per window.
  if (zone.last?.minute !== minute) zone.last = { minute, wall: wallAt(zone, minute) }
  return zone.last.wall
}

function wallAt(zone: Zone, minute: number): Wall {
  const local = minute + offsetMinutes(zone, minute)
  const day = Math.floor(local / 1440)
  // 1970-01-01 was a Thursday, the fourth day counted from Monday as 0 to 6.
  const { year, month, day: dayOfMonth } = civilFromDays(day)
  return { year, month, day: dayOfMonth, weekday: (((day + 3) % 7) + 7) % 7, minuteOfDay: local - day * 1440 }
}

export const zoneExists = (name: string): boolean => zoneNamed(name) !== undefined

/** Stored with each decision, so that it can be repeated with the same rules of time. */
export const tzdataVersion: string = process.versions['tz'] ?? 'unknown'
