import fc from 'fast-check'
import { wallClock } from '../../adapters/policies/zones.ts'
import { asUtc, civilFromDays, dayMs, daysFromCivil, minuteMs, parseDuration, parseInstant, parseLocal } from './calendar.ts'
import { days, type TimeLeaf, type Window } from './document.ts'
import { compileTime, instantOf } from './time.ts'

const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca', 'America/St_Johns', 'America/Santiago', 'Asia/Kolkata']

/** What the platform's own formatter shows, asked anew and parsed from text. */
const formatters = new Map(zones.map((zone) => [zone, new Intl.DateTimeFormat('en-GB', {
  timeZone: zone, weekday: 'short', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
})]))

function shownBy(zone: string, at: number) {
  const text = formatters.get(zone)!.format(at) // Tue, 24/03/2026, 14:02
  const [, weekday, day, month, year, hour, minute] = /^(\w{3}), (\d\d)\/(\d\d)\/(\d{4}), (\d\d):(\d\d)$/.exec(text)!
  return {
    year: Number(year), month: Number(month), day: Number(day), minuteOfDay: Number(hour) * 60 + Number(minute),
    weekday: days.findIndex((name) => name === weekday!.toLowerCase()),
  }
}

const year = { from: Date.UTC(2026, 0, 1), to: Date.UTC(2027, 0, 1) }
const offset = (zone: string, at: number) => asUtc(shownBy(zone, at)) - at

/** Every hour after which the zone's offset is another. */
function changesOf(zone: string): number[] {
  const found: number[] = []
  for (let at = year.from; at < year.to; at += 3_600_000) if (offset(zone, at) !== offset(zone, at + 3_600_000)) found.push(at)
  return found
}

const berlin = (windows: Window[]): TimeLeaf => ({ time: { zone: 'Europe/Berlin', windows } })
const tested = (leaf: TimeLeaf) => compileTime(leaf, wallClock)
const at = (text: string) => Date.parse(text)

test('the wall clock is the platform formatter at every minute around each change of offset, in seven zones', () => {
  for (const zone of zones) {
    const changes = changesOf(zone)
    expect(changes.length).toBe(zone === 'Asia/Kolkata' ? 0 : 2)
    for (const change of [...changes, year.from]) {
      for (let minute = change - 180 * minuteMs; minute < change + 240 * minuteMs; minute += minuteMs) {
        expect({ zone, minute, ...wallClock(zone, minute) }).toEqual({ zone, minute, ...shownBy(zone, minute) })
      }
    }
  }
})

test('a window is open exactly where a plain reading of the wall says so, around each change of offset', () => {
  const windows: Window[] = [
    { days: ['sun'], from: '02:15', to: '02:45' },
    { days: ['sat'], from: '23:30', to: '02:30' },
    { days: ['sun'], allDay: true },
  ]
  for (const zone of zones) {
    const [gapOrRepeat, wrapping, wholeDay] = windows.map((window) => tested({ time: { zone, windows: [window] } }))
    for (const change of changesOf(zone)) {
      for (let minute = change - 26 * 60 * minuteMs; minute < change + 26 * 60 * minuteMs; minute += 7 * minuteMs) {
        const { weekday, minuteOfDay } = shownBy(zone, minute)
        expect(gapOrRepeat!.holds(minute)).toBe(weekday === 6 && minuteOfDay >= 135 && minuteOfDay < 165)
        expect(wrapping!.holds(minute)).toBe((weekday === 5 && minuteOfDay >= 1410) || (weekday === 6 && minuteOfDay < 150))
        expect(wholeDay!.holds(minute)).toBe(weekday === 6)
      }
    }
  }
})

test('the edge is the first minute at which the answer differs', () => {
  const hourly = fc.integer({ min: 0, max: 47 }).map((half) => `${String(Math.floor(half / 2)).padStart(2, '0')}:${half % 2 ? '30' : '00'}`)
  const window = fc
    .record({ days: fc.uniqueArray(fc.constantFrom(...days), { minLength: 1 }), from: hourly, to: hourly })
    .filter(({ from, to }) => from !== to)
  const nearChanges = zones.flatMap((zone) => [...changesOf(zone), year.from].map((change) => ({ zone, change })))
  fc.assert(
    fc.property(fc.constantFrom(...nearChanges), fc.integer({ min: -1000, max: 200 }), fc.array(window, { minLength: 1, maxLength: 2 }), ({ zone, change }, shift, windows) => {
      const open = tested({ time: { zone, windows: windows as Window[] } })
      const now = change + shift * minuteMs
      let expected = now + minuteMs
      while (open.holds(expected) === open.holds(now) && expected < now + 2 * dayMs) expected += minuteMs
      const edge = open.edge(now, now + 2 * dayMs)
      expect(edge).toBe(expected < now + 2 * dayMs ? expected : null)
    }),
    { numRuns: 300 },
  )
})

test.each([
  ['a night window wraps and belongs to the day it starts on', berlin([{ days: ['fri'], from: '22:00', to: '06:00' }]), '2026-06-06T03:59:00Z', true],
  ['and not to the day after', berlin([{ days: ['fri'], from: '22:00', to: '06:00' }]), '2026-06-05T03:00:00Z', false],
  ['24:00 is the end of the day', berlin([{ days: ['fri'], from: '22:00', to: '24:00' }]), '2026-06-05T21:59:00Z', true],
  ['and the next day has begun', berlin([{ days: ['fri'], from: '22:00', to: '24:00' }]), '2026-06-05T22:00:00Z', false],
  ['an hour that is skipped does not occur', berlin([{ days: ['sun'], from: '02:00', to: '03:00' }]), '2026-03-29T01:00:00Z', false],
  ['an hour that comes twice is open both times (first)', berlin([{ days: ['sun'], from: '02:00', to: '03:00' }]), '2026-10-25T00:30:00Z', true],
  ['an hour that comes twice is open both times (second)', berlin([{ days: ['sun'], from: '02:00', to: '03:00' }]), '2026-10-25T01:30:00Z', true],
])('%s', (_name, leaf, now, expected) => expect(tested(leaf).holds(at(now))).toBe(expected))

test('a fixed span takes the longer reading of a repeated hour and the later instant of a skipped one', () => {
  const zone = 'Europe/Berlin'
  const repeated = parseLocal('2026-10-25T02:30')!
  expect(instantOf(zone, repeated, 'earlier', wallClock)).toBe(at('2026-10-25T00:30:00Z'))
  expect(instantOf(zone, repeated, 'later', wallClock)).toBe(at('2026-10-25T01:30:00Z'))
  expect(instantOf(zone, parseLocal('2026-03-29T02:30')!, 'earlier', wallClock)).toBe(at('2026-03-29T01:30:00Z'))
  const span = tested({ time: { zone, from: '2026-12-24T18:00', to: '2027-01-02T08:00' } })
  expect([span.holds(at('2026-12-24T16:59:59Z')), span.holds(at('2026-12-24T17:00:00Z')), span.holds(at('2027-01-02T07:00:00Z'))]).toEqual([false, true, false])
  expect(span.edge(at('2026-12-24T10:00:00Z'), Infinity)).toBe(at('2026-12-24T17:00:00Z'))
  expect(span.edge(at('2026-12-24T17:00:00Z'), Infinity)).toBe(at('2027-01-02T07:00:00Z'))
})

test('a zone that is not known makes the answer unknown, and no edge', () => {
  const lost = compileTime(berlin([{ days: ['fri'], from: '22:00', to: '06:00' }]), () => undefined)
  expect([lost.holds(year.from), lost.edge(year.from, Infinity), lost.shows(year.from)]).toEqual(['unknown', null, 'no time known in Europe/Berlin'])
})

test('calendar arithmetic agrees with the platform for centuries', () => {
  for (let day = -200_000; day < 200_000; day += 37) {
    const date = new Date(day * dayMs)
    const civil = { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() }
    expect(civilFromDays(day)).toEqual(civil)
    expect(daysFromCivil(civil.year, civil.month, civil.day)).toBe(day)
  }
})

test.each(['2026-12-24T18:00:00Z', '2026-12-24T18:00Z', '2024-02-29T00:00:00.5Z', '2026-12-24T18:00:00+05:30', '2026-12-24T18:00:00-03:00'])(
  'the instant %s is read as the platform reads it',
  (text) => expect(parseInstant(text)).toBe(Date.parse(text)),
)

test.each(['2026-02-30T00:00:00Z', '2026-13-01T00:00:00Z', '2026-12-24', '2026-12-24T18:00:00', '2026-12-24T24:00:00Z', 'tomorrow'])(
  '`%s` is no instant',
  (text) => expect(parseInstant(text)).toBeUndefined(),
)

test.each([['90s', 90_000], ['15m', 900_000], ['12h', 43_200_000], ['30d', 2_592_000_000], ['31d', undefined], ['0s', undefined], ['5', undefined], ['1.5h', undefined]])(
  'the duration %s is %s ms',
  (text, ms) => expect(parseDuration(text)).toBe(ms),
)
