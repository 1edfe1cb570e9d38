import type { Role, Verdict } from '../remediation.ts'
import { parseDuration } from './calendar.ts'
import type { PolicyDocument } from './document.ts'
import type { PolicyInput } from './input.ts'

/**
 * What must hold for an action to be carried out as allowed. An executor that does not know one of
 * these keys must not act (`unknownObligations`).
 */
export type Obligations = {
  /** Approvals by distinct people; 0 asks for none. */
  minApprovals: number
  /** Each of these must be among the approvers' groups, and each role among their roles. */
  approverGroups: string[]
  approverRoles: Role[]
  /** How long an approval is waited for and stays good. */
  approvalTtlMs: number | null
  /** How long the decision may be used. */
  ttlMs: number | null
  maxReplicas: number | null
  /** Of the workload's ready pods. */
  maxPercent: number | null
  /** Time since the last action on the same workload. */
  cooldownMs: number
  dryRunFirst: boolean
  verifyAfter: boolean
  /** Verdicts, besides `worse`, after which the action is taken back. */
  undoOn: Extract<Verdict, 'same'>[]
  notify: string[]
}

/** Asks for nothing; merging it in changes nothing. */
export const noObligations: Obligations = Object.freeze({
  minApprovals: 0,
  approverGroups: [],
  approverRoles: [],
  approvalTtlMs: null,
  ttlMs: null,
  maxReplicas: null,
  maxPercent: null,
  cooldownMs: 0,
  dryRunFirst: false,
  verifyAfter: false,
  undoOn: [],
  notify: [],
})

const least = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.min(a, b))
const union = <T extends string>(a: T[], b: T[]): T[] => [...new Set([...a, ...b])].sort()

/** The stricter of each. Order and repetition do not matter. */
export const mergeObligations = (a: Obligations, b: Obligations): Obligations => ({
  minApprovals: Math.max(a.minApprovals, b.minApprovals),
  approverGroups: union(a.approverGroups, b.approverGroups),
  approverRoles: union(a.approverRoles, b.approverRoles),
  approvalTtlMs: least(a.approvalTtlMs, b.approvalTtlMs),
  ttlMs: least(a.ttlMs, b.ttlMs),
  maxReplicas: least(a.maxReplicas, b.maxReplicas),
  maxPercent: least(a.maxPercent, b.maxPercent),
  cooldownMs: Math.max(a.cooldownMs, b.cooldownMs),
  dryRunFirst: a.dryRunFirst || b.dryRunFirst,
  verifyAfter: a.verifyAfter || b.verifyAfter,
  undoOn: union(a.undoOn, b.undoOn),
  notify: union(a.notify, b.notify),
})

const durationMs = (text: string | undefined): number | null => (text === undefined ? null : (parseDuration(text) ?? null))

/** What one document asks for. `rollbackOnFailure` is another word for undoing what did not help. */
export function obligationsOf({ effect, obligations: given }: PolicyDocument): Obligations {
  const { approvalTtl, ttl, cooldown, rollbackOnFailure, undoOn = [], ...same } = given
  return {
    ...noObligations,
    ...same,
    minApprovals: effect === 'require_approval' ? (given.minApprovals ?? 1) : 0,
    approvalTtlMs: durationMs(approvalTtl),
    ttlMs: durationMs(ttl),
    cooldownMs: durationMs(cooldown) ?? 0,
    undoOn: rollbackOnFailure ? union(undoOn, ['same']) : undoOn,
  }
}

/** Keys this version cannot honour. Not empty means: do not execute. */
export const unknownObligations = (obligations: object): string[] =>
  Object.keys(obligations).filter((key) => !Object.hasOwn(noObligations, key))

/** A bound that the request itself breaks. */
export type Breach = { obligation: keyof Obligations; limit: number; actual: number | null; message: string }

/** A fact that is missing breaks its bound: what cannot be checked is not within it. */
export function breaches(obligations: Obligations, { action, request, history }: PolicyInput): Breach[] {
  const { maxReplicas, maxPercent, cooldownMs } = obligations
  const found: Breach[] = []
  if (maxReplicas !== null && action.endsWith(':scale')) found.push(...above('maxReplicas', maxReplicas, request['replicas'], 'replicas'))
  if (maxPercent !== null) found.push(...above('maxPercent', maxPercent, request['percentOfReady'], '% of the ready pods'))
  const since = history['sinceLastActionMs']
  if (cooldownMs > 0 && since !== null && !(typeof since === 'number' && since >= cooldownMs)) {
    const actual = typeof since === 'number' ? since : null
    found.push({ obligation: 'cooldownMs', limit: cooldownMs, actual, message: cooldownMessage(cooldownMs, actual) })
  }
  return found
}

function above(obligation: 'maxReplicas' | 'maxPercent', limit: number, given: unknown, unit: string): Breach[] {
  const actual = typeof given === 'number' && Number.isFinite(given) ? given : null
  if (actual !== null && actual <= limit) return []
  const asked = actual === null ? 'the number asked for is not known' : `${Number(actual.toFixed(2))} asked for`
  return [{ obligation, limit, actual, message: `at most ${limit} ${unit} allowed, ${asked}` }]
}

const cooldownMessage = (limit: number, actual: number | null): string =>
  actual === null
    ? `${limit / 1000} s must pass between actions here, and the last one's time is not known`
    : `${limit / 1000} s must pass between actions here, ${Math.floor(actual / 1000)} s have`
