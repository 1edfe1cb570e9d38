import type { Mode, Role } from '../remediation.ts'
import type { RequestType } from './input.ts'

export const apiVersion = 'aegis.dev/policy/v1'

export const effects = ['allow', 'deny', 'require_approval'] as const
export type Effect = (typeof effects)[number]

/** Shadow policies are evaluated and recorded, and never count. */
export const enforcements = ['enforce', 'shadow', 'disabled'] as const
export type Enforcement = (typeof enforcements)[number]

export const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
export type Day = (typeof days)[number]

export type Scalar = string | number | boolean
export const operators = [
  'eq', 'ne', 'in', 'nin', 'gt', 'gte', 'lt', 'lte', 'between', 'exists', 'absent', 'prefix', 'suffix',
  'contains', 'containsAny', 'containsAll', 'subsetOf', 'glob', 'cidr',
] as const
export type Operator = (typeof operators)[number]

export type AttributeLeaf = { attr: string; op: Operator; value?: Scalar | Scalar[] }

/** Times of day as `HH:MM`; `from` inclusive, `to` exclusive; `to` before `from` wraps past midnight. */
export type Window = { days: Day[]; from: string; to: string } | { days: Day[]; allDay: true }
export type TimeLeaf = { time: { zone: string; windows: Window[] } | { zone: string; from: string; to: string } }

/** An expression in CEL, for what no operator says. Nothing but itself can look into it. */
export type ExpressionLeaf = { cel: string }

export type Leaf = AttributeLeaf | TimeLeaf | ExpressionLeaf
export type Condition = Leaf | { all: Condition[] } | { any: Condition[] } | { not: Condition }

/** Durations are text such as `15m`. What is absent asks for nothing. */
export type DocumentObligations = {
  minApprovals?: number
  approverGroups?: string[]
  approverRoles?: Role[]
  approvalTtl?: string
  maxReplicas?: number
  maxPercent?: number
  ttl?: string
  cooldown?: string
  dryRunFirst?: boolean
  verifyAfter?: boolean
  rollbackOnFailure?: boolean
  undoOn?: 'same'[]
  notify?: string[]
}

/**
 * A policy as read: checked, with every default filled in and every alias spelled out. It is a
 * document again, and reading it once more gives the same value.
 */
export type PolicyDocument = {
  apiVersion: typeof apiVersion
  id: string
  name: string
  effect: Effect
  enforcement: Enforcement
  /** Autonomy this policy grants at most. */
  mode: Mode
  type: RequestType[]
  priority: number
  actions: string[]
  resources: string[]
  when: Condition
  unless: Condition
  obligations: DocumentObligations
  validity: { notBefore: string | null; notAfter: string | null }
  message: string | null
  owner: string | null
  labels: Record<string, string>
}
