import { z } from 'zod'
import { closeBreaker, openBreakers } from '../adapters/postgres/breakers.ts'
import { HttpProblem } from './problems.ts'
import { reply, route, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Stopping'

const breakerView = z.strictObject({ policy: z.string(), reason: z.string(), remediationId: z.string(), openedAt: z.string() })

const list = route({
  method: 'get',
  path: '/api/v1/breakers',
  permission: 'autonomy:read',
  scope: 'anywhere',
  summary: 'Policies whose breaker is open: what they permit is not done',
  tag,
  output: { 200: z.strictObject({ items: z.array(breakerView) }) },
  handle: async ({ deps }) => reply(200, { items: await openBreakers(deps.db) }),
})

const close = route({
  method: 'post',
  path: '/api/v1/breakers/close',
  permission: 'breakers:close',
  scope: 'global',
  stepUp: true,
  summary: 'You have looked into it: let a policy permit again',
  description: 'For admins. What was counted against the policy counts no more.',
  tag,
  body: z.strictObject({ policy: shape.policyId, reason: shape.reason }),
  output: { 200: z.strictObject({ closed: z.literal(true) }) },
  handle: async ({ deps, body, principal }) => {
    if (await closeBreaker(deps.db, { ...body, principal })) return reply(200, { closed: true })
    throw new HttpProblem({ status: 404, code: 'no_open_breaker', detail: `the breaker of policy \`${body.policy}\` is not open`, nextStep: '`GET /api/v1/breakers` lists those that are' })
  },
})

export const breakerRoutes: Route[] = [list, close]
