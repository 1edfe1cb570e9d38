/**
 * What-if: recorded decisions asked again, each with the facts and the clock it had, under the policies of now and
 * under a candidate. Nothing is guessed: a fact that was not recorded is missing, and reported as that.
 */
import { canonicalJson } from '../canonical.ts'
import { decide } from './decide.ts'
import type { PolicyInput } from './input.ts'
import { missingFacts, type MissingFact } from './missing-facts.ts'
import { proceedUnder, type Proceed } from './mode.ts'
import { readRequest } from './request.ts'
import { evaluate, ruleOnEvaluated, scopeOf, type Evaluated } from './ruling.ts'
import { indexed, type CompiledPolicy, type PolicySnapshot } from './snapshot.ts'
import { changeLog, type Changes, type RecordedDecision } from './transitions.ts'
import { unmetPolicies } from './unmet-policies.ts'

export type SimulationReport = Changes & {
  /** Hashes of the two snapshots. */
  current: string
  candidate: string
  decisions: number
  /** Epoch milliseconds of the first and the last recorded clock; null without decisions. */
  span: { from: number; to: number } | null
  unchanged: number
  /** Recorded questions that this version cannot read; they are denied either way. */
  unreadable: number
  /** Facts that changed policies read and the record does not have, by how often. */
  missing: MissingFact[]
  /** Policies of the candidate that matched nothing in the record. */
  neverMatched: string[]
  /** Those of them that permit, and are new or changed: the record cannot show what they would let happen. */
  untried: string[]
}

export type Simulation = { add(recorded: RecordedDecision): void; report(): SimulationReport }

/** Decisions are added one by one, so that a history of any length fits in memory; only what changes is kept. */
export function simulation(current: PolicySnapshot, candidate: PolicySnapshot): Simulation {
  const { dropped, added } = differenceOf(current, candidate)
  const changed = indexed([...dropped, ...added])
  const either = indexed([...current.policies, ...added])
  const unmet = unmetPolicies(candidate)
  const missing = missingFacts()
  const changes = changeLog({ before: (input) => decide(current, input).message, after: (input) => decide(candidate, input).message })
  const seen = { decisions: 0, unreadable: 0, changed: 0, from: Infinity, to: -Infinity }

  function add(recorded: RecordedDecision): void {
    seen.decisions += 1
    const read = readRequest(recorded.input)
    if (read.problem !== undefined) return void (seen.unreadable += 1)
    const { input, segments } = read
    seen.from = Math.min(seen.from, input.now)
    seen.to = Math.max(seen.to, input.now)
    // Who is decided by the same policies is answered the same.
    const concerned = scopeOf(changed, input, segments)
    if (concerned.length === 0) return unmet.ask(input, segments)
    missing.note(concerned, recorded.decisionId, input)
    // What the two have in common is evaluated once for both.
    const evaluated = scopeOf(either, input, segments).map((policy) => evaluate(policy, input))
    const candidates = evaluated.filter(({ policy }) => !dropped.has(policy))
    unmet.note(candidates)
    const from = answer(input, evaluated.filter(({ policy }) => !added.has(policy)))
    const to = answer(input, candidates)
    if (from === to) return
    seen.changed += 1
    changes.note(from, to, { ...recorded, input })
  }

  const report = (): SimulationReport => ({
    current: current.hash,
    candidate: candidate.hash,
    decisions: seen.decisions,
    span: seen.from <= seen.to ? { from: seen.from, to: seen.to } : null,
    unchanged: seen.decisions - seen.changed,
    unreadable: seen.unreadable,
    ...changes.report(),
    missing: missing.report(),
    neverMatched: idsOf(candidate.policies.filter(({ hash }) => unmet.left().has(hash))),
    untried: idsOf([...added].filter(({ hash, document }) => unmet.left().has(hash) && document.effect !== 'deny' && document.enforcement === 'enforce')),
  })

  return { add, report }
}

const idsOf = (policies: readonly CompiledPolicy[]): string[] => policies.map(({ document }) => document.id).sort()

/** As far as the policies alone let it go: the mode of that day is not a policy's business. */
const answer = (input: PolicyInput, evaluated: Evaluated[]): Proceed => proceedUnder(ruleOnEvaluated(input, evaluated), 'auto')

/** All that decides how a policy answers: its content, and what it is excepted from. */
const wordsOf = ({ hash, exceptions }: CompiledPolicy): string => [hash, ...exceptions.map(({ document }) => canonicalJson(document)).sort()].join(' ')

/** Policies that are in one of the two and not, or otherwise, in the other. */
function differenceOf(current: PolicySnapshot, candidate: PolicySnapshot): Record<'dropped' | 'added', ReadonlySet<CompiledPolicy>> {
  const without = ({ policies }: PolicySnapshot, other: PolicySnapshot) => {
    const known = new Set(other.policies.map(wordsOf))
    return new Set(policies.filter((policy) => !known.has(wordsOf(policy))))
  }
  return { dropped: without(current, candidate), added: without(candidate, current) }
}
