import { actionRules } from '../domain/actions/index.ts'
import type { Sample } from '../domain/verdict.ts'
import { Failure } from '../domain/failure.ts'
import type { ExecutionDeps } from './deps.ts'
import type { ExecutionSteps } from './results.ts'

const sampleEveryMs = 500
/** One sample in each interval of the longest verification; older ones make room. */
const sampleLimit = 1_000

/** Watches the workload like `rollout status`, then through the settle time, until it can be judged. */
export const verify =
  ({ db, store, cluster, sleep, nowMs }: ExecutionDeps): ExecutionSteps['verify'] =>
  async ({ id, digest, startMs, settleMs, timeoutMs }) => {
    const stored = await store.beginVerifying(db, id, digest)
    if (!stored) throw new Failure('missing', 'plan_missing', `remediation \`${id}\` has no plan \`${digest}\``)
    const { plan, baseline } = stored

    const samples: Sample[] = []
    for (;;) {
      samples.push({ atMs: nowMs(), settled: await cluster.health(plan) })
      if (samples.length > sampleLimit) samples.shift()
      const { verdict, evidence } = actionRules[plan.action].verdict(plan as never, baseline, samples, { settleMs, timeoutMs, startMs, nowMs: nowMs() })
      if (verdict !== 'not_yet') return { verdict, evidence, summary: `${verdict}: ${evidence}` }
      // Bound: at `timeoutMs` the rule above has to say something else than `not_yet`.
      await sleep(sampleEveryMs)
    }
  }
