import type { Knex } from 'knex'
import type { FreezeObject } from '../../adapters/kubernetes/client.ts'
import { guardFacts, markFrozen, markKept, markThawed, type GuardFacts } from '../../adapters/postgres/freeze-applied.ts'
import { nextPlaces, placesOf, samePlaces, standing, type ClusterFreeze, type KeptFreeze } from '../../domain/freeze.ts'

export type Round = { inForce: number; pending: number; kept: KeptFreeze[] }

/**
 * Brings one cluster's parameter object in line with the freezes on record, and says of each what the cluster itself
 * does about it, once a refused dry run has proven it. Safe to repeat, and to break off anywhere.
 */
export async function guardRound(db: Knex, object: FreezeObject): Promise<Round> {
  const { cluster } = object
  const now = await object.read()
  const facts = await guardFacts(db, cluster, [...standing(now.places).keys()])
  const { places, kept } = nextPlaces(now.places, facts.inForce, new Set(facts.lifted.map(({ freezeId }) => freezeId)))
  for (const freeze of kept) await markKept(db, cluster, freeze)
  // Someone else wrote it meanwhile: the next round looks again.
  if (!samePlaces(now.places, places) && !(await object.write(now, places))) return { inForce: facts.inForce.length, pending: facts.inForce.length, kept }
  const pending = await prove(db, object, facts)
  return { inForce: facts.inForce.length, pending, kept }
}

/** Returns how many are not proven yet. The API server reads the object through a cache: a moment later it knows. */
async function prove(db: Knex, object: FreezeObject, { inForce, lifted, told }: GuardFacts): Promise<number> {
  const said = new Set(told)
  const [begun, ended] = [inForce.filter(({ freezeId }) => !said.has(freezeId)), lifted.filter(({ freezeId }) => said.has(freezeId))]
  if (begun.length + ended.length === 0) return 0
  const stands = await object.read()
  let pending = 0
  for (const freeze of begun) {
    if (await refusedEverywhere(object, stands, freeze)) await markFrozen(db, object.cluster, freeze.freezeId)
    else pending += 1
  }
  for (const freeze of ended) {
    const [place] = placesOf(freeze)
    if (place && (await object.refuses(stands, freeze.freezeId, place))) pending += 1
    else await markThawed(db, object.cluster, freeze.freezeId)
  }
  return pending
}

async function refusedEverywhere(object: FreezeObject, stands: Awaited<ReturnType<FreezeObject['read']>>, freeze: ClusterFreeze): Promise<boolean> {
  for (const place of placesOf(freeze)) {
    if (!(await object.refuses(stands, freeze.freezeId, place))) return false
  }
  return true
}
