import { classify } from '../faults.ts'
import type { WorkloadFacts } from './facts.ts'
import type { Case, WatchState } from './observe.ts'

/** A raised fault is known: looking at it less often leaves room for new ones. */
const calmLookMs = 10_000

/**
 * Which workloads to read afresh now: those a cached view makes suspect and those being followed.
 * At most `limit`; whoever has waited longest comes first, so that nobody is starved.
 */
export function agenda(state: WatchState, cached: readonly WorkloadFacts[], nowMs: number, limit: number): WorkloadFacts[] {
  const followed = new Map<string, Case[]>()
  for (const one of state.cases.values()) followed.set(one.workloadUid, [...(followed.get(one.workloadUid) ?? []), one])
  return cached
    .map((workload) => ({ workload, suspect: classify(workload, nowMs).length > 0, cases: followed.get(workload.uid) ?? [] }))
    .filter(({ suspect, cases }) => suspect || cases.length > 0)
    .map(({ workload, suspect, cases }) => ({ workload, sinceMs: Math.min(...cases.map((one) => dueSinceMs(one, suspect)), cases.length > 0 ? Infinity : 0) }))
    .filter(({ sinceMs }) => sinceMs <= nowMs)
    .sort((a, b) => a.sinceMs - b.sinceMs || (a.workload.uid < b.workload.uid ? -1 : 1))
    .slice(0, limit)
    .map(({ workload }) => workload)
}

/** Known and still there can wait; anything new, or perhaps over, is looked at now. */
const dueSinceMs = ({ countedAtMs, raisedAtMs, absences }: Case, suspect: boolean) =>
  countedAtMs + (suspect && raisedAtMs !== null && absences === 0 ? calmLookMs : 0)
