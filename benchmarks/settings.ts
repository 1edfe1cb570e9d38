import { join } from 'node:path'
import { openGuards } from '../sandbox/open-guards.ts'
import { checkout } from '../sandbox/setup/programs.mjs'
import type { BenchRow } from './report.ts'

/**
 * What differs from a fresh install. The limits exist to hold a fleet back and the settle time to be
 * sure; here they would be all that is measured. The cap on work before the mutation stays as it is.
 */
export const settings = {
  ...openGuards,
  AEGIS_MODE: 'auto',
  AEGIS_NAMESPACES: 'bench-*',
  AEGIS_POLICY_DIRECTORY: join(checkout, 'benchmarks/policies'),
  AEGIS_LIMITS: 'scale_deployment=10000/60s',
  AEGIS_HTTP_LIMITS: 'principal=1000000/1s,route=1000000/1s',
  AEGIS_CONCURRENCY_PER_CLUSTER: '1000',
  AEGIS_CONCURRENCY_PER_NAMESPACE: '100',
  AEGIS_SETTLE_MS: '500',
  AEGIS_DEADLINE_MS: '3600000',
}

const name = 'limits raised for this run'

/** The raised limits beside their defaults, as part of every report. */
export const settingRows: BenchRow[] = [
  { case: name, metric: 'scale_deployment per namespace and minute', value: 10_000, unit: '(10 by default)' },
  { case: name, metric: 'at work at once in the cluster', value: 1_000, unit: '(10 by default)' },
  { case: name, metric: 'at work at once in a namespace', value: 100, unit: '(3 by default)' },
  { case: name, metric: 'settle time of a verification', value: 500, unit: 'ms (10,000 by default)' },
]
