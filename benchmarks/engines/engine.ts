import type { Outcome, Policy, Request } from './workload.ts'

/** What an engine answers; `refused`: it does not tell a deny from no policy at all. */
export type Answer = Outcome | 'refused'

/** A set of policies, ready to be asked. Only `decide` is timed. */
export type Loaded<Prepared = unknown> = {
  /** The request as the engine wants it. */
  prepare(request: Request): Prepared
  decide(prepared: Prepared): Answer | Promise<Answer>
}

export type Load = (policies: readonly Policy[]) => Loaded | Promise<Loaded>

/** `yes`: every policy that made the answer is named by the engine itself; `one rule`: one of them. */
export type Explanation = 'yes' | 'one rule' | 'no'

export type Features = {
  explanation: Explanation
  /** A deny that cannot be evaluated, for a fact is missing, still denies. */
  unknownSafe: boolean
  /** Can ask for approvals, and say what must hold besides. */
  obligations: boolean
}
