import type { ActionName } from './remediation.ts'

/** What a freeze covers; nothing given means everything. */
export type FreezeScope = { cluster?: string; namespace?: string; action?: ActionName; policy?: string }

/**
 * What a cluster's own admission refuses, as one flat object: each key names a place, its value the freezes that cover
 * it. `state` is there once a guard has spoken; without it everything is refused.
 */
export type FrozenPlaces = Readonly<Record<string, string>>

export const stateKey = 'state'
const stateNow = 'v1'

/** A freeze as one cluster has to hold it. `held`: remediations that a frozen policy let go and whose call may be under way. */
export type ClusterFreeze = { freezeId: string; scope: Pick<FreezeScope, 'namespace' | 'action' | 'policy'>; held: readonly string[] }

/** Everything that is frozen in a cluster, or one request as admission looks at it. */
export type FrozenPlace = { namespace: string; action: string; remediationId: string }

const everything = 'freeze.all'
const policyKey = (freezeId: string): string => `policy.${freezeId}`
const heldKey = (remediationId: string): string => `held.${remediationId}`

/**
 * The keys under which one freeze stands. Admission sees no policies: a frozen policy holds the remediations it let go,
 * by id, and no others can begin, for every attempt asks the database first.
 */
export function keysOf({ freezeId, scope, held }: ClusterFreeze): string[] {
  if (scope.policy !== undefined) return [policyKey(freezeId), ...held.map(heldKey)]
  const { namespace, action } = scope
  const place = [...(namespace === undefined ? [] : ['namespace', namespace]), ...(action === undefined ? [] : ['action', action])]
  return [place.length === 0 ? everything : `freeze.${place.join('.')}`]
}

/** Where a freeze would be felt: what a proof asks about. */
export const placesOf = ({ scope, held }: ClusterFreeze): FrozenPlace[] => {
  const place = { namespace: scope.namespace ?? '-', action: scope.action ?? '-', remediationId: '-' }
  return [place, ...held.map((remediationId) => ({ ...place, remediationId }))]
}

/** A freeze that stands in the cluster and that the database does not know. */
export type KeptFreeze = { freezeId: string; keys: string[] }

export type NextPlaces = { places: FrozenPlaces; kept: KeptFreeze[] }

/**
 * What has to stand there next. Invariant (no silent thaw): a freeze leaves only when it is known to be lifted. One the
 * database has lost stays, and a lost freeze of a policy stays as one of everything: nobody knows any more what it held.
 * Keys that are not ours stay as they are.
 */
export function nextPlaces(now: FrozenPlaces, inForce: readonly ClusterFreeze[], lifted: ReadonlySet<string>): NextPlaces {
  const known = new Set(inForce.map(({ freezeId }) => freezeId))
  const kept = [...standing(now)].filter(([freezeId]) => !known.has(freezeId) && !lifted.has(freezeId)).map(([freezeId, keys]): KeptFreeze => ({ freezeId, keys: withoutPolicy(keys) }))
  const wanted = [...inForce.map((freeze) => ({ freezeId: freeze.freezeId, keys: keysOf(freeze) })), ...kept]
  const frozen: Record<string, string> = {}
  for (const { freezeId, keys } of wanted) {
    for (const key of keys) frozen[key] = frozen[key] === undefined ? freezeId : `${frozen[key]} ${freezeId}`
  }
  const others = Object.entries(now).filter(([key]) => !isOurs(key))
  return { places: { ...Object.fromEntries(others), [stateKey]: stateNow, ...frozen }, kept }
}

const isOurs = (key: string): boolean => key === stateKey || /^(freeze|policy|held)\./.test(key)

/** A remediation that is held need not be on: what is lost there is covered by everything. */
const withoutPolicy = (keys: readonly string[]): string[] =>
  keys.some((key) => key.startsWith('policy.') || key.startsWith('held.')) ? [everything] : [...keys]

/** The freezes that stand in the cluster now, with their keys. */
export function standing(places: FrozenPlaces): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const [key, value] of Object.entries(places)) {
    if (key === stateKey || !isOurs(key)) continue
    for (const freezeId of value.split(' ').filter((word) => word !== '')) found.set(freezeId, [...(found.get(freezeId) ?? []), key])
  }
  return found
}

export const samePlaces = (a: FrozenPlaces, b: FrozenPlaces): boolean => {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => sameWords(a[key], b[key]))
}

const sameWords = (a: string | undefined, b: string | undefined): boolean =>
  a !== undefined && b !== undefined && a.split(' ').toSorted().join(' ') === b.split(' ').toSorted().join(' ')
