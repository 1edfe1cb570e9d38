import type { Mode } from '../remediation.ts'

/** The ladder has one place for each of these. */
export type LadderKey = { policy: string; cluster: string; namespace: string }

/**
 * How far one policy may go in one namespace of one cluster. Only the newest of a place stands; it caps and grants
 * nothing, so `auto` is no cap, and neither is a place without any.
 */
export type Rung = LadderKey & {
  mode: Mode
  kind: 'demoted' | 'promoted'
  /** People's own words; of an automatic demotion, how the remediation ended. */
  reason: string
  /** Whose bad outcome it was; null: a person's step. */
  remediationId: string | null
  by: string
  at: string
}

/** For people: who or what put it there. */
export function rungText({ policy, cluster, namespace, mode, kind, reason, remediationId, by }: Rung): string {
  const why = remediationId === null ? `by ${by}: ${reason}` : `after ${reason}`
  return `policy \`${policy}\` was ${kind} to \`${mode}\` in ${cluster}/${namespace} ${why}`
}
