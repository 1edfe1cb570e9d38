import { decide } from '../domain/policy/decide.ts'
import type { PolicyInput } from '../domain/policy/input.ts'
import type { PolicySnapshot } from '../domain/policy/snapshot.ts'
import { estate, requests } from './policy-workload.ts'
import { atMost, describeMachine, quantile, type BenchReport, type BenchRow } from './report.ts'

const sizes = [10, 100, 1_000, 10_000]
const requestCount = 10_000

/**
 * Whole decisions in one process and thread: input checked and digested, every policy in scope
 * evaluated, obligations merged, explanation with near misses built. Every call is timed; of four passes
 * after one to warm up, the one with the lowest p99 counts, as other work on the machine only adds.
 */
export async function run(): Promise<BenchReport> {
  const asked = requests(requestCount)
  const measured = sizes.map((policies) => ({ policies, ...measure(estate(policies), asked) }))
  const thousand = measured.find(({ policies }) => policies === 1_000)!
  return {
    name: 'policy',
    machine: describeMachine(),
    date: new Date().toISOString(),
    rows: measured.flatMap(({ policies, ...figures }) => rowsOf(`${policies} policies`, figures)),
    bars: [atMost('decide at 1,000 policies, p99 in µs', 100, thousand.p99)],
  }
}

type Figures = { perSecond: number; p50: number; p99: number; allowed: number; asked: number; denied: number }

function measure(snapshot: PolicySnapshot, asked: readonly PolicyInput[]): Figures {
  const passes = Array.from({ length: 5 }, () => onePass(snapshot, asked))
  return passes.slice(1).reduce((best, pass) => (pass.p99 < best.p99 ? pass : best))
}

function onePass(snapshot: PolicySnapshot, asked: readonly PolicyInput[]): Figures {
  const micros = new Float64Array(asked.length)
  const counts = { allow: 0, require_approval: 0, deny: 0 }
  const start = performance.now()
  asked.forEach((input, at) => {
    const before = performance.now()
    counts[decide(snapshot, input).effect]++
    micros[at] = (performance.now() - before) * 1000
  })
  const seconds = (performance.now() - start) / 1000
  micros.sort()
  return {
    perSecond: Math.round(asked.length / seconds),
    p50: quantile(micros, 0.5),
    p99: quantile(micros, 0.99),
    allowed: counts.allow,
    asked: counts.require_approval,
    denied: counts.deny,
  }
}

const rowsOf = (name: string, { perSecond, p50, p99, allowed, asked, denied }: Figures): BenchRow[] => [
  { case: name, metric: 'decisions', value: perSecond, unit: '1/s' },
  { case: name, metric: 'p50', value: Number(p50.toFixed(1)), unit: 'µs' },
  { case: name, metric: 'p99', value: Number(p99.toFixed(1)), unit: 'µs' },
  { case: name, metric: 'allowed', value: allowed, unit: `of ${requestCount}` },
  { case: name, metric: 'asked', value: asked, unit: `of ${requestCount}` },
  { case: name, metric: 'denied', value: denied, unit: `of ${requestCount}` },
]
