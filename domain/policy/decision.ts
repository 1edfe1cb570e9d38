import type { Mode } from '../remediation.ts'
import type { ApprovalState } from './approvals.ts'
import type { FailedLeaf } from './condition.ts'
import type { Effect } from './document.ts'
import type { Breach, Obligations } from './obligations.ts'

/** Why, for programs. The first five let something happen; the rest deny. */
export type DecisionCode =
  | 'allowed'
  | 'approved' // people were asked, and enough of them said yes
  | 'break_glass' // people were asked, and somebody opened the emergency door instead
  | 'approval_required'
  | 'approval_indeterminate' // an approval policy could not be evaluated, so its question stands
  | 'explicit_deny'
  | 'deny_indeterminate' // a deny could not be evaluated, so it stands
  | 'no_policy_matched'
  | 'malformed_request'
  | 'policy_stale' // the caller's: the snapshot is too old to trust
  | 'engine_error'

/** A policy that took part, by id and content hash, with the patterns that brought it in. */
export type Participant = {
  id: string
  hash: string
  effect: Effect
  priority: number
  truth: true | 'unknown'
  action: string
  resource: string
  /** For an unknown one: the leaves that could not be answered. */
  unknown: FailedLeaf[]
}

export type Excepted = { id: string; policy: string; until: string; reason: string; author: string; approvedBy: string }

export type NearMiss = { id: string; hash: string; effect: Effect; truth: false | 'unknown'; failed: FailedLeaf[] }

/** Plain data: stored whole in the ledger. Times are epoch milliseconds. */
export type Decision = {
  effect: Effect
  code: DecisionCode
  /** The primary policy's own words, else what the engine has to say. */
  reason: string
  /** One sentence for people that also names the policy. */
  message: string
  /** `id@` and the first twelve digits of the content hash. */
  primary: string | null
  /** All policies of the winning class, priority falling, then id. */
  determining: Participant[]
  /** Those that permit, or might: their obligations and modes are merged. */
  binding: { id: string; mode: Mode }[]
  /** Policies that matched and lost, as `id@hash`. */
  overridden: string[]
  /** Policies for this action and resource that did not match, and why; at most ten. */
  nearMisses: NearMiss[]
  /** Exceptions because of which a policy does not hold for this request, until when, and who agreed. */
  excepted: Excepted[]
  /** What shadow policies would have said. They never count. */
  shadow: Participant[]
  obligations: Obligations
  /** Which policies asked for each merged obligation that asks for something. */
  obligationSources: Partial<Record<keyof Obligations, string[]>>
  /** Bounds this very request breaks. Not empty means: must not be carried out. */
  breaches: Breach[]
  /** The strictest mode among the policies whose obligations were merged; `auto` when none caps it. */
  mode: Mode
  /** Where the approvals of the input stand; at least one is asked for whenever people are asked. */
  approvals: ApprovalState
  /** From here on ask again: a time window turns, a policy or an exception begins or ends, a ttl is over, or an approval lapses. */
  validUntil: number | null
  snapshot: string
  inputDigest: string | null
  now: number
  tzdata: string
  policies: number
  candidates: number
}
