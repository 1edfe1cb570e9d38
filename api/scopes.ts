/** Where routes take the area from that a call is about. */
import { areaOfRemediation } from '../adapters/postgres/areas.ts'
import type { Area } from '../domain/identity.ts'
import type { ApiDeps, ApiSettings } from './route.ts'

/** A cluster that is left out is the default one. */
export const placeOf = ({ cluster, namespace }: { cluster?: string | undefined; namespace: string }, { clusters }: ApiSettings): Area => ({
  cluster: cluster ?? clusters[0] ?? 'local',
  namespace,
})

/** Of the remediation that the path names. */
export const ofRemediation = {
  lookUp: ({ params }: { params: { id: string } }, { db }: ApiDeps): Promise<Area | undefined> => areaOfRemediation(db, params.id),
}
