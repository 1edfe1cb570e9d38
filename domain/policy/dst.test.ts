import { Temporal } from 'temporal-polyfill'
import { wallClock } from '../../adapters/policies/zones.ts'
import { drawn, playsAll } from '../../tests/helpers/draw.ts'
import { minuteMs } from './calendar.ts'
import type { Window } from './document.ts'
import { compileTime, instantOf } from './time.ts'
import { inWindow } from './testing/reference.ts'

// Against the Temporal polyfill: all zones in the long run, a third of them, drawn by a seed, in `npm test`.
const zones = Intl.supportedValuesOf('timeZone')
const played = playsAll ? zones : drawn(zones, Math.ceil(zones.length / 3))

const [from, to] = [Date.UTC(2026, 0, 1), Date.UTC(2027, 0, 1)]
const zoned = (zone: string, at: number) => Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(zone)

function changesOf(zone: string): number[] {
  const found: number[] = []
  for (let next = zoned(zone, from).getTimeZoneTransition('next'); next && next.epochMilliseconds < to; next = next.getTimeZoneTransition('next')) found.push(next.epochMilliseconds)
  return found
}

const changes = new Map(played.map((zone) => [zone, changesOf(zone)]))

const windows: Window[] = [
  { days: ['sun'], from: '02:15', to: '02:45' },
  { days: ['sat', 'thu'], from: '23:30', to: '02:30' },
  { days: ['sun', 'fri'], from: '00:00', to: '24:00' },
  { days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], from: '01:07', to: '03:01' },
  { days: ['sun'], allDay: true },
]

test('at every minute three hours around each change of 2026 the windows are open where Temporal’s wall says so', () => {
  let minutes = 0
  for (const [zone, at] of changes) {
    const tests = windows.map((window) => compileTime({ time: { zone, windows: [window] } }, wallClock))
    for (const change of [...at, from]) {
      for (let minute = change - 180 * minuteMs; minute <= change + 180 * minuteMs; minute += minuteMs) {
        const { year, month, day, dayOfWeek, hour, minute: past } = zoned(zone, minute)
        const wall = { year, month, day, weekday: dayOfWeek - 1, minuteOfDay: hour * 60 + past }
        const expected = windows.map((window) => inWindow(window, wall))
        const given = tests.map((one) => one.holds(minute))
        if (String(given) !== String(expected)) expect({ zone, minute, given }).toEqual({ zone, minute, given: expected })
        minutes += 1
      }
    }
  }
  expect(minutes).toBeGreaterThan(361 * played.length)
}, 600_000)

test('within two hours around each change of 2026 a fixed span begins and ends where Temporal says', () => {
  for (const [zone, at] of changes) {
    for (const change of at) {
      const shown = zoned(zone, change).toPlainDateTime()
      for (let shift = -120; shift <= 120; shift += playsAll ? 1 : 5) {
        const wall = shown.add({ minutes: shift })
        const local = { year: wall.year, month: wall.month, day: wall.day, minuteOfDay: wall.hour * 60 + wall.minute }
        const given = (['earlier', 'later'] as const).map((pick) => instantOf(zone, local, pick, wallClock))
        const expected = (['compatible', 'later'] as const).map((disambiguation) => wall.toZonedDateTime(zone, { disambiguation }).epochMilliseconds)
        if (String(given) !== String(expected)) expect({ zone, wall: String(wall), given }).toEqual({ zone, wall: String(wall), given: expected })
      }
    }
  }
}, 600_000)

test('of the zones played some change their offset in 2026, and some do not', () => {
  const changing = [...changes.values()].filter((at) => at.length > 0).length
  expect(changing).toBeGreaterThan(played.length / 5)
  expect(changing).toBeLessThan(played.length)
})
