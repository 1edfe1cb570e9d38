import type { Glob } from '../glob.ts'
import type { CompiledPolicy } from '../snapshot.ts'
import { firstCells, type Cells } from './cells.ts'
import { spend, type Effort } from './effort.ts'
import { holds, joinRegions, meetRegions, type Box, type Region } from './region.ts'
import { globCovers } from './resources.ts'
import type { Space } from './space.ts'

/** Where a policy answers, apart from the resources it names. */
export type Area = {
  policy: CompiledPolicy
  /** Action, type and validity; the first two also by themselves, for they rule out nearly every pair. */
  scope: Box
  actions: Cells
  types: Cells
  /** Where it is true, and where it is true or unknown. */
  sure: Region
  maybe: Region
  globs: readonly Glob[]
}

export function areaOf(space: Space, policy: CompiledPolicy): Area {
  const { when, unless } = policy.document
  const scope = space.scope(policy)
  return {
    policy,
    scope,
    actions: scope.get(space.actions)!,
    types: scope.get(space.types)!,
    sure: meetRegions([[scope], space.region(when, 'true'), space.region(unless, 'false')]),
    maybe: meetRegions([[scope], space.region(when, 'not false'), space.region(unless, 'not true')]),
    globs: policy.resources,
  }
}

/** Where it is neither true nor false. */
export const unsureOf = (space: Space, { policy: { document }, maybe }: Area): Region =>
  meetRegions([maybe, joinRegions([space.region(document.when, 'not true'), space.region(document.unless, 'not false')])])

export type Covering = {
  /** Wherever `inner` is true or unknown, `outer` is, too. */
  maybe(outer: Area, inner: Area): boolean
  /** And wherever `inner` is true, `outer` is true. */
  fully(outer: Area, inner: Area): boolean
}

/** The same few globs are compared over and over, so each pair is compared once. */
export function covering(effort: Effort): Covering {
  const known = new Map<Glob['text'], Map<Glob['text'], boolean>>()
  const globsCover = (outer: Glob, inner: Glob): boolean => {
    const row = known.get(outer.text) ?? new Map<string, boolean>()
    known.set(outer.text, row)
    const found = row.get(inner.text) ?? globCovers(outer, inner)
    row.set(inner.text, found)
    return found
  }
  const resourcesCover = (outer: Area, inner: Area): boolean =>
    inner.globs.every((glob) => outer.globs.some((other) => globsCover(other, glob)))
  const maybe = (outer: Area, inner: Area): boolean =>
    (inner.actions & ~outer.actions) === 0n && (inner.types & ~outer.types) === 0n && spend(effort, inner.globs.length) && resourcesCover(outer, inner) && holds(outer.maybe, inner.maybe, effort)
  return { maybe, fully: (outer, inner) => maybe(outer, inner) && holds(outer.sure, inner.sure, effort) }
}

/** Areas by the actions they name, in their order. Whoever covers or meets another names one of its actions. */
export function byAction(areas: readonly Area[]): (cell: number) => readonly Area[] {
  const found = new Map<number, Area[]>()
  for (const area of areas) {
    for (const cell of firstCells(area.actions, Infinity)) {
      const same = found.get(cell)
      if (same) same.push(area)
      else found.set(cell, [area])
    }
  }
  return (cell) => found.get(cell) ?? []
}

export const isEnforced = ({ policy }: Area): boolean => policy.document.enforcement === 'enforce'
