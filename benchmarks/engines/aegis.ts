/** The same policies as Aegis documents, and whole decisions: request checked and digested, obligations merged, explanation built. */
import { wallClock, zoneExists } from '../../adapters/policies/zones.ts'
import { sha256Hex } from '../../adapters/signing.ts'
import { decide } from '../../domain/policy/decide.ts'
import { days } from '../../domain/policy/document.ts'
import type { PolicyInput } from '../../domain/policy/input.ts'
import { parsePolicy } from '../../domain/policy/parse.ts'
import { compileSnapshot } from '../../domain/policy/snapshot.ts'
import { severities } from '../../domain/remediation.ts'
import type { Loaded } from './engine.ts'
import type { Outcome, Policy, Request, Scope, Window } from './workload.ts'

export function load(policies: readonly Policy[]): Loaded<PolicyInput> {
  const documents = policies.map((policy) => {
    const { policy: document, problems } = parsePolicy(documentOf(policy), { zoneExists })
    if (!document) throw new Error(JSON.stringify(problems))
    return document
  })
  const snapshot = compileSnapshot(documents, { sha256: sha256Hex, wallClock })
  return { prepare: inputOf, decide: (input) => outcomes[decide(snapshot, input).code] ?? 'refused' }
}

const outcomes: Partial<Record<string, Outcome>> = { allowed: 'allow', explicit_deny: 'deny', no_policy_matched: 'none' }

/** Roles of the workload are not Aegis's own, so they come as a fact. */
export const documentOf = ({ id, effect, priority, actions, scope, roles, severity, window }: Policy): unknown => ({
  apiVersion: 'aegis.dev/policy/v1',
  id,
  effect,
  priority,
  actions: [...new Set(actions)],
  resources: [resourceOf(scope)],
  when: {
    all: [{ attr: 'context.role', op: 'in', value: roles }, { attr: 'context.severity', op: 'gte', value: severities[severity] }, timeOf(window)],
  },
})

/** `*` of the workload, any text with slashes, is `**` here. */
function resourceOf({ cluster = '*', namespace = '*', kind = '*', name = '*' }: Scope): string {
  const glob = [cluster, namespace, kind, name].join('/').replace(/(\/\*)+$/, '/**')
  return glob === '*/**' ? '**' : `k8s:${glob}`
}

/** A window that never opens cannot be said in Aegis, which takes it for a slip; a condition that never holds can. */
function timeOf({ days: on, from, to }: Window): unknown {
  if (from === to) return { any: [] }
  return { time: { zone: 'UTC', windows: [{ days: on.map((day) => days[(day + 6) % 7]), from: clock(from), to: clock(to) }] } }
}

const clock = (minutes: number): string => `${String(minutes / 60).padStart(2, '0')}:00`

/** A Sunday. */
const weekStart = Date.UTC(2026, 0, 4)

export const inputOf = ({ action, cluster, namespace, kind, name, role, severity, day, minute }: Request): PolicyInput => ({
  principal: { id: 'watcher', kind: 'service', owner: 'platform', roles: ['service'] },
  action,
  resource: `k8s:${cluster}/${namespace}/${kind}/${name}`,
  type: 'self_healing',
  context: { role, severity: severities[severity] ?? null },
  request: {},
  target: {},
  history: {},
  approvals: [],
  now: weekStart + (day * 1440 + minute) * 60_000,
  tzdata: process.versions['tz'] ?? '',
})
