import { quantile } from '../report.ts'
import type { Answer, Loaded } from './engine.ts'
import type { Outcome, Request } from './workload.ts'

/** `asked`: how many requests the better pass had time for. Times in µs. */
export type Figures = { perSecond: number; p50: number; p99: number; asked: number; loadMs: number }

/** A pass ends with its requests, or with its time once it has asked a few, or with its patience. */
const [boxMs, fewest, patienceMs] = [1_500, 26, 12_000]

/**
 * At least two passes, and as many as the time of two holds: a fast engine is not judged while it is still being compiled.
 * The one with the best throughput counts. Throws when an answer is not the one expected.
 */
export async function measure(loaded: Loaded, requests: readonly Request[], expected: readonly Outcome[]): Promise<Omit<Figures, 'loadMs'>> {
  const prepared = requests.map((request) => loaded.prepare(request))
  const start = performance.now()
  let best = await onePass(loaded, prepared, expected)
  do {
    const next = await onePass(loaded, prepared, expected)
    if (next.perSecond > best.perSecond) best = next
  } while (performance.now() - start < 2 * boxMs)
  return best
}

async function onePass({ decide }: Loaded, prepared: readonly unknown[], expected: readonly Outcome[]): Promise<Omit<Figures, 'loadMs'>> {
  const micros = new Float64Array(prepared.length)
  const answers = new Array<Answer>(prepared.length)
  const start = performance.now()
  let [asked, now] = [0, start]
  while (asked < prepared.length && now - start < (asked < fewest ? patienceMs : boxMs)) {
    const answer = decide(prepared[asked])
    answers[asked] = typeof answer === 'string' ? answer : await answer
    const after = performance.now()
    micros[asked++] = (after - now) * 1000
    now = after
  }
  checkAnswers(answers, expected, asked)
  const sorted = micros.subarray(0, asked).toSorted()
  return { perSecond: (asked / (now - start)) * 1000, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), asked }
}

function checkAnswers(answers: readonly Answer[], expected: readonly Outcome[], asked: number): void {
  for (let at = 0; at < asked; at++) {
    const [answer, wanted] = [answers[at], expected[at]]
    if (answer !== wanted && !(answer === 'refused' && wanted !== 'allow')) throw new Error(`request ${at}: answered \`${answer}\`, and the reference says \`${wanted}\``)
  }
}
