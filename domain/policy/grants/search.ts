/** Looks for a request to which more is let happen, in boxes of cells that are cut until what every policy comes to is certain. */
import type { PolicyInput } from '../input.ts'
import { firstCells, type Axis } from '../lint/cells.ts'
import type { Box } from '../lint/region.ts'
import type { Ground } from '../lint/witness.ts'
import type { Obligations } from '../obligations.ts'
import { ruleOnEvaluated, type Evaluated, type Ruling } from '../ruling.ts'
import type { CompiledPolicy, PolicySnapshot } from '../snapshot.ts'
import type { Truth } from '../truth.ts'
import type { momentsOf } from './moments.ts'
import { requestAt } from './requests.ts'
import { isMore, letsMore, outcomeOf } from './outcome.ts'
import { canOnlyTighten, type Pair, type Standing } from './tightening.ts'
import { isCertain, mayBe, openLeaf, truthsIn, type LeafTree, type Tree, type Truths } from './truths.ts'

/** A policy in scope of a resource. */
export type Here = { policy: CompiledPolicy; tree: Tree }

/** What the search is among: pairs that differ, and what is the same before and after. */
export type Field = {
  pairs: readonly Pair[]
  changed: ReadonlyMap<CompiledPolicy, Tree>
  unchanged: readonly Here[]
  /** The resource that stands for all that the same policies name. */
  place: { segments: readonly string[]; text: string }
  confirm: Ground & { before: PolicySnapshot; after: PolicySnapshot; momentIn: ReturnType<typeof momentsOf> }
}

/** Shared by all boxes of one question. */
export type Effort = {
  /** How often a policy may still be asked about a box. */
  left: number
  /** Some box was not looked at, or what it seems to let through could not be shown on a request. */
  open: boolean
}

/** A request that the engine confirms, or null: then nothing more is let through, unless `effort.open`. */
export function searchIn(field: Field, box: Box, effort: Effort, candidates: readonly Here[] = field.unchanged): PolicyInput | null {
  effort.left -= candidates.length + field.changed.size
  if (effort.left < 0) {
    effort.open = true
    return null
  }
  const now = field.confirm.momentIn(box)
  if (now === 'unclear') effort.open = true
  if (typeof now === 'string') return null
  const standing = candidates.map((one) => ({ ...one, truths: truthsIn(one.tree, box) })).filter(({ truths }) => truths !== mayBe.false)
  const changed = new Map([...field.changed].map(([policy, tree]) => [policy, truthsIn(tree, box)]))
  const standingOf = (policy: CompiledPolicy | null): Standing | null => (policy ? { policy, truths: changed.get(policy)! } : null)
  const after = [...standing, ...field.pairs.flatMap((pair) => standingOf(pair.after) ?? [])]
  if (denies(after) || !permits(after)) return null
  if (field.pairs.every((pair) => pair.asksMore || canOnlyTighten(standingOf(pair.before), standingOf(pair.after), standing))) return null

  const cut = cutOf(field, changed, standing, box)
  if (!cut) return shownIn(field, changed, standing, { box, now }, effort)
  const { axis } = cut
  const given = box.get(axis) ?? axis.all
  for (const cells of cut.parts) {
    const within = given & cells
    const found = within === 0n ? null : searchIn(field, new Map(box).set(axis, within), effort, standing)
    if (found) return found
  }
  return null
}

const denies = (after: readonly Standing[]): boolean => after.some(({ policy, truths }) => policy.document.effect === 'deny' && (truths & mayBe.false) === 0)

/** Without a permission that may be true everything is denied. */
const permits = (after: readonly Standing[]): boolean => after.some(({ policy, truths }) => policy.document.effect !== 'deny' && (truths & mayBe.true) !== 0)

type Cut = { axis: Axis; parts: bigint[] }

/** Where to cut next: what changed first, then denies, for the more of those are settled the less is left. */
function cutOf({ pairs, changed: trees }: Field, changed: ReadonlyMap<CompiledPolicy, Truths>, standing: readonly (Here & Standing)[], box: Box): Cut | undefined {
  for (const { before, after } of pairs) {
    for (const [policy, wanted] of [[after, after?.document.effect !== 'deny'], [before, before?.document.effect === 'deny']] as const) {
      if (!policy || isCertain(changed.get(policy)!)) continue
      const leaf = openLeaf(trees.get(policy)!, box)
      if (leaf) return cutAt(leaf, wanted)
    }
  }
  const open = standing.filter(({ truths }) => !isCertain(truths))
  const first = open.find(({ policy }) => policy.document.effect === 'deny') ?? open[0]
  const leaf = first && openLeaf(first.tree, box)
  return leaf && cutAt(leaf, false)
}

const cutAt = ({ axis, yes, no }: LeafTree, wanted: boolean): Cut => ({ axis, parts: [...(wanted ? [yes, no] : [no, yes]), axis.all & ~yes & ~no] })

/** Every policy is certain here. The bounds that are merged may still be broken or not, so each is tried both ways. */
function shownIn(field: Field, changed: ReadonlyMap<CompiledPolicy, Truths>, standing: readonly Standing[], { box, now }: { box: Box; now: number }, effort: Effort): PolicyInput | null {
  const { confirm, pairs } = field
  const common = standing.map(evaluatedAs)
  const side = (which: 'before' | 'after'): Evaluated[] => [...common, ...pairs.flatMap((pair) => (pair[which] ? [evaluatedAs({ policy: pair[which], truths: changed.get(pair[which])! })] : []))]
  const [was, is] = [side('before'), side('after')]
  const merged = [was, is].map((all) => ruleOnEvaluated(requestAt(confirm, box, field.place, now), all).obligations)
  for (const within of boundBoxes(field, box, merged)) {
    effort.left -= was.length + is.length
    const input = requestAt(confirm, within, field.place, now)
    const [before, after] = [was, is].map((all) => ruleOnEvaluated(input, all)) as [Ruling, Ruling]
    if (!isMore(outcomeOf(before), outcomeOf(after))) continue
    if (letsMore(confirm.before, confirm.after, input)) return input
    effort.open = true
  }
  return null
}

const words: Readonly<Record<number, Truth>> = { [mayBe.false]: false, [mayBe.unknown]: 'unknown', [mayBe.true]: true }
const evaluatedAs = ({ policy, truths }: Standing): Evaluated => ({ policy, truth: words[truths]! })

const bounding: readonly ['maxReplicas' | 'maxPercent' | 'cooldownMs', attr: string][] = [['maxReplicas', 'request.replicas'], ['maxPercent', 'request.percentOfReady'], ['cooldownMs', 'history.sinceLastActionMs']]

/** The box by the ways in which facts meet the bounds that are merged: below, at or above each, or no number at all. */
function boundBoxes({ confirm: { space } }: Field, box: Box, merged: readonly Obligations[]): Box[] {
  return bounding.reduce<Box[]>((boxes, [key, attr]) => {
    const bounds = merged.flatMap((obligations) => obligations[key] ?? [])
    const axis = bounds.length > 0 ? space.fact(attr) : undefined
    if (!axis) return boxes
    const ways = new Map(firstCells(box.get(axis) ?? axis.all, Infinity).reverse().map((cell) => [wayOf(axis.samples[cell], bounds), cell]))
    return boxes.flatMap((one) => [...ways.values()].map((cell) => new Map(one).set(axis, 1n << BigInt(cell))))
  }, [box])
}

const wayOf = (sample: unknown, bounds: readonly number[]): string =>
  typeof sample === 'number' ? bounds.map((bound) => Math.sign(sample - bound)).join() : typeof sample
