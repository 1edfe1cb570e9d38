import type { ExceptionDocument } from '../exception.ts'
import type { PolicySnapshot } from '../snapshot.ts'
import type { WallClock } from '../time.ts'
import { areaOf, covering } from './areas.ts'
import { deadAllows, redundantPolicies } from './covered.ts'
import { byPlace, named, type Finding, type LeftOut, type LintReport } from './finding.ts'
import { uncoveredCells } from './gaps.ts'
import { impossibleConditions } from './impossible.ts'
import { opaqueLeaves } from './opaque.ts'
import { outrankedDenies } from './outranked.ts'
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
  const space = spaceOf(policies, nowMs, wallClock)
  const ground: Ground = { snapshot, space, nowMs, wallClock, tzdata }
  const areas = policies.map((policy) => areaOf(space, policy))
  const covers = covering()
  const dead = deadAllows(ground, areas, covers)
  const deadIds = idsOf(dead)
  const findings = [
    ...dead,
    ...redundantPolicies(ground, areas, deadIds, covers),
    ...outrankedDenies(ground, areas, deadIds),
    ...impossibleConditions(space, areas),
    ...unguaranteedFacts(ground, areas),
    ...unknownWords(policies.map(({ document }) => document)),
    ...skippedWindows(ground, areas),
    ...unboundedAllows(ground, areas),
    ...ownerless(areas),
    ...outOfTime(areas, space, nowMs),
    ...exceptionsOutOfTime(exceptions, nowMs),
    ...('unmatched' in history ? unmatched(areas, history.unmatched, nowMs) : []),
    ...flooredPercents(ground, areas),
    ...uncoveredCells(ground, areas),
    ...opaqueLeaves(policies),
  ]
  const large = areas.filter(({ sure, maybe }) => !sure || !maybe).map(({ policy }) => policy.document.id)
  return { findings: findings.sort(byPlace), leftOut: leftOut(history, large) }
}

const idsOf = (findings: readonly Finding[]): ReadonlySet<string> => new Set(findings.flatMap(({ policy }) => policy ?? []))

function leftOut(history: History, large: readonly string[]): LeftOut[] {
  return [
    ...(large.length > 0 ? [{ code: 'L1' as const, reason: `the conditions of ${named(large)} are too large to compare: they are left out of L1 to L5. Write them as several policies` }] : []),
    ...('unknown' in history ? [{ code: 'L11' as const, reason: history.unknown }] : []),
  ]
}
