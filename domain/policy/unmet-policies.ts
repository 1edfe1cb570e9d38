import type { PolicyInput } from './input.ts'
import { readRequest } from './request.ts'
import { evaluate, scopeOf, type Evaluated } from './ruling.ts'
import { indexed, type PolicySnapshot } from './snapshot.ts'

/**
 * Which policies of a set no decision has met yet. They are asked one by one, and of those alone that none has met, so
 * that a long history costs little.
 */
export type UnmetPolicies = {
  /** What was evaluated anyway. */
  note(evaluated: readonly Evaluated[]): void
  /** A request as it was read, or as it was recorded: one that cannot be read meets nothing. */
  ask(input: PolicyInput, segments: readonly string[]): void
  add(recorded: PolicyInput): void
  /** Content hashes of those that none has met. */
  left(): ReadonlySet<string>
}

export function unmetPolicies({ policies }: Pick<PolicySnapshot, 'policies'>): UnmetPolicies {
  const left = new Set(policies.map(({ hash }) => hash))
  let open = indexed(policies)

  function note(evaluated: readonly Evaluated[]): void {
    for (const { policy, truth } of evaluated) if (truth === true) left.delete(policy.hash)
    if (left.size * 2 < open.policies.length) open = indexed(open.policies.filter(({ hash }) => left.has(hash)))
  }

  function ask(input: PolicyInput, segments: readonly string[]): void {
    if (left.size === 0) return
    note(scopeOf(open, input, segments).filter(({ hash }) => left.has(hash)).map((policy) => evaluate(policy, input)))
  }

  function add(recorded: PolicyInput): void {
    const read = readRequest(recorded)
    if (read.problem === undefined) ask(read.input, read.segments)
  }

  return { note, ask, add, left: () => left }
}
