import type { Node } from './condition.ts'
import type { PolicyInput } from './input.ts'
import { breaches, type Obligations } from './obligations.ts'
import { attributeText, readAttribute } from './path.ts'
import { isValidAt } from './ruling.ts'
import type { CompiledPolicy } from './snapshot.ts'

/** A fact that policies read and the record does not have, by how many decisions. */
export type MissingFact = { attr: string; count: number; firstDecisionId: string }

export type MissingFacts = {
  note(policies: readonly CompiledPolicy[], decisionId: string, input: PolicyInput): void
  /** The most often missing first. */
  report(): MissingFact[]
}

const mostMissing = 100

/**
 * Every fact counts that a policy asks for, whatever its answer came to: `absent`, and a policy that asks `exists`
 * first, have one without the fact, and it says nothing about requests that will have it.
 */
export function missingFacts(): MissingFacts {
  const missing = new Map<string, { count: number; firstDecisionId: string }>()
  const known = new Map<CompiledPolicy, Reading[]>()

  function readingsOf(policy: CompiledPolicy): Reading[] {
    const found = known.get(policy) ?? readings(policy)
    known.set(policy, found)
    return found
  }

  const lacking = new Set<string>()

  function note(policies: readonly CompiledPolicy[], decisionId: string, input: PolicyInput): void {
    lacking.clear()
    for (const policy of policies) if (isValidAt(policy, input.now)) for (const read of readingsOf(policy)) read(input, lacking)
    for (const attr of lacking) {
      const entry = missing.get(attr)
      if (entry) entry.count += 1
      else if (missing.size < mostMissing) missing.set(attr, { count: 1, firstDecisionId: decisionId })
    }
  }

  const report = (): MissingFact[] =>
    [...missing].map(([attr, entry]) => ({ attr, ...entry })).sort((a, b) => b.count - a.count || (a.attr < b.attr ? -1 : 1))

  return { note, report }
}

/** Adds the facts that one leaf, or the bounds, lack in a request. */
type Reading = (input: PolicyInput, lacking: Set<string>) => void

const readings = ({ when, unless, exceptions, obligations }: CompiledPolicy): Reading[] =>
  [...[when, unless, ...exceptions.map((one) => one.when)].flatMap(readingsBelow), ...boundReadings(obligations)]

function readingsBelow(node: Node): Reading[] {
  if (node.form === 'not') return readingsBelow(node.part)
  if ('parts' in node) return node.parts.flatMap(readingsBelow)
  if (node.form === 'time') return []
  if (node.form === 'cel') return [expressionReading(node)]
  const { attr, read } = node
  return [(input, lacking) => {
    if ((read(input) ?? null) === null) lacking.add(attr)
  }]
}

/** An expression without an answer though every fact it names is there can only tell itself. */
const expressionReading = ({ reads, wanted, evaluate }: Extract<Node, { form: 'cel' }>): Reading => (input, lacking) => {
  const missing = reads.filter((keys) => isMissing(input, keys))
  for (const keys of missing) lacking.add(attributeText(keys))
  if (missing.length === 0 && evaluate(input) === 'unknown') lacking.add(`cel: ${wanted}`)
}

/** `"a" in context.tags` names a member, or an item where that is a list. */
const isMissing = (input: PolicyInput, keys: readonly string[]): boolean =>
  (readAttribute(input, keys) ?? null) === null && !Array.isArray(readAttribute(input, keys.slice(0, -1)))

/** What each bound is held against. */
const factOf: Partial<Record<keyof Obligations, string>> = { maxReplicas: 'request.replicas', maxPercent: 'request.percentOfReady', cooldownMs: 'history.sinceLastActionMs' }

function boundReadings(obligations: Obligations): Reading[] {
  const { maxReplicas, maxPercent, cooldownMs } = obligations
  if (maxReplicas === null && maxPercent === null && cooldownMs === 0) return []
  return [(input, lacking) => {
    for (const { obligation, actual } of breaches(obligations, input)) if (actual === null && factOf[obligation] !== undefined) lacking.add(factOf[obligation])
  }]
}
