import fc from 'fast-check'
import { wallClock } from '../../../adapters/policies/zones.ts'
import { playsAll, seed } from '../../../tests/helpers/draw.ts'
import { days, type Window } from '../document.ts'
import type { Axis, Cells } from './cells.ts'
import { cellsWhere, has } from './cells.ts'
import { cellAt, instantAxis, instantsIn, weekAxis, weekCellAt, windowCells } from './moment-cells.ts'
import type { Box } from './region.ts'

const [stepMs, weekMs] = [5 * 60_000, 7 * 86_400_000]
const nowMs = Date.UTC(2026, 10, 27, 14)
const plenty = () => ({ left: 1_000_000 })

const clock = (step: number): string => `${String(Math.floor(step / 12)).padStart(2, '0')}:${String((step % 12) * 5).padStart(2, '0')}`
const window = fc.tuple(fc.subarray([...days], { minLength: 1, maxLength: 2 }), fc.nat(287), fc.integer({ min: 1, max: 24 })).map(([on, from, length]): Window => ({ days: on, from: clock(from), to: clock((from + length) % 288) }))
const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Africa/Casablanca', 'Australia/Lord_Howe', 'Asia/Tokyo')

/** Inside the first windows and outside the others, in each zone: few of many cells, as a search that cuts comes to. */
const weekly = fc.tuple(zone, fc.array(window, { minLength: 1, maxLength: 6 }), fc.array(window, { maxLength: 25 })).map(([name, inside, outside]): [Axis, Cells] => {
  const axis = weekAxis(name, [...inside, ...outside])
  return [axis, windowCells(axis, inside) & ~windowCells(axis, outside)]
})

/** Spans of the year ahead. */
const spans = fc.tuple(fc.array(fc.nat(52 * 7 * 288), { maxLength: 6 }), fc.nat()).map(([edges, chosen]): [Axis, Cells] => {
  const axis = instantAxis([nowMs, ...edges.map((edge) => nowMs + edge * stepMs)])
  return [axis, cellsWhere(axis.samples as number[], (at) => at >= nowMs) & ~BigInt(chosen)]
})

const boxes = fc.tuple(spans, fc.uniqueArray(weekly, { minLength: 1, maxLength: 3, selector: ([{ key }]) => key })).map(([fixed, weeks]): Box => new Map([fixed, ...weeks]))

const isIn = (box: Box, at: number): boolean =>
  [...box].every(([axis, cells]) => has(cells, axis.kind === 'instant' ? cellAt(axis.samples as number[], at) : weekCellAt(axis, at, wallClock)!))

/** Every five minutes of a year: nothing here is finer. */
function firstByTrying(box: Box): number | undefined {
  for (let at = nowMs; at < nowMs + 52 * weekMs; at += stepMs) if (isIn(box, at)) return at
  return undefined
}

test('where times meet at any minute of the year one is found, and what is found is one', () => {
  const seen = { met: 0, apart: 0 }
  fc.assert(fc.property(boxes, (box) => {
    const [found] = instantsIn(box, nowMs, wallClock, plenty())
    seen[found === undefined ? 'apart' : 'met'] += 1
    if (found === undefined) expect(firstByTrying(box)).toBeUndefined()
    else expect(isIn(box, found)).toBe(true)
  }), { numRuns: playsAll ? 3_000 : 60, seed })
  expect(Math.min(seen.met, seen.apart)).toBeGreaterThan(playsAll ? 300 : 5)
}, 600_000)

test('two zones that meet only while their offsets differ by another hour do meet', () => {
  // Berlin and New York are six hours apart, and five between the second Sunday and the last one of March.
  const at = (name: string, from: string, to: string): [Axis, Cells] => {
    const windows: Window[] = [{ days: ['mon'], from, to }]
    const axis = weekAxis(name, windows)
    return [axis, windowCells(axis, windows)]
  }
  const [found] = instantsIn(new Map([at('Europe/Berlin', '14:00', '14:05'), at('America/New_York', '09:00', '09:05')]), nowMs, wallClock, plenty())
  expect(found === undefined ? '' : new Date(found).toISOString()).toBe('2027-03-15T13:00:00.000Z')
})

test('what takes more than may be spent is given up, and that can be seen', () => {
  const axis = weekAxis('UTC', Array.from({ length: 200 }, (_, at): Window => ({ days: ['mon'], from: clock(at), to: clock(at + 1) })))
  const effort = { left: 50 }
  const never = instantAxis([nowMs])
  expect([...instantsIn(new Map([[axis, cellsWhere(axis.samples as number[], (minute) => minute % 2 === 0)], [never, 0n]]), nowMs, wallClock, effort)]).toEqual([])
  expect(effort.left).toBeLessThan(0)
})
