/**
 * The policies and requests that every engine is asked, in terms all of them have: equality, lists and numbers. Rebuilt
 * from seeds, in a fixed order of draws; `published` says what must come out, so that a slip in either is noticed.
 */
import { draws, type Draw } from '../draws.ts'

/** What is left out may be anything. */
export type Scope = { cluster?: string; namespace?: string; kind?: string; name?: string }

/** Days count from Sunday as 0, minutes from midnight. `to` before `from` passes midnight and belongs to the day it starts on; equal never opens. */
export type Window = { days: number[]; from: number; to: number }

/** Applies where action, scope, role, severity (at least, 0 to 4) and window all fit. */
export type Policy = {
  id: string
  effect: 'allow' | 'deny'
  /** `kind:verb`, `kind:*` or `*`. */
  actions: string[]
  scope: Scope
  roles: string[]
  severity: number
  window: Window
  priority: number
}

export type Request = {
  action: string
  cluster: string
  namespace: string
  kind: string
  name: string
  role: string
  severity: number
  day: number
  minute: number
}

/** Any deny wins; `none`: no policy applies, which denies too. */
export type Outcome = 'allow' | 'deny' | 'none'

export const sizes = [10, 100, 1_000, 10_000] as const
export const requestCount = 10_000

/** How the requests come out under the first so many policies. */
export const published: Record<(typeof sizes)[number], Record<Outcome, number>> = {
  10: { allow: 14, deny: 0, none: 9_986 },
  100: { allow: 182, deny: 79, none: 9_739 },
  1_000: { allow: 1_759, deny: 1_044, none: 7_197 },
  10_000: { allow: 3_460, deny: 5_768, none: 772 },
}

const kinds = ['pod', 'deployment', 'statefulset', 'node', 'pvc', 'user', 'policy', 'alert']
export const verbs = ['restart', 'scale', 'delete']
export const actions = kinds.flatMap((kind) => verbs.map((verb) => `${kind}:${verb}`))
const objectKinds = ['pod', 'deployment', 'statefulset', 'node', 'pvc']
const roles = ['admin', 'sre', 'operator', 'auditor', 'service', 'developer', 'viewer', 'oncall']

export function policies(count: number): Policy[] {
  const draw = draws(42)
  return Array.from({ length: count }, (_, place) => policy(place, draw))
}

/** The order of the draws is part of the workload. */
function policy(place: number, draw: Draw): Policy {
  const effect = draw.chance() < 0.75 ? 'allow' : 'deny'
  const chosen = policyActions(draw)
  const scope = policyScope(place, draw)
  return { id: `p${place}`, effect, actions: chosen, scope, roles: someRoles(draw), window: window(place, draw), severity: draw.below(5), priority: draw.below(1000) }
}

function policyActions({ chance, pick }: Draw): string[] {
  const shape = chance()
  if (shape < 0.6) return [pick(actions)]
  if (shape < 0.85) return [pick(actions), pick(actions)]
  return [shape < 0.95 ? `${pick(kinds)}:*` : '*']
}

function policyScope(place: number, { chance, below, pick }: Draw): Scope {
  const shape = chance()
  const [cluster, namespace, kind, name] = [`c${below(4)}`, `ns${below(50)}`, pick(objectKinds), `app-${below(40)}`]
  if (place % 10 === 0) return shape < 0.5 ? {} : { cluster }
  if (shape < 0.4) return { cluster, namespace }
  if (shape < 0.7) return { namespace, kind }
  return shape < 0.9 ? { cluster, namespace, kind, name } : { cluster }
}

function someRoles({ below, pick }: Draw): string[] {
  const count = 1 + below(3)
  const chosen = new Set<string>()
  while (chosen.size < count) chosen.add(pick(roles))
  return [...chosen]
}

function window(place: number, { chance, below }: Draw): Window {
  const shape = chance()
  const days = shape < 0.5 ? [1, 2, 3, 4, 5] : shape < 0.8 ? [0, 1, 2, 3, 4, 5, 6] : [6, 0]
  const wraps = chance() < 0.2
  const start = below(place % 10 === 0 ? 8 : 24)
  const end = wraps ? below(Math.max(1, start)) : start + 1 + below(24 - start)
  return { days, from: start * 60, to: end * 60 }
}

export function requests(): Request[] {
  const { below, pick } = draws(7)
  return Array.from({ length: requestCount }, () => {
    const day = below(7)
    const action = pick(actions)
    const [cluster, namespace, kind, name] = [`c${below(4)}`, `ns${below(50)}`, pick(objectKinds), `app-${below(40)}`]
    return { action, cluster, namespace, kind, name, role: pick(roles), minute: below(1440), severity: below(5), day }
  })
}

/** The day after each. */
export const nextDays = (days: readonly number[]): number[] => days.map((day) => (day + 1) % 7)
