import type { ExceptionDocument } from '../exception.ts'
import type { PolicySnapshot } from '../snapshot.ts'
import type { WallClock } from '../time.ts'
import { areaOf, covering } from './areas.ts'
import { deadAllows, redundantPolicies } from './covered.ts'
import { admit, askUnits, freshEffort, isSpent } from './effort.ts'
import { byPlace, named, type Code, type Finding, type LeftOut, type LintReport } from './finding.ts'
import { uncoveredCells } from './gaps.ts'
import { impossibleConditions } from './impossible.ts'
import { opaqueLeaves } from './opaque.ts'
import { outrankedDenies } from './outranked.ts'
import { unknownResources } from './patterns.ts'
import { flooredPercents } from './percent.ts'
import { skippedWindows } from './skipped-hours.ts'
import { spaceOf } from './space.ts'
import { unboundedAllows } from './unbounded.ts'
import { unguaranteedFacts } from './unguaranteed.ts'
import { exceptionsOutOfTime, outOfTime, ownerless, unmatched, type History } from './upkeep.ts'
import { unknownWords } from './vocabulary.ts'
import type { Ground } from './witness.ts'

export type LintOptions = {
  /** Epoch milliseconds. */
  nowMs: number
  wallClock: WallClock
  /** Version of the time zone data, for the requests that are shown. */
  tzdata: string
  history: History
  /** Told of when they end; left out of everything else: what is linted is what holds without them. */
  exceptions?: readonly ExceptionDocument[]
}

/**
 * What is odd about a set of policies (docs/policy.md, "Lint"). Sets of requests are compared exactly, three-valued
 * as decisions are; where that would take too much, nothing is claimed. What can be shown on a request is shown on
 * one, and only told when the engine's own answer to it agrees. Disabled policies are not looked at; shadow
 * policies are held against the enforced ones as if they counted, and never the other way round.
 */
export function lintPolicies(snapshot: PolicySnapshot, { nowMs, wallClock, tzdata, history, exceptions = [] }: LintOptions): LintReport {
  const { policies } = snapshot
  const documents = policies.map(({ document }) => document)
  const { compared, tooLarge } = admit(policies)
  const space = spaceOf(compared, nowMs, wallClock)
  const areas = compared.map((policy) => areaOf(space, policy))
  const units = new Map(policies.map((policy) => [policy, askUnits(policy)]))
  const part: LeftOut[] = []
  /** Each rule has the same to spend, so that none lives at the cost of another. */
  function within<T>(code: Code, rule: (ground: Ground) => T): T {
    const effort = freshEffort()
    const found = rule({ snapshot, space, nowMs, wallClock, tzdata, units, effort })
    if (isSpent(effort)) part.push({ code, reason: `there is too much to look through: ${code} was looked for in part only. Lint fewer policies at a time, or say less in each` })
    return found
  }
  const dead = within('L1', (ground) => deadAllows(ground, areas, covering(ground.effort)))
  const deadIds = idsOf(dead)
  const findings = [
    ...dead,
    ...within('L2', (ground) => redundantPolicies(ground, areas, deadIds, covering(ground.effort))),
    ...within('L3', (ground) => outrankedDenies(ground, areas, deadIds)),
    ...impossibleConditions(space, areas),
    ...within('L5', (ground) => unguaranteedFacts(ground, areas)),
    ...unknownWords(documents),
    ...unknownResources(documents),
    ...within('L7', (ground) => skippedWindows(ground, areas)),
    ...within('L8', (ground) => unboundedAllows(ground, areas)),
    ...ownerless(policies),
    ...outOfTime(areas, space, nowMs),
    ...exceptionsOutOfTime(exceptions, nowMs),
    ...('unmatched' in history ? unmatched(policies, history.unmatched, nowMs) : []),
    ...within('L12', (ground) => flooredPercents(ground, areas)),
    // A policy that is not compared may be the one that allows.
    ...(tooLarge.size > 0 ? [] : within('L13', (ground) => uncoveredCells(ground, areas))),
    ...opaqueLeaves(policies),
  ]
  const large = areas.filter(({ sure, maybe }) => !sure || !maybe).map(({ policy }) => policy.document.id)
  return { findings: findings.sort(byPlace), leftOut: [...leftOut(history, large, [...tooLarge]), ...unasked(space.tooMany), ...part] }
}

const unasked = (keys: readonly string[]): LeftOut[] =>
  keys.length === 0 ? [] : [{ code: 'L1', reason: `too many conditions ask ${named(keys)} for too many values: nothing is claimed that rests on some of them. Lint fewer policies at a time` }]

const idsOf = (findings: readonly Finding[]): ReadonlySet<string> => new Set(findings.flatMap(({ policy }) => policy ?? []))

function leftOut(history: History, large: readonly string[], tooLarge: readonly string[]): LeftOut[] {
  return [
    ...(tooLarge.length > 0 ? [{ code: 'L1' as const, reason: `together these policies are too large to compare: ${named(tooLarge)} are left out of all but L6, L9, L11 and L14, and no gaps are looked for (L13). Write fewer windows, conditions and resources in each, or lint fewer at a time` }] : []),
    ...(large.length > 0 ? [{ code: 'L1' as const, reason: `the conditions of ${named(large)} are too large to compare: they are left out of L1 to L5. Write them as several policies` }] : []),
    ...('unknown' in history ? [{ code: 'L11' as const, reason: history.unknown }] : []),
  ]
}
