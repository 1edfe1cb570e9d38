import type { FrozenPlace, FrozenPlaces } from '../../domain/freeze.ts'
import { Failure } from '../../domain/failure.ts'
import { get, pathOf } from './api.ts'
import { freezeObject, freezePolicy, proofAnnotation, systemNamespace } from './backstop/names.ts'
import type { Connection } from './connection.ts'
import { deniedBy, failureOf } from './errors.ts'

/** The parameter object of one cluster's admission, under the guard's account, which may do nothing else. */
export type FreezeObject = {
  cluster: string
  /** Throws `missing` when it is gone, `unavailable` or `forbidden`. */
  read(): Promise<Standing>
  /** False: it was changed since it was read. */
  write(standing: Standing, places: FrozenPlaces): Promise<boolean>
  /** Whether admission refuses at this place because of this freeze, by a dry run that stores nothing. */
  refuses(standing: Standing, freezeId: string, place: FrozenPlace): Promise<boolean>
}

export type Standing = { places: FrozenPlaces; object: ConfigMap }
type ConfigMap = { apiVersion?: string; kind?: string; metadata: { name: string; namespace: string; resourceVersion?: string; annotations?: Record<string, string> }; data?: FrozenPlaces }

const path = pathOf('configmaps', systemNamespace, freezeObject)
const what = `freeze by configmap \`${systemNamespace}/${freezeObject}\``

export const freezeObjectOn = (connection: Connection): FreezeObject => ({
  cluster: connection.cluster,

  async read() {
    const object = await get<ConfigMap>(connection, path)
    if (!object) throw new Failure('missing', 'freeze_object_gone', `cluster \`${connection.cluster}\` has no configmap \`${systemNamespace}/${freezeObject}\`: apply deploy/admission; until then it refuses every change in managed namespaces`)
    return { places: object.data ?? {}, object }
  },

  async write({ object }, places) {
    const answer = await connection.request({ method: 'PUT', path, body: { ...object, data: places } })
    if (answer.status === 409) return false
    if (answer.status >= 300) throw failureOf(connection.cluster, what, answer)
    return true
  },

  async refuses({ object }, freezeId, { namespace, action, remediationId }) {
    const { resourceVersion: _any, ...metadata } = object.metadata
    const annotations = { ...metadata.annotations, [proofAnnotation]: [freezeId, namespace, action, remediationId].join('/') }
    const answer = await connection.request({ method: 'PUT', path, query: { dryRun: 'All' }, body: { ...object, metadata: { ...metadata, annotations } } })
    if (answer.status < 300) return false
    if (deniedBy(answer) === freezePolicy) return true
    throw failureOf(connection.cluster, `prove a ${what}`, answer)
  },
})
