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
  const lastLooks = new Map<string, number>()
  for (const one of state.cases.values()) lastLooks.set(one.workloadUid, Math.min(lastLooks.get(one.workloadUid) ?? Infinity, dueSinceMs(one)))
  return cached
    .filter((workload) => lastLooks.has(workload.uid) || classify(workload, nowMs).length > 0)
    .map((workload) => ({ workload, sinceMs: lastLooks.get(workload.uid) ?? 0 }))
    .filter(({ sinceMs }) => sinceMs <= nowMs)
    .sort((a, b) => a.sinceMs - b.sinceMs || (a.workload.uid < b.workload.uid ? -1 : 1))
    .slice(0, limit)
    .map(({ workload }) => workload)
}

const dueSinceMs = ({ countedAtMs, raisedAtMs, absences }: Case) => countedAtMs + (raisedAtMs !== null && absences === 0 ? calmLookMs : 0)
