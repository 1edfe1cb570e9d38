import { tzdataVersion, wallClock } from '../adapters/policies/zones.ts'
import { lintPolicies } from '../domain/policy/lint/lint.ts'
import type { PolicySnapshot } from '../domain/policy/snapshot.ts'
import { estate } from './policy-workload.ts'
import { atMost, describeMachine, type BenchReport } from './report.ts'

const sizes = [10, 100, 1_000, 5_000]

/** The estate of the policy benchmark, linted whole in one process and thread, at one fixed time. The fastest of three goes counts. */
export async function run(): Promise<BenchReport> {
  const measured = sizes.map((policies) => ({ policies, ...measure(estate(policies)) }))
  const thousand = measured.find(({ policies }) => policies === 1_000)!
  return {
    name: 'lint',
    machine: describeMachine(),
    date: new Date().toISOString(),
    rows: measured.flatMap(({ policies, ms, counts }) => [
      { case: `${policies} policies`, metric: 'lint', value: ms, unit: 'ms' },
      ...Object.entries(counts).map(([code, count]) => ({ case: `${policies} policies`, metric: code, value: count, unit: 'findings' })),
    ]),
    bars: [atMost('lint of 1,000 policies in ms', 1_000, thousand.ms)],
  }
}

function measure(snapshot: PolicySnapshot): { ms: number; counts: Record<string, number> } {
  const goes = Array.from({ length: 3 }, () => {
    const start = performance.now()
    const { findings } = lintPolicies(snapshot, { nowMs: Date.UTC(2026, 5, 3, 12), wallClock, tzdata: tzdataVersion, history: { unmatched: new Set() } })
    return { ms: Math.round(performance.now() - start), findings }
  })
  const counts: Record<string, number> = {}
  for (const { code } of goes[0]!.findings) counts[code] = (counts[code] ?? 0) + 1
  return { ms: Math.min(...goes.map(({ ms }) => ms)), counts }
}
