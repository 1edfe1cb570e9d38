import { tzdataVersion, wallClock, zoneExists } from './zones.ts'

test.each([
  ['Europe/Berlin', '2026-03-29T00:59:00Z', { year: 2026, month: 3, day: 29, weekday: 6, minuteOfDay: 119 }],
  ['Europe/Berlin', '2026-03-29T01:00:00Z', { year: 2026, month: 3, day: 29, weekday: 6, minuteOfDay: 180 }],
  ['Asia/Kolkata', '2026-12-31T18:30:00Z', { year: 2027, month: 1, day: 1, weekday: 4, minuteOfDay: 0 }],
  ['UTC', '1969-12-31T23:59:59Z', { year: 1969, month: 12, day: 31, weekday: 2, minuteOfDay: 1439 }],
])('%s at %s', (zone, at, expected) => expect(wallClock(zone, Date.parse(at))).toEqual(expected))

test.each(['Mars/Olympus', '+01:00', '', '../etc', 'Europe/Berlin ', 'constructor'])('`%s` is no zone', (name) => {
  expect(zoneExists(name)).toBe(false)
  expect(wallClock(name, 0)).toBeUndefined()
})

test('an instant outside the calendar has no wall', () => {
  for (const at of [Number.NaN, Infinity, -Infinity, 8.64e15]) expect(wallClock('UTC', at)).toBeUndefined()
})

test('names that people mistype do not fill the memory', () => {
  for (let i = 0; i < 3000; i++) expect(zoneExists(`Nowhere/Place${i}`)).toBe(false)
  expect(zoneExists('Europe/Berlin')).toBe(true)
})

test('the version of the time zone data is known', () => expect(tzdataVersion).toMatch(/^\d{4}[a-z]$/))
