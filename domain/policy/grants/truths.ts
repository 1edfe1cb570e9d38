/** What a policy may come to within a box of cells: some of true, false and unknown. One of them alone is exact. */
import type { Condition } from '../document.ts'
import { requestTypes } from '../input.ts'
import type { CompiledException } from '../exception.ts'
import type { Glob } from '../glob.ts'
import type { Axis, Cells } from '../lint/cells.ts'
import type { Box } from '../lint/region.ts'
import type { Space } from '../lint/space.ts'
import type { CompiledPolicy } from '../snapshot.ts'

/** One bit for each truth, the stricter the lower for `all`. */
export const mayBe = { false: 1, unknown: 2, true: 4 } as const
export type Truths = number

export const isCertain = (truths: Truths): boolean => (truths & (truths - 1)) === 0

/** The cells of an axis for which it is true, and for which it is false. */
export type LeafTree = { axis: Axis; yes: Cells; no: Cells }
export type Tree = LeafTree | { all: Tree[] } | { any: Tree[] } | { not: Tree } | { always: Truths }

/** A policy as a question to boxes. What it names of resources is asked apart. */
export type Asked = { policy: CompiledPolicy; tree: Tree; excepted: { globs: readonly Glob[]; tree: Tree }[] }

export function askedOf(space: Space, policy: CompiledPolicy): Asked {
  const { when, unless } = policy.document
  const own = [...scopeTrees(space, policy), treeOf(space, when), { not: treeOf(space, unless) }]
  const excepted = policy.exceptions.map((one) => ({ globs: one.resources, tree: { all: [...scopeTrees(space, asPolicy(policy, one)), treeOf(space, one.document.when)] } }))
  return { policy, tree: { all: own }, excepted }
}

/** The tree for one resource, which the policy names: exceptions from other resources do not matter to it. */
export function treeAt({ tree, excepted }: Asked, segments: readonly string[]): Tree {
  const here = excepted.filter(({ globs }) => globs.some((glob) => glob.matches(segments)))
  return here.length === 0 ? tree : { all: [tree, ...here.map((one) => ({ not: one.tree }))] }
}

/** An exception as a policy that is true where it excepts, so that both fall into the same cells. */
export const asPolicy = (policy: CompiledPolicy, { document, resources, from, to }: CompiledException): CompiledPolicy => ({
  ...policy, resources, validFrom: from, validTo: to, exceptions: [],
  document: { ...policy.document, actions: document.actions, type: [...requestTypes], when: document.when, unless: { any: [] } },
})

const scopeTrees = (space: Space, policy: CompiledPolicy): Tree[] => [...space.scope(policy)].map(([axis, yes]) => ({ axis, yes, no: axis.all & ~yes }))

function treeOf(space: Space, condition: Condition): Tree {
  if ('all' in condition) return { all: condition.all.map((part) => treeOf(space, part)) }
  if ('any' in condition) return { any: condition.any.map((part) => treeOf(space, part)) }
  if ('not' in condition) return { not: treeOf(space, condition.not) }
  const [yes, no] = [space.region(condition, 'true')?.[0], space.region(condition, 'false')?.[0]]
  const axis = [...(yes ?? no ?? [])][0]?.[0]
  return axis ? { axis, yes: yes?.get(axis) ?? 0n, no: no?.get(axis) ?? 0n } : { always: mayBe.unknown }
}

export function truthsIn(tree: Tree, box: Box): Truths {
  if ('axis' in tree) return leafTruths(tree, box.get(tree.axis) ?? tree.axis.all)
  if ('always' in tree) return tree.always
  if ('not' in tree) return opposite(truthsIn(tree.not, box))
  if ('any' in tree) return opposite(allOf(tree.any, (part) => opposite(truthsIn(part, box))))
  return allOf(tree.all, (part) => truthsIn(part, box))
}

const leafTruths = ({ yes, no }: LeafTree, cells: Cells): Truths =>
  ((cells & no) !== 0n ? mayBe.false : 0) | ((cells & ~yes & ~no) !== 0n ? mayBe.unknown : 0) | ((cells & yes) !== 0n ? mayBe.true : 0)

const opposite = (truths: Truths): Truths => (truths & mayBe.unknown) | (truths & mayBe.true ? mayBe.false : 0) | (truths & mayBe.false ? mayBe.true : 0)

/** The least of the parts, for every choice of what each comes to. */
function allOf(parts: readonly Tree[], truthsOf: (part: Tree) => Truths): Truths {
  let found: Truths = mayBe.true
  for (const part of parts) {
    found = least(found, truthsOf(part))
    if (found === mayBe.false) return found
  }
  return found
}

function least(a: Truths, b: Truths): Truths {
  const either = a | b
  // A truth is the least of two where one is it and the other is no less.
  const isLeast = (truth: number): number => ((either & truth) !== 0 && ((a & truth && b >= truth) || (b & truth && a >= truth)) ? truth : 0)
  return isLeast(mayBe.false) | isLeast(mayBe.unknown) | isLeast(mayBe.true)
}

/** The first leaf because of which it is not certain what the tree comes to. */
export function openLeaf(tree: Tree, box: Box): LeafTree | undefined {
  if (isCertain(truthsIn(tree, box))) return undefined
  if ('axis' in tree) return tree
  if ('always' in tree) return undefined
  if ('not' in tree) return openLeaf(tree.not, box)
  for (const part of 'all' in tree ? tree.all : tree.any) {
    const found = openLeaf(part, box)
    if (found) return found
  }
  return undefined
}
