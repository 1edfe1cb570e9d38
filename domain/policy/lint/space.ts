import type { AttributeLeaf, Condition, Leaf, TimeLeaf, Window } from '../document.ts'
import { requestTypes } from '../input.ts'
import { compileLeaf } from '../operators.ts'
import type { CompiledPolicy } from '../snapshot.ts'
import { compileTime, type WallClock } from '../time.ts'
import type { Truth } from '../truth.ts'
import { actionAxis, actionMatches } from './action-cells.ts'
import { axisOf, cellsWhere, type Axis, type Cells } from './cells.ts'
import { afford, freshEffort, spend, type Effort } from './effort.ts'
import { factCells } from './fact-cells.ts'
import { instantAxis, instantCells, spanEdges, weekAxis, windowCells } from './moment-cells.ts'
import { joinRegions, meetRegions, type Box, type Region } from './region.ts'

/** What a condition has to come to. Unknown is neither true nor false, and so both of the last two. */
export type Want = 'true' | 'false' | 'not true' | 'not false'

/** Where policies answer what. All questions about the same set of policies share one space. */
export type Space = {
  actions: Axis
  types: Axis
  instants: Axis
  /** One for each time zone that some window names. */
  weeks: readonly Axis[]
  /** The axis of a fact that some leaf asks about. */
  fact(attr: string): Axis | undefined
  region(condition: Condition, want: Want): Region
  /** Facts and time zones with more leaves and values than there is effort for: nothing is claimed of what asks them. */
  tooMany: readonly string[]
  /** Action, type and validity of a policy. */
  scope(policy: CompiledPolicy): Box
}

const isAttribute = (leaf: Leaf): leaf is AttributeLeaf => 'attr' in leaf

const isTimed = (leaf: Leaf): leaf is TimeLeaf => 'time' in leaf

export function leavesOf(condition: Condition): Leaf[] {
  if ('all' in condition) return condition.all.flatMap(leavesOf)
  if ('any' in condition) return condition.any.flatMap(leavesOf)
  return 'not' in condition ? leavesOf(condition.not) : [condition]
}

export function spaceOf(policies: readonly CompiledPolicy[], nowMs: number, wallClock: WallClock): Space {
  const leaves = policies.flatMap(({ document }) => [...leavesOf(document.when), ...leavesOf(document.unless)])
  const asking = leaves.filter(isAttribute)
  const timed = leaves.filter(isTimed)
  const effort = freshEffort()
  const actions = actionAxis(policies, asking)
  const facts = factAxes(asking, actions, effort)
  const weeks = weekAxes(timed)
  const spans = timed.flatMap((leaf) => spanEdges(leaf, wallClock))
  const instants = instantAxis([nowMs, ...spans, ...policies.flatMap(({ validFrom, validTo }) => [validFrom, validTo])])
  const types = facts.axes.get('type') ?? axisOf('type', 'type', requestTypes)
  const known = new Map<string, LeafCells>()
  const regions = new Map<Condition, Map<Want, Region>>()
  const tooMany = new Set<string>()

  function freshCells(leaf: Leaf): LeafCells {
    const axis = isAttribute(leaf) ? facts.axes.get(leaf.attr) : isTimed(leaf) ? timeAxis(leaf, weeks, instants) : undefined
    if (!axis) return opaqueCells(leaf)
    if (!afford(effort, axis.samples.length * leafUnits(leaf))) {
      tooMany.add(axis.key)
      return opaqueCells(leaf)
    }
    return isAttribute(leaf) ? attributeCells(leaf, axis, facts) : timeCells(leaf as TimeLeaf, axis, wallClock)
  }

  function cellsOf(leaf: Leaf): LeafCells {
    const key = JSON.stringify(leaf)
    const found = known.get(key) ?? freshCells(leaf)
    known.set(key, found)
    return found
  }

  function region(condition: Condition, want: Want): Region {
    const wants = regions.get(condition) ?? new Map<Want, Region>()
    regions.set(condition, wants)
    if (!wants.has(want)) wants.set(want, freshRegion(condition, want))
    return wants.get(want)
  }

  function freshRegion(condition: Condition, want: Want): Region {
    if ('not' in condition) return region(condition.not, opposite[want])
    if ('all' in condition || 'any' in condition) {
      const [parts, every] = 'all' in condition ? [condition.all, holdsOfAll.has(want)] : [condition.any, !holdsOfAll.has(want)]
      const regions = parts.map((part) => region(part, want))
      const boxes = regions.reduce((sum, one) => sum + (one?.length ?? 0), 0)
      if (!spend(effort, boxes * boxes * pairUnits)) return undefined
      return every ? meetRegions(regions) : joinRegions(regions)
    }
    const { axis, yes, no } = cellsOf(condition)
    const cells = { true: yes, false: no, 'not true': axis.all & ~yes, 'not false': axis.all & ~no }[want]
    return cells === 0n ? [] : [new Map([[axis, cells]])]
  }

  return {
    actions, types, instants, region,
    get tooMany() {
      return [...tooMany]
    },
    weeks: [...weeks.values()],
    fact: (attr) => facts.axes.get(attr),
    scope: ({ document, validFrom, validTo }) => new Map<Axis, Cells>([
      [actions, cellsWhere(actions.samples as string[], (action) => document.actions.some((pattern) => actionMatches(pattern, action)))],
      [types, cellsWhere(types.samples, (type) => document.type.includes(type as never))],
      ...(validFrom === -Infinity && validTo === Infinity ? [] : [[instants, instantCells(instants, (now) => now >= validFrom && now < validTo)] as const]),
    ]),
  }
}

const opposite: Record<Want, Want> = { true: 'false', false: 'true', 'not true': 'not false', 'not false': 'not true' }
/** What `all` comes to where every part does; `any` where one does, and the other way round for the rest. */
const holdsOfAll: ReadonlySet<Want> = new Set(['true', 'not false'])

type LeafCells = { axis: Axis; yes: Cells; no: Cells }
/** Leaves are named by their JSON: two that say the same are one. */
type Facts = { axes: ReadonlyMap<string, Axis>; opaque: ReadonlySet<string> }

function factAxes(leaves: readonly AttributeLeaf[], actions: Axis, effort: Effort): Facts {
  const axes = new Map<string, Axis>()
  const opaque = new Set<string>()
  for (const [attr, asking] of byAttribute(leaves)) {
    if (attr === 'action') axes.set(attr, actions)
    // Resources are told apart by the globs of policies alone.
    if (attr === 'action' || attr === 'resource') continue
    const cells = factCells(attr, asking, effort)
    axes.set(attr, axisOf(attr === 'type' ? 'type' : 'fact', attr, cells.samples))
    for (const leaf of cells.opaque) opaque.add(JSON.stringify(leaf))
  }
  for (const leaf of leaves) if (isOpaqueAction(leaf)) opaque.add(JSON.stringify(leaf))
  return { axes, opaque }
}

/** Leaves of one fact, each once. */
function byAttribute(leaves: readonly AttributeLeaf[]): Map<string, AttributeLeaf[]> {
  const found = new Map<string, AttributeLeaf[]>()
  for (const leaf of new Map(leaves.map((one) => [JSON.stringify(one), one])).values()) {
    const same = found.get(leaf.attr)
    if (same) same.push(leaf)
    else found.set(leaf.attr, [leaf])
  }
  return found
}

/** Actions are told apart by name, not by what their names look like. */
const isOpaqueAction = ({ attr, op }: AttributeLeaf): boolean => attr === 'action' && !['eq', 'ne', 'in', 'nin', 'exists', 'absent'].includes(op)

/** What it takes to ask one value, or to meet two boxes. */
const leafUnits = (leaf: Leaf): number => ('time' in leaf && 'windows' in leaf.time ? leaf.time.windows.length : 1) * 0.1
const pairUnits = 0.1

const truths: readonly Truth[] = [true, false, 'unknown']

/** A leaf that lint cannot see into is an axis of its own: it may be any of the three, whatever else holds. */
const opaqueCells = (leaf: Leaf): LeafCells => ({ axis: axisOf('opaque', JSON.stringify(leaf), truths), yes: 1n, no: 2n })

function attributeCells(leaf: AttributeLeaf, axis: Axis, { opaque }: Facts): LeafCells {
  if (opaque.has(JSON.stringify(leaf))) return opaqueCells(leaf)
  const test = compileLeaf(leaf)
  const answers = axis.samples.map((sample) => test(sample))
  return { axis, yes: cellsWhere(answers, (truth) => truth === true), no: cellsWhere(answers, (truth) => truth === false) }
}

function weekAxes(leaves: readonly TimeLeaf[]): ReadonlyMap<string, Axis> {
  const windows = new Map<string, Window[]>()
  for (const { time } of leaves) {
    if (!('windows' in time)) continue
    const same = windows.get(time.zone) ?? []
    windows.set(time.zone, same)
    same.push(...time.windows)
  }
  return new Map([...windows].map(([zone, all]) => [zone, weekAxis(zone, all)]))
}

const timeAxis = ({ time }: TimeLeaf, weeks: ReadonlyMap<string, Axis>, instants: Axis): Axis => ('windows' in time ? weeks.get(time.zone)! : instants)

function timeCells(leaf: TimeLeaf, axis: Axis, wallClock: WallClock): LeafCells {
  const { time } = leaf
  const test = compileTime(leaf, wallClock)
  const yes = 'windows' in time ? windowCells(axis, time.windows) : instantCells(axis, (now) => test.holds(now) === true)
  return { axis, yes, no: axis.all & ~yes }
}
