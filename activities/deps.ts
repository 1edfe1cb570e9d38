import type { Knex } from 'knex'
import type { ClusterExecutor, ClusterReader } from '../adapters/kubernetes/cluster.ts'
import type { PolicySource } from '../adapters/policies/published.ts'
import type { Signer } from '../adapters/signing.ts'
import type { Sha256 } from '../domain/digest.ts'
import type { BreakerRules } from '../domain/guards/breaker.ts'
import type { DisruptionRules } from '../domain/guards/disruption.ts'
import type { SurroundingRules } from '../domain/guards/surroundings.ts'
import type { ConcurrencyRule, FlapRule, LimitRule } from '../domain/limits.ts'
import type { Mode, Target } from '../domain/remediation.ts'
import type { LostRun } from '../domain/settlement.ts'
import type { VerifySignature } from '../domain/warrant.ts'
import type { Timing } from './results.ts'

/** The repository functions, each of which takes the database first. */
export type Store = typeof import('../adapters/postgres/store.ts')

export type Recorded = { db: Knex; store: Store }

/** What holds whatever policy says. */
export type GuardRules = SurroundingRules & {
  disruption: DisruptionRules
  flap: FlapRule
  /** Nothing acts by itself on a workload this soon after its last effect. 0 switches it off. */
  afterActionMs: number
  breaker: BreakerRules
}

export type DecisionDeps = Recorded & {
  /** Throws a `Failure` for a cluster this worker was not told of. */
  clusters(name: string): ClusterReader
  policies: PolicySource
  signer: Signer
  sha256: Sha256
  freshId(): string
  freshNonce(): string
  /** What Temporal itself says of a remediation's run. */
  runOf(id: string): Promise<LostRun | 'running'>
  /** A person has to look now: said to the log and counted, for alerts go by that. */
  page(because: { id: string; reason: string; message: string }): void
  settings: {
    /** The strictest of the global mode and the namespace's own. */
    modeOf(namespace: string): Mode
    limits: readonly LimitRule[]
    concurrency: readonly ConcurrencyRule[]
    /** Whether a target is in production; nowhere unless a setting says so. */
    isProduction(target: Pick<Target, 'cluster' | 'namespace'>): boolean
    /** Where Aegis may act; empty means nowhere. */
    namespaces: readonly string[]
    guards: GuardRules
    timing: Timing
    approvalTimeoutMs: number
    /** So long a new allow policy only suggests. 0: not at all. */
    policyTrialMs: number
    tzdata: string
  }
}

export type ExecutionDeps = Recorded & {
  cluster: ClusterExecutor
  verify: VerifySignature
  sha256: Sha256
  keyedDigest(text: string): string
  allowedNamespaces: readonly string[]
  sleep(ms: number): Promise<void>
  nowMs(): number
}
