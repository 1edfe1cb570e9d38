/** Civil calendar arithmetic without a clock: the proleptic Gregorian calendar in whole days and minutes. */

export const minuteMs = 60_000
export const dayMs = 86_400_000

/** Days since 1970-01-01. */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

/** The inverse of `daysFromCivil`. */
export function civilFromDays(days: number): { year: number; month: number; day: number } {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor((dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365)
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day }
}

const isLeap = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0

const daysInMonth = (year: number, month: number): number =>
  [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0

const isDate = (year: number, month: number, day: number): boolean =>
  month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month)

/** A date and time of day as it reads on a wall, with no zone. */
export type LocalMinute = { year: number; month: number; day: number; minuteOfDay: number }

const localPattern = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)$/

/** `2026-12-24T18:00`, or undefined. */
export function parseLocal(text: string): LocalMinute | undefined {
  const found = localPattern.exec(text)
  if (!found) return undefined
  const [year, month, day, hour, minute] = found.slice(1).map(Number) as [number, number, number, number, number]
  if (!isDate(year, month, day) || hour > 23 || minute > 59) return undefined
  return { year, month, day, minuteOfDay: hour * 60 + minute }
}

/** The local minute read as if the zone were UTC, in epoch milliseconds. */
export const asUtc = ({ year, month, day, minuteOfDay }: LocalMinute): number =>
  daysFromCivil(year, month, day) * dayMs + minuteOfDay * minuteMs

const instantPattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?(Z|([+-])(\d\d):(\d\d))$/

/** `2026-12-24T18:00:00Z` or with an offset such as `+01:00`, as epoch milliseconds; or undefined. */
export function parseInstant(text: string): number | undefined {
  const found = instantPattern.exec(text)
  const local = found ? parseLocal(found[1]!) : undefined
  if (!found || !local) return undefined
  const seconds = Number(found[2] ?? 0)
  const millis = Number((found[3] ?? '').padEnd(3, '0'))
  const offsetHours = Number(found[6] ?? 0)
  const offsetMinutes = Number(found[7] ?? 0)
  if (seconds > 59 || offsetHours > 23 || offsetMinutes > 59) return undefined
  const offset = (offsetHours * 60 + offsetMinutes) * minuteMs * (found[5] === '-' ? -1 : 1)
  return asUtc(local) + seconds * 1000 + millis - offset
}

const durationUnits: Record<string, number> = { s: 1000, m: minuteMs, h: 3_600_000, d: dayMs }

/** `90s`, `15m`, `12h`, `7d` as milliseconds; at most 30 days unless told; or undefined. */
export function parseDuration(text: string, mostMs = 30 * dayMs): number | undefined {
  const found = /^([1-9]\d{0,6})([smhd])$/.exec(text)
  const ms = found ? Number(found[1]) * durationUnits[found[2]!]! : undefined
  return ms !== undefined && ms <= mostMs ? ms : undefined
}

/** `09:00` as minutes since midnight; `24:00` is 1440; or undefined. */
export function parseTimeOfDay(text: string): number | undefined {
  const found = /^(\d\d):(\d\d)$/.exec(text)
  if (!found) return undefined
  const minutes = Number(found[1]) * 60 + Number(found[2])
  return Number(found[2]) <= 59 && minutes <= 1440 ? minutes : undefined
}
