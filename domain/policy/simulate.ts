/**
 * What-if: recorded decisions asked again, each with the facts and the clock it had, under the policies of now and
 * under a candidate. Nothing is guessed: a fact that was not recorded is missing, and reported as that.
 */
import { canonicalJson } from '../canonical.ts'
import { buildIndex } from './candidates.ts'
import { decide } from './decide.ts'
import type { Node } from './condition.ts'
import type { Facts, PolicyInput } from './input.ts'
import { proceeds, proceedUnder, type Proceed } from './mode.ts'
import { readRequest } from './request.ts'
import { evaluate, ruleOnEvaluated, scopeOf, type Evaluated } from './ruling.ts'
import { severityRank } from './scales.ts'
import type { CompiledPolicy, PolicySnapshot } from './snapshot.ts'

export type RecordedDecision = { decisionId: string; remediationId: string; input: PolicyInput }

/** One recorded decision whose answer would change, told both ways. */
export type Example = {
  decisionId: string
  remediationId: string
  at: number
  action: string
  resource: string
  severity: string | null
  before: string
  after: string
}

/** `worst`: the highest severity, then the largest share of the ready pods. */
export type Transition = { from: Proceed; to: Proceed; count: number; first: Example; worst: Example }

/** Remediations, each counted once; the first of them by id. */
export type Remediations = { count: number; ids: string[] }

export type SimulationReport = {
  /** Hashes of the two snapshots. */
  current: string
  candidate: string
  decisions: number
  /** Epoch milliseconds of the first and the last recorded clock; null without decisions. */
  span: { from: number; to: number } | null
  unchanged: number
  /** Recorded questions that this version cannot read; they are denied either way. */
  unreadable: number
  /** Loosened first, the widest step before the others. */
  transitions: Transition[]
  /** Decisions that would now act and did not before: what a gate bounds. */
  newlyAllowed: number
  /** Decisions that acted and would now not. */
  newlyStopped: number
  letThrough: Remediations
  stopped: Remediations
  /** Facts that changed policies read and the record does not have, by how often. */
  missing: { attr: string; count: number; firstDecisionId: string }[]
  /** Policies of the candidate that matched nothing in the record. */
  neverMatched: string[]
}

export type Simulation = { add(recorded: RecordedDecision): void; report(): SimulationReport }

const mostIds = 100
const mostMissing = 100

/** Decisions are added one by one, so that a history of any length fits in memory; only what changes is kept. */
export function simulation(current: PolicySnapshot, candidate: PolicySnapshot): Simulation {
  const { dropped, added } = differenceOf(current, candidate)
  const changed = indexed([...dropped, ...added])
  const either = indexed([...current.policies, ...added])
  const coverage = coverageOf(candidate)
  const transitions = new Map<string, Kept>()
  const missing = new Map<string, { count: number; firstDecisionId: string }>()
  const [letThrough, stopped] = [new Set<string>(), new Set<string>()]
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
    if (concerned.length === 0) return coverage.ask(input, segments)
    noteMissing(concerned, recorded, input)
    // What the two have in common is evaluated once for both.
    const evaluated = scopeOf(either, input, segments).map((policy) => evaluate(policy, input))
    const candidates = evaluated.filter(({ policy }) => !dropped.has(policy))
    coverage.note(candidates)
    const from = answer(input, evaluated.filter(({ policy }) => !added.has(policy)))
    const to = answer(input, candidates)
    if (from !== to) noteTransition(from, to, { ...recorded, input })
  }

  function noteTransition(from: Proceed, to: Proceed, recorded: RecordedDecision): void {
    seen.changed += 1
    if (to === 'act') letThrough.add(recorded.remediationId)
    if (from === 'act') stopped.add(recorded.remediationId)
    const kept = transitions.get(`${from}/${to}`)
    if (!kept) return void transitions.set(`${from}/${to}`, { from, to, count: 1, first: recorded, worst: recorded })
    kept.count += 1
    if (isWorse(recorded.input, kept.worst.input)) kept.worst = recorded
  }

  function noteMissing(concerned: readonly CompiledPolicy[], { decisionId }: RecordedDecision, input: PolicyInput): void {
    const attrs = new Set<string>()
    for (const policy of concerned) {
      if (evaluate(policy, input).truth === 'unknown') for (const node of [policy.when, policy.unless]) collectMissing(node, input, attrs)
    }
    for (const attr of attrs) {
      const entry = missing.get(attr)
      if (entry) entry.count += 1
      else if (missing.size < mostMissing) missing.set(attr, { count: 1, firstDecisionId: decisionId })
    }
  }

  function report(): SimulationReport {
    const told = [...transitions.values()].sort(byStep).map(({ first, worst, ...counted }) => ({ ...counted, first: tell(first), worst: tell(worst) }))
    const summed = (holds: (transition: Transition) => boolean) => told.filter(holds).reduce((sum, { count }) => sum + count, 0)
    return {
      current: current.hash,
      candidate: candidate.hash,
      decisions: seen.decisions,
      span: seen.from <= seen.to ? { from: seen.from, to: seen.to } : null,
      unchanged: seen.decisions - seen.changed,
      unreadable: seen.unreadable,
      transitions: told,
      newlyAllowed: summed(({ to }) => to === 'act'),
      newlyStopped: summed(({ from }) => from === 'act'),
      letThrough: remediations(letThrough),
      stopped: remediations(stopped),
      missing: [...missing].map(([attr, entry]) => ({ attr, ...entry })).sort((a, b) => b.count - a.count || (a.attr < b.attr ? -1 : 1)),
      neverMatched: candidate.policies.filter(({ hash }) => coverage.left().has(hash)).map(({ document }) => document.id).sort(),
    }
  }

  const tell = ({ decisionId, remediationId, input }: RecordedDecision): Example => ({
    decisionId,
    remediationId,
    at: input.now,
    action: input.action,
    resource: input.resource,
    severity: severityOf(input.context),
    before: decide(current, input).message,
    after: decide(candidate, input).message,
  })

  return { add, report }
}

type Kept = { from: Proceed; to: Proceed; count: number; first: RecordedDecision; worst: RecordedDecision }

/** As far as the policies alone let it go: the mode of that day is not a policy's business. */
const answer = (input: PolicyInput, evaluated: Evaluated[]): Proceed => proceedUnder(ruleOnEvaluated(input, evaluated), 'auto')

type Indexed = Pick<PolicySnapshot, 'policies' | 'index'>

const indexed = (policies: readonly CompiledPolicy[]): Indexed => ({
  policies,
  index: buildIndex(policies.map(({ document, resources }) => ({ actions: document.actions, resources }))),
})

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

/** Which policies have matched. Those that have are not asked again, so that a long history costs little. */
/** Which policies of a set some decision met: asked one by one, of those alone that none has met yet. */
export function coverageOf({ policies }: PolicySnapshot) {
  const left = new Set(policies.map(({ hash }) => hash))
  let open = indexed(policies)
  function note(evaluated: readonly Evaluated[]): void {
    for (const { policy, truth } of evaluated) if (truth === true) left.delete(policy.hash)
    if (left.size * 2 < open.policies.length) open = indexed(open.policies.filter(({ hash }) => left.has(hash)))
  }
  return {
    /** What was evaluated anyway. */
    note,
    ask(input: PolicyInput, segments: readonly string[]): void {
      if (left.size === 0) return
      const asked = scopeOf(open, input, segments).filter(({ hash }) => left.has(hash))
      note(asked.map((policy) => evaluate(policy, input)))
    },
    add(recorded: Pick<RecordedDecision, 'input'>): void {
      const read = readRequest(recorded.input)
      if (read.problem === undefined) this.ask(read.input, read.segments)
    },
    /** Content hashes of those that none has met. */
    left: (): ReadonlySet<string> => left,
  }
}

function collectMissing(node: Node, input: PolicyInput, found: Set<string>): void {
  if (node.form === 'not') return collectMissing(node.part, input, found)
  if (node.form === 'all' || node.form === 'any') return node.parts.forEach((part) => collectMissing(part, input, found))
  // Which fact an expression lacks is not known, only that it has no answer.
  if (node.form === 'cel' && node.evaluate(input) === 'unknown') found.add(`cel: ${node.wanted}`)
  if (node.form === 'attr' && (node.read(input) ?? null) === null && node.evaluate(input) === 'unknown') found.add(node.attr)
}

const severityOf = (context: Facts): string | null => (typeof context['severity'] === 'string' ? context['severity'] : null)

const isWorse = (a: PolicyInput, b: PolicyInput): boolean => {
  const [rankA, rankB] = [severityRank(severityOf(a.context)), severityRank(severityOf(b.context))]
  return rankA !== rankB ? rankA > rankB : shareOf(a) > shareOf(b)
}

const shareOf = ({ request }: PolicyInput): number => (typeof request['percentOfReady'] === 'number' ? request['percentOfReady'] : 0)

const stepOf = ({ from, to }: Pick<Kept, 'from' | 'to'>): number => proceeds.indexOf(to) - proceeds.indexOf(from)
const byStep = (a: Kept, b: Kept): number => stepOf(b) - stepOf(a) || b.count - a.count

const remediations = (ids: ReadonlySet<string>): Remediations => ({ count: ids.size, ids: [...ids].sort().slice(0, mostIds) })
