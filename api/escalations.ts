/** Rules for when nobody of a group answers. */
import { z } from 'zod'
import { listEscalations, removeEscalation, setEscalation } from '../adapters/postgres/escalations.ts'
import { HttpProblem } from './problems.ts'
import { reply, route, type Route } from './route.ts'

const tag = 'Answers'

const minuteMs = 60_000
const dayMs = 86_400_000

const ruleView = z.strictObject({ group: z.string(), to: z.string(), afterMs: z.int(), setBy: z.string(), setAt: z.string() })
const group = z.string().trim().min(1).max(256)
const ofGroup = z.strictObject({ group })

const list = route({
  method: 'get',
  path: '/api/v1/escalations',
  permission: 'escalations:read',
  scope: 'anywhere',
  summary: 'To whom a group’s voice comes when nobody of it answers, and after how long',
  tag,
  output: { 200: z.strictObject({ items: z.array(ruleView) }) },
  handle: async ({ deps }) => reply(200, { items: await listEscalations(deps.db) }),
})

const put = route({
  method: 'put',
  path: '/api/v1/escalations/:group',
  permission: 'escalations:write',
  scope: 'global',
  stepUp: true,
  summary: 'Let members of `to` speak for the group once people have been asked for so long',
  description: 'One rule a group. Chains are followed for three steps, and their waits add up. It holds for whatever waits now as well.',
  tag,
  params: ofGroup,
  body: z.strictObject({ to: group, afterMs: z.int().min(minuteMs).max(dayMs) }),
  output: { 200: ruleView },
  handle: async ({ deps, params, body, principal }) => {
    const done = await setEscalation(deps.db, { ...params, ...body }, principal)
    if (done.set) return reply(200, done.rule)
    if (done.because === 'circle') throw new HttpProblem({ status: 409, code: 'escalation_circle', detail: `from \`${body.to}\` the voice would come back to \`${params.group}\``, nextStep: 'name another group, or change the rules between: `GET /api/v1/escalations` lists them' })
    throw new HttpProblem({ status: 409, code: 'escalations_full', detail: 'there are 100 rules already', nextStep: 'remove some first: `GET /api/v1/escalations` lists them' })
  },
})

const remove = route({
  method: 'delete',
  path: '/api/v1/escalations/:group',
  permission: 'escalations:write',
  scope: 'global',
  summary: 'Keep a group’s voice with the group',
  tag,
  params: ofGroup,
  output: { 200: z.strictObject({ removed: z.literal(true) }) },
  handle: async ({ deps, params, principal }) => {
    if (await removeEscalation(deps.db, params.group, principal)) return reply(200, { removed: true })
    throw new HttpProblem({ status: 404, code: 'no_such_escalation', detail: `the group \`${params.group}\` has no rule`, nextStep: '`GET /api/v1/escalations` lists them' })
  },
})

export const escalationRoutes: Route[] = [list, put, remove]
