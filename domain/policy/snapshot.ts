import { canonicalJson } from '../canonical.ts'
import type { Sha256 } from '../digest.ts'
import { Failure } from '../failure.ts'
import { parseInstant } from './calendar.ts'
import { buildIndex, type PolicyIndex } from './candidates.ts'
import type { Path } from './check.ts'
import { compileCondition, timeTests, type KnownNodes, type Means, type Node } from './condition.ts'
import type { PolicyDocument } from './document.ts'
import { compileException, type CompiledException, type ExceptionDocument } from './exception.ts'
import { compileGlob, type Glob } from './glob.ts'
import { parseResource } from './names.ts'
import { obligationsOf, type Obligations } from './obligations.ts'
import type { TimeTest } from './time.ts'

export type CompiledPolicy = {
  readonly document: PolicyDocument
  /** `sha256:…` of the document's canonical form. */
  readonly hash: string
  readonly resources: readonly Glob[]
  readonly when: Node
  readonly unless: Node
  readonly obligations: Obligations
  /** While one covers a request, the policy does not hold for it. */
  readonly exceptions: readonly CompiledException[]
  readonly times: readonly Pick<TimeTest, 'edge'>[]
  /** Epoch milliseconds; from inclusive, to exclusive. */
  readonly validFrom: number
  readonly validTo: number
}

/** A compiled set of policies. Immutable: a change is a new snapshot with another hash. */
export type PolicySnapshot = {
  /** `sha256:…` of the sorted (id, content hash) pairs, disabled policies included, and of the exceptions. */
  readonly hash: string
  readonly size: number
  /** Enforced and shadow policies, priority falling, then id. Decisions explain in this order. */
  readonly policies: readonly CompiledPolicy[]
  readonly index: PolicyIndex
  readonly sha256: Sha256
}

/** `compileCel` is needed where documents were read with it. */
export type CompileOptions = Means & {
  sha256: Sha256
  /** Content hashes by id, for documents that were hashed when they were published; a later version may fill in more defaults. */
  hashes?: ReadonlyMap<string, string>
  /** Those whose policy is not among the documents change nothing. */
  exceptions?: readonly ExceptionDocument[]
}

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
  const { sha256, hashes, exceptions = [] } = options
  const hashed = documents.map((document) => ({ document, hash: hashes?.get(document.id) ?? contentHash(document, sha256) }))
  const shared: Shared = { nodes: new Map(), globs: new Map(), exceptions }
  const policies = hashed
    .filter(({ document }) => document.enforcement !== 'disabled')
    .map(({ document, hash }) => compilePolicy(document, hash, options, shared))
    .sort(byPriority)
  return Object.freeze({ hash: snapshotHash(hashed, exceptions, sha256), size: documents.length, ...indexed(Object.freeze(policies)), sha256 })
}

/** In the order given. */
export const indexed = (policies: readonly CompiledPolicy[]): Pick<PolicySnapshot, 'policies' | 'index'> => ({
  policies,
  index: buildIndex(policies.map(({ document, resources }) => ({ actions: document.actions, resources }))),
})

export const contentHash = (document: PolicyDocument, sha256: Sha256): string => `sha256:${sha256(canonicalJson(document))}`

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const byPriority = ({ document: a }: CompiledPolicy, { document: b }: CompiledPolicy): number =>
  b.priority - a.priority || byText(a.id, b.id)

function snapshotHash(hashed: readonly { document: PolicyDocument; hash: string }[], exceptions: readonly ExceptionDocument[], sha256: Sha256): string {
  const pairs = hashed.map(({ document, hash }) => [document.id, hash]).sort(([a = ''], [b = '']) => byText(a, b))
  const covered = exceptions.length === 0 ? pairs : { policies: pairs, exceptions: exceptions.map((one) => canonicalJson(one)).sort(byText) }
  return `sha256:${sha256(canonicalJson(covered))}`
}

/** One for all: what thousands of policies read for each decision stays in the processor's cache. */
const none: readonly CompiledException[] = Object.freeze([])

/** Parts that policies of one set have in common. */
type Shared = { nodes: KnownNodes; globs: Map<string, Glob>; exceptions: readonly ExceptionDocument[] }

function compilePolicy(document: PolicyDocument, hash: string, means: Means, { nodes, globs, exceptions }: Shared): CompiledPolicy {
  const when = compileCondition(document.when, 'when', means, nodes)
  const unless = compileCondition(document.unless, 'unless', means, nodes)
  const covering = exceptions.filter(({ policy }) => policy === document.id)
  const excepted = covering.length === 0 ? none : covering.map((one) => compileException(one, means, nodes))
  const { notBefore, notAfter } = document.validity
  return Object.freeze({
    document,
    hash,
    resources: document.resources.map((text) => sharedGlob(text, globs)),
    when,
    unless,
    obligations: obligationsOf(document),
    exceptions: excepted,
    times: [...timeTests(when), ...timeTests(unless), ...excepted.flatMap(({ times }) => times)],
    validFrom: notBefore === null ? -Infinity : parseInstant(notBefore)!,
    validTo: notAfter === null ? Infinity : parseInstant(notAfter)!,
  })
}

function sharedGlob(text: string, globs: Shared['globs']): Glob {
  const glob = globs.get(text) ?? compileGlob(text, parseResource(text, true)!.segments)
  globs.set(text, glob)
  return glob
}
