/** What the route table says, applied: the permission of a route, in the area that its scope names. */
import { everywhere, principalAt, type Area } from '../domain/identity.ts'
import { allows, rolesWith, type Permission } from './permissions.ts'
import { HttpProblem } from './problems.ts'
import type { ApiDeps, Caller, CallerSession, Route } from './route.ts'

type Parts = { params: unknown; query: unknown; body: unknown }

/** The caller as it stands where the call is about. Throws 403 where the permission does not hold there. */
export async function authorize({ permission, scope }: Route, caller: Caller, call: Parts, deps: ApiDeps): Promise<Caller> {
  if (permission === 'public' || scope === null || scope === 'anywhere' || scope === 'filtered') return caller
  const area = scope === 'global' ? everywhere : typeof scope === 'function' ? scope(call, deps.settings) : await scope.lookUp(call, deps)
  if (!area) return caller // what is not there the handler does not find either
  if (!allows(caller, permission, area)) throw notPermittedThere(permission, area)
  return principalAt(caller, area)
}

export const notPermitted = (permission: Permission): HttpProblem =>
  new HttpProblem({
    status: 403,
    code: 'not_permitted',
    detail: `this needs the permission \`${permission}\``,
    nextStep: `use a login or a key with one of the roles ${rolesWith(permission).join(', ')}`,
  })

/** What has to hold everywhere needs nothing of the call to be refused. */
export function refuseUnlessGlobal({ permission, scope }: Route, caller: Caller): void {
  if (permission !== 'public' && scope === 'global' && !allows(caller, permission, everywhere)) throw notPermittedThere(permission, everywhere)
}

const notPermittedThere = (permission: Permission, { cluster, namespace }: Area): HttpProblem => {
  const where = namespace !== null ? `in the namespace \`${namespace}\` of ${cluster === null ? 'every cluster' : `\`${cluster}\``}` : cluster === null ? 'everywhere' : `in all of the cluster \`${cluster}\``
  return new HttpProblem({
    status: 403,
    code: 'not_permitted_there',
    detail: `this needs the permission \`${permission}\` ${where}`,
    nextStep: `\`GET /api/v1/auth/me\` lists where your roles hold; an admin binds one of ${rolesWith(permission).join(', ')} there`,
  })
}

/** How long a login counts as proof for what must not be done by somebody who found a screen unlocked. */
const stepUpMs = 5 * 60_000

export const isFresh = (session: CallerSession | null): boolean => session === null || Date.now() - session.authTimeMs <= stepUpMs

export const stepUpRequired = (): HttpProblem =>
  new HttpProblem({
    status: 401,
    code: 'step_up_required',
    detail: 'this needs a login that is at most 5 minutes old',
    nextStep: 'log in again (`aegis login`), then repeat the call',
    headers: { 'WWW-Authenticate': 'Bearer realm="aegis", error="insufficient_user_authentication", max_age=300' },
  })
