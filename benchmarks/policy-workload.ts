/**
 * A made-up estate: 24 actions, 4 clusters, 50 namespaces, 40 applications, policies with roles,
 * severities and time windows in four zones. The same seed gives the same estate everywhere.
 */
import { createHash } from 'node:crypto'
import { wallClock, zoneExists } from '../adapters/policies/zones.ts'
import { days } from '../domain/policy/document.ts'
import type { PolicyInput } from '../domain/policy/input.ts'
import { parsePolicy } from '../domain/policy/parse.ts'
import { compileSnapshot, type PolicySnapshot } from '../domain/policy/snapshot.ts'
import { severities } from '../domain/remediation.ts'
import { draws, type Draw } from './draws.ts'

const kinds = ['pod', 'deployment', 'statefulset', 'node', 'pvc', 'user', 'policy', 'alert']
const verbs = ['restart', 'scale', 'delete']
const objectKinds = ['pod', 'deployment', 'statefulset', 'node', 'pvc']
const roles = ['admin', 'user', 'approver', 'auditor', 'service'] as const
const zones = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'UTC']

const clock = (minutes: number): string => `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`

function action({ chance, pick }: Draw): string[] {
  const shape = chance()
  const one = (): string => `${pick(kinds)}:${pick(verbs)}`
  if (shape < 0.6) return [one()]
  if (shape < 0.85) return [...new Set([one(), one()])]
  return [shape < 0.95 ? `${pick(kinds)}:*` : '*']
}

function resource(place: number, { chance, below, pick }: Draw): string {
  const cluster = `c${below(4)}`
  const namespace = `ns${below(50)}`
  const shape = chance()
  if (place % 10 === 0) return shape < 0.5 ? 'k8s:**' : `k8s:${cluster}/**`
  if (shape < 0.4) return `k8s:${cluster}/${namespace}/**`
  if (shape < 0.7) return `k8s:*/${namespace}/${pick(objectKinds)}/**`
  return shape < 0.9 ? `k8s:${cluster}/${namespace}/${pick(objectKinds)}/app-${below(40)}` : `k8s:${cluster}/**`
}

function window({ chance, below }: Draw) {
  const shape = chance()
  const chosen = shape < 0.5 ? days.slice(0, 5) : shape < 0.8 ? days : days.slice(5)
  const from = (1 + below(22)) * 60
  return { days: chosen, from: clock(from), to: clock(chance() < 0.2 ? 0 : from + 60) }
}

export type EstateDocument = ReturnType<typeof document>

function document(place: number, draw: Draw) {
  const effect = draw.chance() < 0.25 ? 'deny' : draw.chance() < 0.15 ? 'require_approval' : 'allow'
  return {
    apiVersion: 'aegis.dev/policy/v1',
    id: `p${place}`,
    effect,
    priority: draw.below(1000),
    actions: action(draw),
    resources: [resource(place, draw)],
    when: {
      all: [
        { attr: 'principal.roles', op: 'containsAny', value: [draw.pick(roles), draw.pick(roles)] },
        { attr: 'context.severity', op: 'gte', value: draw.pick(severities) },
        { time: { zone: draw.pick(zones), windows: [window(draw)] } },
      ],
    },
    obligations: effect === 'deny' ? {} : { maxReplicas: 5 + draw.below(20), ttl: '10m' },
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

export function estateDocuments(policies: number): EstateDocument[] {
  const draw = draws(42)
  return Array.from({ length: policies }, (_, place) => document(place, draw))
}

export function compiled(documents: readonly unknown[]): PolicySnapshot {
  const read = documents.map((each) => {
    const { policy, problems } = parsePolicy(each, { zoneExists })
    if (!policy) throw new Error(JSON.stringify(problems))
    return policy
  })
  return compileSnapshot(read, { sha256, wallClock })
}

export const estate = (policies: number): PolicySnapshot => compiled(estateDocuments(policies))

const newYear = Date.UTC(2026, 0, 1)

/** One in twenty lacks its severity; `now` is anywhere in one year. Drawn one by one: any number of them takes no memory. */
export function* drawnRequests(count: number): Generator<PolicyInput> {
  const draw = draws(7)
  for (let drawn = 0; drawn < count; drawn++) yield request(draw)
}

export const requests = (count: number): PolicyInput[] => [...drawnRequests(count)]

const request = (draw: Draw): PolicyInput => ({
  principal: { id: 'watcher', kind: 'service', owner: 'platform', roles: [draw.pick(roles)] },
  action: `${draw.pick(kinds)}:${draw.pick(verbs)}`,
  resource: `k8s:c${draw.below(4)}/ns${draw.below(50)}/${draw.pick(objectKinds)}/app-${draw.below(40)}`,
  type: 'self_healing',
  context: { door: 'watcher', fault: 'none', ...(draw.chance() < 0.05 ? {} : { severity: draw.pick(severities) }) },
  request: { replicas: draw.below(20), deltaReplicas: 2, percentOfReady: 0, undo: 'planned' },
  target: { desired: 3, ready: 2, failing: 1 },
  history: { sinceLastActionMs: null },
  approvals: [],
  now: newYear + draw.below(365 * 1440) * 60_000,
  tzdata: process.versions['tz'] ?? '',
})
