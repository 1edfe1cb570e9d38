import type { Axis, Cells } from './cells.ts'
import { spend, type Effort } from './effort.ts'

/** All inputs whose value on each axis named is one of those cells. An axis that is not named is free. */
export type Box = ReadonlyMap<Axis, Cells>

/** A union of boxes; undefined where it would take too many of them, and nothing may be claimed. */
export type Region = readonly Box[] | undefined

const mostBoxes = 64

export const everything: readonly Box[] = [new Map()]
export const nothing: readonly Box[] = []

/** What is in both, or undefined when nothing is. */
export function meetBoxes(a: Box, b: Box): Box | undefined {
  const met = new Map(a)
  for (const [axis, cells] of b) {
    const common = cells & (met.get(axis) ?? axis.all)
    if (common === 0n) return undefined
    met.set(axis, common)
  }
  return met
}

export const boxesMeet = (a: Box, b: Box): boolean => {
  for (const [axis, cells] of b) if ((cells & (a.get(axis) ?? axis.all)) === 0n) return false
  return true
}

const contains = (outer: Box, inner: Box): boolean => {
  for (const [axis, cells] of outer) if (((inner.get(axis) ?? axis.all) & ~cells) !== 0n) return false
  return true
}

export function joinRegions(regions: readonly Region[]): Region {
  const boxes: Box[] = []
  for (const region of regions) {
    if (!region) return undefined
    for (const box of region) if (!boxes.some((other) => contains(other, box))) boxes.push(box)
    if (boxes.length > mostBoxes) return undefined
  }
  return boxes
}

export function meetRegions(regions: readonly Region[]): Region {
  let met: readonly Box[] = everything
  // What is empty stays so, however much the others hold.
  if (regions.some((region) => region?.length === 0)) return nothing
  for (const region of regions) {
    if (!region) return undefined
    const pairs = met.flatMap((a) => region.map((b) => meetBoxes(a, b)).filter((box) => box !== undefined))
    const joined = joinRegions(pairs.map((box) => [box]))
    if (!joined) return undefined
    met = joined
  }
  return met
}

/** How many pieces a box may be cut into before the question is given up. */
const mostCuts = 500

/** Whether the boxes together hold all of `box`. Not proven counts as no. */
export const isCovered = (box: Box, by: readonly Box[], effort: Effort): boolean => coveredWithin(box, by, { cuts: mostCuts, effort })

function coveredWithin(box: Box, by: readonly Box[], budget: { cuts: number; effort: Effort }): boolean {
  if (!spend(budget.effort, by.length)) return false
  const meeting = by.filter((other) => boxesMeet(other, box))
  if (meeting.some((other) => contains(other, box))) return true
  const [first, ...rest] = meeting
  if (!first || --budget.cuts < 0) return false
  let inside = box
  for (const [axis, cells] of first) {
    const given = inside.get(axis) ?? axis.all
    const outside = given & ~cells
    if (outside === 0n) continue
    if (!coveredWithin(new Map(inside).set(axis, outside), rest, budget)) return false
    inside = new Map(inside).set(axis, given & cells)
  }
  return true
}

/** Whether `outer` holds all of `inner`; no where either is too large to say. */
export const holds = (outer: Region, inner: Region, effort: Effort): boolean =>
  outer !== undefined && inner !== undefined && inner.every((box) => isCovered(box, outer, effort))
