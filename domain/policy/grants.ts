/** Whether a change lets more happen than what it replaces: then it takes a second person (docs/policy.md, "In force"). */
import { canonicalJson } from '../canonical.ts'
import { asPolicy, askedOf, treeAt, type Asked } from './grants/truths.ts'
import { placesIn } from './grants/places.ts'
import { momentsOf } from './grants/moments.ts'
import { outcomeUnder } from './grants/outcome.ts'
import { searchIn, type Effort, type Field } from './grants/search.ts'
import { onlyAsksMore, type Pair } from './grants/tightening.ts'
import type { AttributeLeaf } from './document.ts'
import type { PolicyInput } from './input.ts'
import { cellsWhere } from './lint/cells.ts'
import type { Box } from './lint/region.ts'
import { askUnits } from './lint/effort.ts'
import { named } from './lint/finding.ts'
import { mayMeet } from './lint/resources.ts'
import { spaceOf, type Space } from './lint/space.ts'
import type { Proceed } from './mode.ts'
import type { CompiledPolicy, PolicySnapshot } from './snapshot.ts'
import type { WallClock } from './time.ts'

export type Grant = {
  /** A request to which more is let happen, by the engine's own word; null where the change was too large to compare. */
  witness: PolicyInput | null
  /** The same in words. */
  why: string
}

export type GrantOptions = {
  /** Epoch milliseconds. What was so before does not count. */
  nowMs: number
  wallClock: WallClock
  /** Version of the time zone data, for the request that is shown. */
  tzdata: string
  /** How often policies may be asked about sets of requests before the change counts as granting. */
  effort?: number
}

/** Some seconds. */
const mostEffort = 500_000

/**
 * A request to which `after` lets more happen than `before`: deny < observe < suggest < ask < act, and fewer approvals
 * or looser obligations within `ask` and `act`. Null: there is none, from `nowMs` on. How long an approval that was
 * given already stays good is not compared. What cannot be compared counts as granting, without a witness.
 */
export function grantsMore(before: PolicySnapshot, after: PolicySnapshot, { nowMs, wallClock, tzdata, effort: most = mostEffort }: GrantOptions): Grant | null {
  const all = pairsOf(before, after)
  const open = all.filter(({ asksMore }) => !asksMore).flatMap(policiesOf)
  if (open.length === 0) return null
  const isConcerned = (policy: CompiledPolicy): boolean => open.some((one) => concerns(policy, one))
  const pairs = all.filter((pair) => policiesOf(pair).some(isConcerned))
  const [changed, unchanged] = [pairs.flatMap(policiesOf), sameIn(before, after).filter(isConcerned)]
  const space = spaceOf([...changed, ...unchanged].flatMap(withEdges), nowMs, wallClock)
  const asked = new Map([...changed, ...unchanged].map((policy) => [policy, askedOf(space, policy)]))
  const globs = [...new Map([...asked.keys()].flatMap(withEdges).flatMap(({ resources }) => resources).map((glob) => [glob.segments.join('/'), glob])).values()]
  const { places, whole } = placesIn([...new Set(open.flatMap(({ resources }) => resources))], globs)
  // What a search may cost has a bound of its own.
  const units = new Map([...before.policies, ...after.policies].map((policy) => [policy, askUnits(policy)]))
  const ground = { snapshot: after, space, nowMs, wallClock, tzdata, units, effort: { left: Infinity } }
  const confirm = { ...ground, before, after, momentIn: momentsOf(ground) }
  const effort: Effort = { left: most, open: !whole }
  for (const place of places) {
    const field = fieldAt(pairs, unchanged, asked, place.segments)
    const witness = searchIn({ ...field, place, confirm }, fromNowOn(space, nowMs), effort)
    if (witness) return { witness, why: whyOf(before, after, witness) }
  }
  return effort.open ? tooLarge(`what ${named(idsOf(open))} would let happen is too much to compare`) : floorGone(pairs, nowMs)
}

/** What happens under an exception takes two people (`capByFloor`). Without the policy that it is from, nobody is asked any more. */
function floorGone(pairs: readonly Pair[], nowMs: number): Grant | null {
  for (const { before, after, asksMore } of pairs) {
    if (!before || asksMore || after?.hash === before.hash) continue
    const standing = before.exceptions.find(({ to }) => to > nowMs)
    if (standing) return { witness: null, why: `exception \`${standing.document.id}\` from \`${before.document.id}\` stands, and what it lets happen takes two people: as the policy would be, it may take none` }
  }
  return null
}

export const tooLarge = (what: string): Grant => ({ witness: null, why: `${what}, so the change counts as letting more happen` })

function whyOf(before: PolicySnapshot, after: PolicySnapshot, input: PolicyInput): string {
  const [was, is] = [before, after].map((snapshot) => proceedOf(outcomeUnder(snapshot, input)))
  const asked = `\`${input.action}\` on \`${input.resource}\``
  return was === is ? `${asked} would be \`${is}\` as before, with looser obligations` : `${asked} would be \`${is}\` instead of \`${was}\``
}

const proceedOf = (outcome: ReturnType<typeof outcomeUnder>): Proceed => (outcome === 'unreadable' ? 'deny' : outcome.proceed)

const idsOf = (policies: readonly CompiledPolicy[]): string[] => [...new Set(policies.map(({ document }) => document.id))].sort()

const policiesOf = ({ before, after }: Pick<Pair, 'before' | 'after'>): CompiledPolicy[] => [before, after].filter((policy) => policy !== null)

/** What never counts is not there. */
const enforced = ({ policies }: PolicySnapshot): CompiledPolicy[] => policies.filter(({ document }) => document.enforcement === 'enforce')

const wordsOf = ({ hash, exceptions }: CompiledPolicy): string => [hash, ...exceptions.map(({ document }) => canonicalJson(document)).sort()].join(' ')

function pairsOf(before: PolicySnapshot, after: PolicySnapshot): Pair[] {
  const [was, is] = [before, after].map((snapshot) => new Map(enforced(snapshot).map((policy) => [policy.document.id, policy]))) as [Map<string, CompiledPolicy>, Map<string, CompiledPolicy>]
  const ids = [...new Set([...was.keys(), ...is.keys()])].sort()
  return ids
    .map((id): [CompiledPolicy | null, CompiledPolicy | null] => [was.get(id) ?? null, is.get(id) ?? null])
    .filter(([one, other]) => !one || !other || wordsOf(one) !== wordsOf(other))
    .map(([one, other]) => ({ before: one, after: other, asksMore: onlyAsksMore(one, other) }))
    .sort((a, b) => Number(a.asksMore) - Number(b.asksMore))
}

function sameIn(before: PolicySnapshot, after: PolicySnapshot): CompiledPolicy[] {
  const words = new Set(enforced(after).map(wordsOf))
  return enforced(before).filter((policy) => words.has(wordsOf(policy)))
}

/** Whether some request is for both: by their resources, quickly and never no by mistake. */
const concerns = ({ resources, document: { type } }: CompiledPolicy, { resources: others, document }: CompiledPolicy): boolean =>
  type.some((one) => document.type.includes(one)) && resources.some((glob) => others.some((other) => mayMeet(glob, other)))

/** A policy, what it is excepted from, and the edges of its bounds: all that tells requests apart. */
function withEdges(policy: CompiledPolicy): CompiledPolicy[] {
  const { maxReplicas, maxPercent, cooldownMs } = policy.obligations
  const bounds = [edge('request.replicas', maxReplicas), edge('request.percentOfReady', maxPercent), edge('history.sinceLastActionMs', cooldownMs === 0 ? null : cooldownMs)].flat()
  const bounded: CompiledPolicy[] = bounds.length === 0 ? [] : [{ ...policy, document: { ...policy.document, when: { all: bounds }, unless: { any: [] } } }]
  return [policy, ...bounded, ...policy.exceptions.map((one) => asPolicy(policy, one))]
}

const edge = (attr: string, value: number | null): AttributeLeaf[] => (value === null ? [] : [{ attr, op: 'lte', value }])

function fieldAt(pairs: readonly Pair[], unchanged: readonly CompiledPolicy[], asked: ReadonlyMap<CompiledPolicy, Asked>, segments: readonly string[]): Pick<Field, 'pairs' | 'changed' | 'unchanged'> {
  const isHere = (policy: CompiledPolicy): boolean => policy.resources.some((glob) => glob.matches(segments))
  const here = (policy: CompiledPolicy | null): CompiledPolicy | null => (policy && isHere(policy) ? policy : null)
  const met = pairs.map((pair) => ({ ...pair, before: here(pair.before), after: here(pair.after) })).filter((pair) => pair.before || pair.after)
  const treeOf = (policy: CompiledPolicy) => treeAt(asked.get(policy)!, segments)
  return {
    pairs: met,
    changed: new Map(met.flatMap(policiesOf).map((policy) => [policy, treeOf(policy)] as const)),
    unchanged: unchanged.filter(isHere).map((policy) => ({ policy, tree: treeOf(policy) })),
  }
}

const fromNowOn = ({ instants }: Space, nowMs: number): Box => new Map([[instants, cellsWhere(instants.samples as number[], (at) => at >= nowMs)]])
