import { decide } from '../domain/policy/decide.ts'
import type { Effect } from '../domain/policy/document.ts'
import type { PolicyInput } from '../domain/policy/input.ts'
import type { PolicySnapshot } from '../domain/policy/snapshot.ts'
import { estate, requests } from './policy-workload.ts'
import { quantile, type BenchRow } from './report.ts'

const requestCount = 10_000

export type EstateFigures = { perSecond: number; p50: number; p99: number; undisturbed: number; counts: Record<Effect, number> }

/**
 * What only Aegis can be asked: three effects, zones, obligations, facts that are missing. Every call is timed. Of four
 * passes after one to warm up, the one with the lowest p99 counts. `undisturbed` is the p99 of each request's fastest
 * of the four: what the work itself costs, without what else the machine was doing.
 */
export function measureEstate(policies: number): EstateFigures {
  const [snapshot, asked] = [estate(policies), requests(requestCount)]
  onePass(snapshot, asked)
  const passes = Array.from({ length: 4 }, () => onePass(snapshot, asked))
  const p99 = (pass: Pass): number => quantile(pass.micros.toSorted(), 0.99)
  const best = passes.reduce((calmest, pass) => (p99(pass) < p99(calmest) ? pass : calmest))
  const fastest = best.micros.map((_, at) => Math.min(...passes.map(({ micros }) => micros[at]!)))
  return {
    perSecond: Math.round(asked.length / best.seconds),
    p50: quantile(best.micros.toSorted(), 0.5),
    p99: p99(best),
    undisturbed: quantile(fastest.toSorted(), 0.99),
    counts: best.counts,
  }
}

type Pass = { micros: Float64Array; seconds: number; counts: Record<Effect, number> }

function onePass(snapshot: PolicySnapshot, asked: readonly PolicyInput[]): Pass {
  const micros = new Float64Array(asked.length)
  const counts = { allow: 0, require_approval: 0, deny: 0 }
  const start = performance.now()
  asked.forEach((input, at) => {
    const before = performance.now()
    counts[decide(snapshot, input).effect]++
    micros[at] = (performance.now() - before) * 1000
  })
  return { micros, seconds: (performance.now() - start) / 1000, counts }
}

export function estateRows(policies: number, { perSecond, p50, p99, undisturbed, counts }: EstateFigures): BenchRow[] {
  const name = `Aegis, estate of ${policies.toLocaleString('en')} policies`
  const row = (metric: string, value: number, unit: string): BenchRow => ({ case: name, metric, value: Number(value.toFixed(1)), unit })
  return [
    row('decisions', perSecond, '1/s'),
    row('p50', p50, 'µs'),
    row('p99', p99, 'µs'),
    row('p99 undisturbed', undisturbed, 'µs'),
    row('allowed', counts.allow, `of ${requestCount}`),
    row('asked', counts.require_approval, `of ${requestCount}`),
    row('denied', counts.deny, `of ${requestCount}`),
  ]
}
