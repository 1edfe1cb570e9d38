import type { Knex } from 'knex'
import type { Logger } from '../adapters/log.ts'
import { Counter, Histogram, type Registry } from '../adapters/metrics.ts'
import { recordStep } from '../adapters/postgres/steps.ts'
import type { StepHooks } from '../activities/interceptor.ts'

/** Well within the 5 s after which a worker that says nothing is taken for lost. */
const heartbeatEveryMs = 2_000

/** What happens around every step: its ledger entry, its metrics, a log line when it fails. */
export function stepHooks(db: Knex, log: Logger, registry: Registry): StepHooks {
  const seconds = new Histogram({
    name: 'aegis_step_duration_seconds',
    help: 'Time of one attempt of a step, by its result',
    labelNames: ['step', 'result'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120],
    registers: [registry],
  })
  const failures = new Counter({
    name: 'aegis_step_failures_total',
    help: 'Attempts of a step that failed, by code',
    labelNames: ['step', 'code'],
    registers: [registry],
  })
  return {
    heartbeatEveryMs,
    onEnd({ step, result, startedAt, endedAt }) {
      seconds.observe({ step, result }, (endedAt.getTime() - startedAt.getTime()) / 1000)
    },
    record: (attempt) => recordStep(db, attempt),
    onFailure(attempt, failure) {
      failures.inc({ step: attempt.step, code: attempt.code ?? 'unexpected' })
      log.warn({ err: failure, id: attempt.id, step: attempt.step, attempt: attempt.attempt, code: attempt.code }, 'step failed')
    },
  }
}
