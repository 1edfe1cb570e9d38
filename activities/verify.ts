import type { WatchTimes } from '../adapters/postgres/plans.ts'
import { actionRules } from '../domain/actions/index.ts'
import type { Judgement, Sample } from '../domain/verdict.ts'
import { Failure } from '../domain/failure.ts'
import type { ExecutionDeps } from './deps.ts'
import { endingWith } from './recording.ts'
import type { ExecutionSteps } from './results.ts'

/** As many looks are kept; older ones make room. */
const sampleLimit = 1_000
/** A timer may fire a moment early by the clock, and a look before its time would be one more. */
const timerSlackMs = 5

/** Each look costs the API server three requests: a few in each settle time will do, if none is longer than 2 s away. */
export function lookEveryMs(settleMs: number): number {
  const few = Math.min(Math.max(settleMs / 4, 500), 2_000)
  return Math.max(few, (2 * settleMs) / sampleLimit) // so that what is kept always covers a settle time
}

type Input = Parameters<ExecutionSteps['verify']>[0]
type Times = Pick<Input, 'startMs' | 'settleMs' | 'timeoutMs'>

/** Watches the workload like `rollout status`, then through the settle time, until it can be judged. */
export const verify =
  ({ db, store, cluster, sleep, nowMs }: ExecutionDeps): ExecutionSteps['verify'] =>
  async (asked) => {
    const { id, digest } = asked
    const stored = await store.beginVerifying(db, id, digest)
    if (!stored) throw new Failure('missing', 'act_missing', `no change by plan \`${digest}\` of remediation \`${id}\` is on record`)
    const { plan, baseline } = stored
    const input = watchOf(asked, stored)
    const { startMs, settleMs, timeoutMs } = input

    const samples: Sample[] = []
    await sleep(untilFirstLookMs(input, nowMs()))
    for (;;) {
      samples.push({ atMs: nowMs(), settled: await cluster.health(plan) })
      if (samples.length > sampleLimit) samples.shift()
      const judgement = actionRules[plan.action].verdict(plan as never, baseline, samples, { settleMs, timeoutMs, startMs, nowMs: nowMs() })
      const { verdict, evidence } = judgement
      if (verdict !== 'not_yet') {
        const verified = { verdict, evidence, summary: `${verdict}: ${evidence}` }
        return endingWith((step) => store.saveVerification(db, { id, digest, verdict, evidence }, step), () => verified)
      }
      // Bound: at `timeoutMs` the rule above has to say something else than `not_yet`.
      await sleep(untilNextLookMs(input, judgement, nowMs()))
    }
  }

/** A task may ask for longer, never for less than was committed with the plan, nor for a look at what was before the change. */
const watchOf = (asked: Input, { watch, sentAtMs }: { watch: WatchTimes | null; sentAtMs: number }) => ({
  startMs: Math.max(asked.startMs, sentAtMs),
  settleMs: Math.max(asked.settleMs, watch?.settleMs ?? 0),
  timeoutMs: Math.max(asked.timeoutMs, watch?.timeoutMs ?? 0),
})

/** Right after the write nothing can have settled. Whoever takes over from a lost worker has waited long enough. */
function untilFirstLookMs({ startMs, settleMs }: Times, nowMs: number): number {
  const everyMs = lookEveryMs(settleMs)
  return Math.min(Math.max(startMs + everyMs - nowMs, 0), everyMs)
}

/** Just when a settle time, or the time for all of it, is over, if that comes first: nobody waits longer than is needed. */
function untilNextLookMs({ startMs, settleMs, timeoutMs }: Times, { dueMs }: Judgement, nowMs: number): number {
  const everyMs = lookEveryMs(settleMs)
  const leftMs = Math.max(Math.min(dueMs ?? Infinity, startMs + timeoutMs) - nowMs, 0)
  return leftMs <= everyMs ? leftMs + timerSlackMs : everyMs
}
