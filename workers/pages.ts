import type { DecisionDeps } from '../activities/deps.ts'
import type { Logger } from '../adapters/log.ts'
import { Counter, type Registry } from '../adapters/metrics.ts'

/** Reasons are few and fixed; the remediation is in the log. */
export function pager(log: Logger, registry: Registry): DecisionDeps['page'] {
  const pages = new Counter({ name: 'aegis_pages_total', help: 'Times a person has to look, by reason', labelNames: ['reason'], registers: [registry] })
  return ({ id, reason, message }) => {
    pages.inc({ reason })
    log.error({ id, reason }, `a person has to look: ${message}`)
  }
}
