import { canonicalJson } from '../canonical.ts'
import type { Sha256 } from '../digest.ts'
import { Failure } from '../failure.ts'
import { parseInstant } from './calendar.ts'
import { buildIndex, type PolicyIndex } from './candidates.ts'
import type { Path } from './check.ts'
import { compileCondition, timeTests, type KnownNodes, type Node } from './condition.ts'
import type { PolicyDocument } from './document.ts'
import { compileGlob, type Glob } from './glob.ts'
import { parseResource } from './names.ts'
import { obligationsOf, type Obligations } from './obligations.ts'
import type { TimeTest, WallClock } from './time.ts'

export type CompiledPolicy = {
  readonly document: PolicyDocument
  /** `sha256:…` of the document's canonical form. */
  readonly hash: string
  readonly resources: readonly Glob[]
  readonly when: Node
  readonly unless: Node
  readonly obligations: Obligations
  readonly times: readonly TimeTest[]
  /** Epoch milliseconds; from inclusive, to exclusive. */
  readonly validFrom: number
  readonly validTo: number
}

/** A compiled set of policies. Immutable: a change is a new snapshot with another hash. */
export type PolicySnapshot = {
  /** `sha256:…` of the sorted (id, content hash) pairs, disabled policies included. */
  readonly hash: string
  readonly size: number
  /** Enforced and shadow policies, priority falling, then id. Decisions explain in this order. */
  readonly policies: readonly CompiledPolicy[]
  readonly index: PolicyIndex
  readonly sha256: Sha256
}

export type CompileOptions = { sha256: Sha256; wallClock: WallClock }

/** A problem of the set as a whole, at the document with that place in the list. */
export type SetProblem = { document: number; path: Path; message: string }

/** Ids and names are how people and exceptions point at a policy, so each belongs to one. */
export function setProblems(documents: readonly PolicyDocument[]): SetProblem[] {
  return (['id', 'name'] as const).flatMap((key) => {
    const seen = new Set<string>()
    return documents.flatMap((document, at) => {
      const value = document[key]
      if (!seen.has(value)) {
        seen.add(value)
        return []
      }
      return [{ document: at, path: [key], message: `another policy already has the ${key} \`${value}\`` }]
    })
  })
}

/** Throws `Failure('invalid', 'policy_invalid')` when two documents share an id or a name. */
export function compileSnapshot(documents: readonly PolicyDocument[], options: CompileOptions): PolicySnapshot {
  const [problem] = setProblems(documents)
  if (problem) throw new Failure('invalid', 'policy_invalid', problem.message)
  const { sha256, wallClock } = options
  const hashed = documents.map((document) => ({ document, hash: `sha256:${sha256(canonicalJson(document))}` }))
  const shared: Shared = { nodes: new Map(), globs: new Map() }
  const policies = hashed
    .filter(({ document }) => document.enforcement !== 'disabled')
    .map(({ document, hash }) => compilePolicy(document, hash, wallClock, shared))
    .sort(byPriority)
  const index = buildIndex(policies.map(({ document, resources }) => ({ actions: document.actions, resources })))
  return Object.freeze({ hash: snapshotHash(hashed, sha256), size: documents.length, policies: Object.freeze(policies), index, sha256 })
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const byPriority = ({ document: a }: CompiledPolicy, { document: b }: CompiledPolicy): number =>
  b.priority - a.priority || byText(a.id, b.id)

function snapshotHash(hashed: readonly { document: PolicyDocument; hash: string }[], sha256: Sha256): string {
  const pairs = hashed.map(({ document, hash }) => [document.id, hash]).sort(([a = ''], [b = '']) => byText(a, b))
  return `sha256:${sha256(canonicalJson(pairs))}`
}

/** Parts that policies of one set have in common. */
type Shared = { nodes: KnownNodes; globs: Map<string, Glob> }

function compilePolicy(document: PolicyDocument, hash: string, wallClock: WallClock, { nodes, globs }: Shared): CompiledPolicy {
  const when = compileCondition(document.when, 'when', wallClock, nodes)
  const unless = compileCondition(document.unless, 'unless', wallClock, nodes)
  const { notBefore, notAfter } = document.validity
  return Object.freeze({
    document,
    hash,
    resources: document.resources.map((text) => sharedGlob(text, globs)),
    when,
    unless,
    obligations: obligationsOf(document),
    times: [...timeTests(when), ...timeTests(unless)],
    validFrom: notBefore === null ? -Infinity : parseInstant(notBefore)!,
    validTo: notAfter === null ? Infinity : parseInstant(notAfter)!,
  })
}

function sharedGlob(text: string, globs: Shared['globs']): Glob {
  const glob = globs.get(text) ?? compileGlob(text, parseResource(text, true)!.segments)
  globs.set(text, glob)
  return glob
}
