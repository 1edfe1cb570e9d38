/** What a set of tests has shown of a set of policies. */
import type { LeafNode, Node } from './condition.ts'
import type { PolicyInput } from './input.ts'
import { readRequest } from './request.ts'
import { evaluate, scopeOf } from './ruling.ts'
import type { PolicySnapshot } from './snapshot.ts'
import type { Truth } from './truth.ts'

/** A leaf by its place in its policy, and the answers that no test has got out of it. */
export type UncoveredLeaf = { policy: string; path: string; wanted: string; unseen: Truth[] }

export type Coverage = {
  policies: number
  /** Policies that no test made match. */
  neverMatched: string[]
  leaves: number
  uncovered: UncoveredLeaf[]
}

export function coverageOf(snapshot: PolicySnapshot, inputs: readonly PolicyInput[]): Coverage {
  const matched = new Set<string>()
  // By policy and place: policies that say the same share their leaves, and each is to be tested.
  const seen = new Map<string, Set<Truth>>()
  const nameOf = (policy: string, { path }: LeafNode) => `${policy} ${path}`
  for (const given of inputs) {
    const read = readRequest(given)
    if (read.problem !== undefined) continue
    for (const policy of scopeOf(snapshot, read.input, read.segments)) {
      if (evaluate(policy, read.input).truth === true) matched.add(policy.document.id)
      for (const leaf of leavesOf(policy.when, policy.unless)) {
        const name = nameOf(policy.document.id, leaf)
        seen.set(name, (seen.get(name) ?? new Set()).add(leaf.evaluate(read.input)))
      }
    }
  }
  const all = snapshot.policies.flatMap(({ document, when, unless }) => leavesOf(when, unless).map((leaf) => ({ policy: document.id, leaf })))
  const uncovered = all.flatMap(({ policy, leaf }) => {
    const unseen = answersOf(leaf).filter((truth) => !seen.get(nameOf(policy, leaf))?.has(truth))
    return unseen.length > 0 ? [{ policy, path: leaf.path, wanted: leaf.wanted, unseen }] : []
  })
  return {
    policies: snapshot.policies.length,
    neverMatched: snapshot.policies.map(({ document }) => document.id).filter((id) => !matched.has(id)).sort(),
    leaves: all.length,
    uncovered,
  }
}

function leavesOf(...nodes: readonly Node[]): LeafNode[] {
  return nodes.flatMap((node) => {
    if (node.form === 'not') return leavesOf(node.part)
    return node.form === 'attr' || node.form === 'time' || node.form === 'cel' ? [node] : leavesOf(...node.parts)
  })
}

/** Only what can be missing can be unknown: a clock and the question whether something is there always have an answer. */
const answersOf = (leaf: LeafNode): Truth[] =>
  leaf.form === 'time' || (leaf.form === 'attr' && (leaf.wanted === 'exists' || leaf.wanted === 'absent' || plainFacts.has(leaf.attr))) ? [true, false] : [true, false, 'unknown']

const plainFacts: ReadonlySet<string> = new Set(['action', 'resource', 'type', 'principal.id', 'principal.kind', 'principal.owner', 'principal.roles'])
