import type { Permission } from '../../domain/actions/checks.ts'
import type { Plan } from '../../domain/plan.ts'
import { create } from './api.ts'
import type { Connection } from './connection.ts'
import { actionNeeds, type Need } from './needs.ts'
import { recent } from './recent.ts'

/** What this identity may do, as the API server says it. */

/** One entry is a few words; more namespaces than this in the time below are asked about again. */
const memoryLimit = 1_000
const memoryMs = 10_000

/**
 * What is allowed in a whole namespace is allowed on every name in it, and is remembered for a while.
 * Safe, because a review grants nothing: if a right is withdrawn meanwhile, the server refuses the
 * call itself with 403, which ends the run `blocked`, only later. A refusal is never remembered: who
 * has just granted a right must not be told that it is missing.
 */
export function permissionsOn(connection: Connection, nowMs?: () => number) {
  const allowed = recent(memoryMs, memoryLimit, nowMs)

  async function isAllowedEverywhere(need: Need, namespace: string): Promise<boolean> {
    const key = JSON.stringify([need, namespace])
    if (allowed.has(key)) return true
    const granted = await review(connection, { ...need, namespace })
    if (granted) allowed.note(key)
    return granted
  }

  return ({ action, target }: Plan): Promise<Permission[]> =>
    Promise.all(
      actionNeeds[action].map(async (need) => {
        const named = need.resource === resourceOf[target.kind]
        const granted = (await isAllowedEverywhere(need, target.namespace)) || (named && (await review(connection, { ...need, namespace: target.namespace, name: target.name })))
        return { verb: need.verb, resource: need.subresource ? `${need.resource}/${need.subresource}` : need.resource, allowed: granted }
      }),
    )
}

/** A role can name the objects it is for; names of other kinds, such as ReplicaSets, are not known beforehand. */
const resourceOf: Record<Plan['target']['kind'], string> = { Pod: 'pods', Deployment: 'deployments' }

async function review(connection: Connection, resourceAttributes: object): Promise<boolean> {
  const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } }
  const { status } = await create<{ status?: { allowed?: boolean } }>(connection, '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', body)
  return status?.allowed === true
}
