/** L13: what no policy would allow or ask about, so that it is denied for want of one. */
import { severities, type Severity } from '../../remediation.ts'
import { minuteMs } from '../calendar.ts'
import { compileGlob } from '../glob.ts'
import type { PolicyInput } from '../input.ts'
import { parseResource } from '../names.ts'
import { isEnforced, type Area } from './areas.ts'
import { cellsWhere, firstCells, has, type Axis, type Cells } from './cells.ts'
import { hourText } from './dates.ts'
import { spend } from './effort.ts'
import { ownActions } from './facts.ts'
import type { Finding } from './finding.ts'
import { cellAt, weekCellAt } from './moment-cells.ts'
import type { Box } from './region.ts'
import { decisionOn, requestsIn, witnessIn, type Ground } from './witness.ts'

const hourMs = 3_600_000
const hoursAhead = 168

/** Hours from the one of `nowMs` on, one bit each. */
type Hours = bigint
const allHours: Hours = (1n << BigInt(hoursAhead)) - 1n

/** The coming week, hour by hour, for what Aegis does and what an allow or an approval policy names. */
export function uncoveredCells(ground: Ground, areas: readonly Area[]): Finding[] {
  const permitting = areas.filter((area) => isEnforced(area) && area.policy.document.effect !== 'deny')
  const start = Math.floor(ground.nowMs / hourMs) * hourMs
  const covered = coverage(ground, permitting, start)
  const named = permitting.flatMap(({ policy }) => policy.document.actions.filter((action) => !action.includes('*')))
  return [...new Set([...ownActions, ...named])].sort().flatMap((action) => {
    const open = severities.map((severity) => ({ severity, hours: allHours & ~covered(action, severity) })).filter(({ hours }) => hours !== 0n)
    const witness = open.length > 0 ? witnessOf(ground, action, open, start) : null
    if (!witness) return []
    return [{
      code: 'L13' as const, severity: 'notice' as const, policy: null, others: [], path: action, witness,
      message: `no policy allows or asks about ${action} ${linesOf(open, start).join('; ')}, so it is denied. Add one if that is not meant`,
    }]
  })
}

type Open = { severity: Severity; hours: Hours }

function coverage(ground: Ground, permitting: readonly Area[], start: number): (action: string, severity: Severity) => Hours {
  const { actions, types, fact } = ground.space
  const severity = fact('context.severity')
  const found = new Map<string, Hours>()
  const hoursOf = hoursReader(ground, start)
  for (const { sure, scope } of permitting) {
    // Where it is too much to say exactly where a policy holds, it may hold anywhere in its scope.
    for (const box of sure ?? [scope]) {
      if (!has(box.get(types) ?? types.all, types.samples.indexOf('self_healing'))) continue
      const hours = hoursOf(box)
      const graves = severities.filter((word) => !severity || has(box.get(severity) ?? severity.all, severity.samples.indexOf(word)))
      for (const cell of firstCells(box.get(actions) ?? actions.all, actions.samples.length)) {
        for (const word of graves) {
          const key = `${String(actions.samples[cell])} ${word}`
          found.set(key, (found.get(key) ?? 0n) | hours)
        }
      }
    }
  }
  return (action, word) => found.get(`${action} ${word}`) ?? 0n
}

/** What it takes to ask a moment. */
const momentUnits = 0.05

/** In which hours some minute is within the box's times. */
function hoursReader({ space: { instants, weeks }, wallClock, effort }: Ground, start: number): (box: Box) => Hours {
  const perHour = minutesToAsk([...weeks, instants])
  const moments = Array.from({ length: hoursAhead }, (_, hour) => perHour.map((minute) => start + (hour * 60 + minute) * minuteMs)).flat()
  const cells = new Map<Axis, (number | undefined)[]>()
  const cellsOf = (axis: Axis): (number | undefined)[] => {
    const found = cells.get(axis) ?? moments.map((at) => (axis.kind === 'week' ? weekCellAt(axis, at, wallClock) : cellAt(axis.samples as number[], at)))
    cells.set(axis, found)
    return found
  }
  const known = new Map<string, Hours>()
  return (box) => {
    const timed = [...box].filter(([{ kind }]) => kind === 'week' || kind === 'instant')
    if (timed.length === 0) return allHours
    const key = timed.map(([axis, set]) => `${axis.kind} ${axis.key} ${set}`).join()
    // Where nothing more can be spent it may hold at any hour, and nothing is claimed.
    const found = known.get(key) ?? (!spend(effort, timed.length * moments.length * momentUnits) ? allHours : openHours(timed.map(([axis, set]) => openAt(cellsOf(axis), axis, set)), perHour.length))
    known.set(key, found)
    return found
  }
}

/** Minutes of an hour at which some cell may begin: where a window does, give or take the quarters by which zones differ. */
function minutesToAsk(axes: readonly Axis[]): number[] {
  const begins = axes.flatMap(({ kind, samples }) =>
    (samples as number[]).flatMap((sample) => (kind === 'week' ? [sample] : [Math.floor(sample / minuteMs), Math.ceil(sample / minuteMs)])))
  return [...new Set([0, ...begins].flatMap((minute) => [0, 15, 30, 45].map((quarter) => (((minute + quarter) % 60) + 60) % 60)))].sort((a, b) => a - b)
}

/** Whether the axis is in one of the cells at a moment, by its place. */
function openAt(at: readonly (number | undefined)[], { samples }: Axis, set: Cells): (moment: number) => boolean {
  // All bits in one go: a shift for each takes as long as the set is wide.
  const bits = set.toString(2).padStart(samples.length, '0')
  const open = samples.map((_, cell) => bits[bits.length - 1 - cell] === '1')
  return (moment) => open[at[moment] ?? -1] === true
}

function openHours(open: readonly ((moment: number) => boolean)[], perHour: number): Hours {
  const hours = Array.from({ length: hoursAhead }, (_, hour) => hour * perHour)
  return cellsWhere(hours, (first) => {
    for (let moment = first; moment < first + perHour; moment++) if (open.every((holds) => holds(moment))) return true
    return false
  })
}

/** Severities with the same hours in one line. */
function linesOf(open: readonly Open[], start: number): string[] {
  return [...new Set(open.map(({ hours }) => hours))].map((hours) => {
    const words = open.filter((one) => one.hours === hours).map(({ severity }) => severity)
    const which = words.length === severities.length ? 'at any severity' : `at severity ${words.join(', ')}`
    const count = firstCells(hours, hoursAhead)
    if (count.length === hoursAhead) return `${which}, at any hour`
    return `${which}, in ${count.length} of the coming ${hoursAhead} hours, the first from ${hourText(start + count[0]! * hourMs)}`
  })
}

const mostHours = 2
const anyObject = compileGlob('k8s:**', parseResource('k8s:**', true)!.segments)

function witnessOf(ground: Ground, action: string, open: readonly Open[], start: number): PolicyInput | null {
  const { actions, types } = ground.space
  const box: Box = new Map<Axis, Cells>([
    [actions, cellsWhere(actions.samples, (one) => one === action)],
    [types, cellsWhere(types.samples, (type) => type === 'self_healing')],
  ])
  for (const { severity, hours } of open) {
    for (const hour of firstCells(hours, mostHours)) {
      const now = start + hour * hourMs
      const found = witnessIn(requestsIn({ ...ground, nowMs: now }, box, [anyObject], () => ({ context: { severity } })), (input) =>
        decisionOn(ground, input).code === 'no_policy_matched')
      if (found) return found
    }
  }
  return null
}
