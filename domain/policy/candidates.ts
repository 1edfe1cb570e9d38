import type { Glob } from './glob.ts'
import { actionKeys } from './names.ts'

/** Where a policy stands in the snapshot's order. */
type Place = number
type Branch = { readonly next: Map<string, Branch>; readonly here: Place[] }

/** Action key → trie of the literal beginnings of resources. It proposes; the globs decide. */
export type PolicyIndex = ReadonlyMap<string, Branch>

export function buildIndex(policies: readonly { actions: readonly string[]; resources: readonly Glob[] }[]): PolicyIndex {
  const index = new Map<string, Branch>()
  policies.forEach(({ actions, resources }, place) => {
    for (const action of actions) {
      const root = index.get(action) ?? { next: new Map(), here: [] }
      index.set(action, root)
      for (const { segments } of resources) branchFor(root, segments).here.push(place)
    }
  })
  return index
}

/** A lone `*` is a branch of its own; any other wildcard ends the literal beginning. */
function branchFor(root: Branch, segments: readonly string[]): Branch {
  let branch = root
  for (const segment of segments) {
    if (segment !== '*' && segment.includes('*')) break
    const next = branch.next.get(segment) ?? { next: new Map(), here: [] }
    branch.next.set(segment, next)
    branch = next
  }
  return branch
}

/** Places of every policy that may match, ascending, each once. */
export function candidatePlaces(index: PolicyIndex, action: string, segments: readonly string[]): Place[] {
  const found: Place[] = []
  for (const key of actionKeys(action)) {
    const root = index.get(key)
    if (root) collect(root, segments, 0, found)
  }
  if (found.length < 2) return found
  found.sort((a, b) => a - b)
  return found.filter((place, at) => place !== found[at - 1])
}

function collect(branch: Branch, segments: readonly string[], at: number, found: Place[]): void {
  for (const place of branch.here) found.push(place)
  const segment = segments[at]
  if (segment === undefined) return
  const literal = branch.next.get(segment)
  if (literal) collect(literal, segments, at + 1, found)
  const star = branch.next.get('*')
  if (star) collect(star, segments, at + 1, found)
}
