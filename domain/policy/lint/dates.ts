import { civilFromDays, dayMs } from '../calendar.ts'

const two = (n: number): string => String(n).padStart(2, '0')

/** `2026-03-29`, from days since 1970-01-01. */
export function dateText(days: number): string {
  const { year, month, day } = civilFromDays(days)
  return `${year}-${two(month)}-${two(day)}`
}

const weekdays = ['Thu', 'Fri', 'Sat', 'Sun', 'Mon', 'Tue', 'Wed']

/** `Thu 2026-11-26 22:00 UTC`, from epoch milliseconds. */
export function hourText(epochMs: number): string {
  const days = Math.floor(epochMs / dayMs)
  const hour = Math.floor((epochMs - days * dayMs) / 3_600_000)
  return `${weekdays[((days % 7) + 7) % 7]} ${dateText(days)} ${two(hour)}:00 UTC`
}
