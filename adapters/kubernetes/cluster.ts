import type { Observation } from '../../domain/actions/observation.ts'
import type { AttemptRead } from '../../domain/actions/situation.ts'
import type { Settled } from '../../domain/health.ts'
import type { Plan, PreflightCard, Refusal } from '../../domain/plan.ts'
import type { EffectPhase, Target } from '../../domain/remediation.ts'
import type { WorkloadFacts } from '../../domain/watch/facts.ts'

/** Decision side: reads only, under the observer's identity. Every call throws `unavailable` or `forbidden`. */
export type ClusterReader = {
  name: string
  /** Looks at the target now and resolves its owner chain. Undefined: there is no such object. */
  observe(target: Target): Promise<Observation | undefined>
  /** One level-based look at what the plan acted on, for verification. */
  health(plan: Plan): Promise<Settled>
  /** Every workload there is, as it was at most 10 s ago: what guards that look around go by. */
  crowd(): Promise<WorkloadFacts[]>
}

/** Execution side: the only holder of write rights. Every call carries the connection's User-Agent and timeout. */
export type ClusterExecutor = ClusterReader & {
  /** Checks the plan against the cluster under the identity that will act. Changes nothing. */
  preflight(plan: Plan, options: PreflightOptions): Promise<PreflightCard & { refusal: Refusal | null }>
  /** The attempt's single read of the target. */
  read(plan: Plan): Promise<AttemptRead>
  /**
   * One mutation with the UID and resourceVersion of `read`, the stamp in the same write. Takes the
   * very object `read` gave. Throws `unavailable` when it may or may not have landed, and
   * `missing/revision_gone` when nothing was sent because the pinned revision is not there any more.
   */
  send(plan: Plan, phase: EffectPhase, remediationId: string, read: AttemptRead): Promise<SendResult>
  /** Moves resourceVersion with a stamp so that a late call fails. A pod that is gone or terminating needs none. */
  fence(plan: Plan, remediationId: string, mark: 'abandoned' | 'undone', read: AttemptRead): Promise<FenceResult>
}

export type PreflightOptions = {
  /** Already resolved for this cluster; empty means none. */
  allowedNamespaces: readonly string[]
  keyedDigest: (text: string) => string
  remediationId: string
}

export type SendResult =
  | { sent: 'applied'; resourceVersion: string | null }
  /** Stale, or the pod is gone: start the attempt over with a new read. */
  | { sent: 'conflict' }
  /** The name belongs to a different object now. */
  | { sent: 'other_object' }
  | SendRefused

/** The API server said no, so nothing changed. Codes: `pdb_exhausted`, `pdb_ambiguous`, `throttled`, `forbidden`, `frozen`, `admission_denied`, `invalid`. */
export type SendRefused = { sent: 'refused'; code: string; message: string; retryable: boolean; retryAfterMs: number | null }

export type FenceResult = 'fenced' | 'conflict' | 'gone'
