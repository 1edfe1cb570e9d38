import { z } from 'zod'
import { areaOfFreezeWindow } from '../adapters/postgres/areas.ts'
import { wallClock, zoneExists } from '../adapters/policies/zones.ts'
import { cancelFreezeWindow, freezeWindows, scheduleFreeze, type FreezeWindow } from '../adapters/postgres/freeze-windows.ts'
import { parseLocal } from '../domain/policy/calendar.ts'
import { instantOf } from '../domain/policy/time.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import { reply, route, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Stopping'

const scope = z.strictObject({ cluster: shape.labelName.optional(), namespace: shape.labelName.optional(), action: shape.action.optional() })
const local = z.string().refine((text) => parseLocal(text) !== undefined, 'must be a date and time on the wall of the zone, such as 2026-12-24T18:00')
const zone = z.string().max(64).refine(zoneExists, 'must be an IANA time zone, such as Europe/Berlin or UTC')

const windowView = z.strictObject({
  windowId: z.string(),
  scope: z.strictObject({ cluster: z.string().optional(), namespace: z.string().optional(), action: shape.action.optional() }),
  /** The instants that count, UTC. */
  from: z.string(),
  to: z.string(),
  /** As it was asked for. */
  localFrom: z.string(),
  localTo: z.string(),
  zone: z.string(),
  reason: z.string(),
  setBy: z.string(),
  setAt: z.string(),
})

const toView = ({ scope: of, ...window }: FreezeWindow) => ({ ...window, scope: shape.given(of) })

const list = route({
  method: 'get',
  path: '/api/v1/freeze/windows',
  permission: 'freeze:read',
  scope: 'filtered',
  summary: 'Freezes known ahead: in force and to come',
  tag,
  output: { 200: z.strictObject({ items: z.array(windowView) }) },
  handle: async ({ deps, areas }) => reply(200, { items: (await freezeWindows(deps.db, areas)).map(toView) }),
})

const schedule = route({
  method: 'post',
  path: '/api/v1/freeze/windows',
  permission: 'freeze:set',
  scope: ({ body }) => ({ cluster: body.scope.cluster ?? null, namespace: body.scope.namespace ?? null }),
  summary: 'A freeze from one wall-clock time to another',
  description: 'Turned into instants once, by the zone’s rules of now: a time that the clocks skip means the later instant, one that they show twice the earlier for `from` and the later for `to`. It holds by the database’s clock. Windows that recur are policies that deny.',
  tag,
  body: z.strictObject({ scope: scope.default({}), from: local, to: local, zone, reason: shape.reason }),
  output: { 201: windowView },
  handle: async ({ deps, body, principal }) => {
    const { from: localFrom, to: localTo, zone: name, reason } = body
    const cluster = body.scope.cluster
    if (cluster !== undefined && !deps.settings.clusters.includes(cluster)) {
      throw fieldProblem('unknown_cluster', [{ field: 'scope.cluster', message: `\`${cluster}\` is not a cluster of this Aegis: use ${deps.settings.clusters.join(', ')}` }])
    }
    const from = instantOf(name, parseLocal(localFrom)!, 'earlier', wallClock)
    const to = instantOf(name, parseLocal(localTo)!, 'later', wallClock)
    if (!(from < to)) throw fieldProblem('bad_request', [{ field: 'to', message: 'must be later than `from`' }])
    if (to <= Date.now()) throw fieldProblem('bad_request', [{ field: 'to', message: 'is over: a freeze of the past holds nothing' }])
    const window = await scheduleFreeze(deps.db, { scope: shape.given(body.scope), from: new Date(from), to: new Date(to), zone: name, localFrom, localTo, reason, principal })
    return reply(201, toView(window))
  },
})

const cancel = route({
  method: 'delete',
  path: '/api/v1/freeze/windows/:id',
  permission: 'freeze:lift',
  scope: { lookUp: ({ params }, { db }) => areaOfFreezeWindow(db, params.id) },
  summary: 'Cancel a freeze known ahead, or end one that is in force',
  tag,
  params: z.strictObject({ id: z.uuid({ error: 'must be the windowId (a UUID) that `GET /api/v1/freeze/windows` shows' }) }),
  output: { 200: z.strictObject({ cancelled: z.literal(true) }) },
  handle: async ({ deps, params, principal }) => {
    if (await cancelFreezeWindow(deps.db, params.id, principal)) return reply(200, { cancelled: true })
    throw new HttpProblem({ status: 404, code: 'no_such_window', detail: `there is no freeze \`${params.id}\` in force or ahead`, nextStep: '`GET /api/v1/freeze/windows` lists them' })
  },
})

export const freezeWindowRoutes: Route[] = [list, schedule, cancel]
