import type { CurrentPolicies } from '../adapters/policies/published.ts'
import type { Matched, Unmatched } from '../domain/rules/apply.ts'
import type { AlertSignal } from '../domain/rules/rule.ts'

/** The policies in force, whether they are too old to trust, and why a newer edit is not in use. */
export type Policies = () => CurrentPolicies

/** The rule file, applied. */
export type AlertRules = (signal: AlertSignal) => Matched | Unmatched
