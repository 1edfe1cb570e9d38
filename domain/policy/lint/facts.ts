/**
 * The facts Aegis gives (`policyInput`, and the table in docs/policy.md), for which actions it always gives
 * them, and the words of those that have few.
 */
import { doors, faultClasses, policyAction, roles, severities } from '../../remediation.ts'
import { requestTypes } from '../input.ts'
import { actionAliases } from '../names.ts'
import { parseAttribute } from '../path.ts'

/** What Aegis carries out. */
export const ownActions: readonly string[] = Object.values(policyAction)

/** What some spelling of an action names, carried out by Aegis or not. */
export const knownActions: readonly string[] = [...new Set([...ownActions, ...Object.values(actionAliases)])]

export type FactType = 'text' | 'number' | 'list' | 'any'

export type KnownFact = {
  type: FactType
  /** The actions of Aegis for which it is always there. */
  guaranteed: readonly string[]
  /** All it can be; left out where that is open. */
  words?: readonly string[]
}

const always = ownActions
const scaling = [policyAction.scale_deployment]
const text = (words?: readonly string[]): KnownFact => ({ type: 'text', guaranteed: always, ...(words ? { words } : {}) })
const number = (guaranteed: readonly string[] = always): KnownFact => ({ type: 'number', guaranteed })

const known: Readonly<Record<string, KnownFact>> = {
  action: text(), resource: text(), type: text(requestTypes),
  'principal.id': text(), 'principal.owner': text(), 'principal.kind': text(['person', 'service', 'key']),
  'principal.roles': { type: 'list', guaranteed: always, words: roles },
  'context.severity': text(severities), 'context.door': text(doors), 'context.fault': text(['none', ...faultClasses]),
  'context.cluster': text(), 'context.namespace': text(), 'context.attempt': number(),
  'context.workload': { type: 'any', guaranteed: always }, 'context.workload.kind': text(), 'context.workload.name': text(),
  'context.labels': { type: 'any', guaranteed: [] }, 'context.namespaceLabels': { type: 'any', guaranteed: [] },
  'context.unread': { type: 'list', guaranteed: [], words: ['namespaceLabels'] },
  'request.undo': text(['planned', 'none']), 'request.percentOfReady': number(),
  'request.replicas': number(scaling), 'request.deltaReplicas': number(scaling), 'request.revision': number([policyAction.rollback_deployment]),
  ...Object.fromEntries(['desired', 'ready', 'available', 'updated', 'failing', 'restarts'].map((name) => [`target.${name}`, number()])),
  'target.errorBudget': { type: 'text', guaranteed: always, words: ['exhausted', 'unsaid'] },
  'target.faults': { type: 'list', guaranteed: always, words: faultClasses },
  'history.sinceLastActionMs': number([]),
}

const open: readonly string[] = ['context.labels', 'context.namespaceLabels']
const historyScopes = ['workload', 'namespace', 'action']
const historyWindows = ['5m', '1h', '24h']
const historyCounts = ['effects', 'bad']

/** Undefined for what Aegis never gives. */
export function knownFact(attr: string): KnownFact | undefined {
  const keys = parseAttribute(attr) ?? []
  const name = keys.join('.')
  if (Object.hasOwn(known, name)) return known[name]
  if (keys.length === 3 && open.includes(keys.slice(0, 2).join('.'))) return { type: 'text', guaranteed: [] }
  const [root, scope = '', window = '', count = ''] = keys
  const counted = root === 'history' && keys.length === 4 && historyScopes.includes(scope) && historyWindows.includes(window) && historyCounts.includes(count)
  return counted ? number() : undefined
}

/** The names a misspelt one may have meant, the likeliest first. */
export const factNames: readonly string[] = [...Object.keys(known), 'history.workload["5m"].effects']

/** Whether a value is of the type that Aegis gives the fact in. */
export function isOfType(value: unknown, { type }: KnownFact): boolean {
  if (type === 'list') return Array.isArray(value)
  return type === 'any' ? value !== undefined : typeof value === (type === 'text' ? 'string' : 'number')
}
