/** The emergency door: an approval that stands in the place of all others, and the review by another person that follows. */
import { z } from 'zod'
import { areaOfBreakGlass, listBreakGlass, reviewBreakGlass, type Reviewed } from '../adapters/postgres/break-glass.ts'
import { reviewVerdicts } from '../domain/approvals/break-glass.ts'
import { answer, answerOutput } from './answers.ts'
import { HttpProblem } from './problems.ts'
import { reply, route, type Route } from './route.ts'
import { ofRemediation } from './scopes.ts'
import * as shape from './shapes.ts'

const tag = 'Answers'

const breakGlass = route({
  method: 'post',
  path: '/api/v1/remediations/:id/break-glass',
  permission: 'remediations:break-glass',
  scope: ofRemediation,
  stepUp: true,
  summary: 'In an emergency: approve without the others that policy and mode ask for',
  description: 'The requester may, too. It passes no deny, freeze, limit, bound or floor, and another person has to review it within 24 hours.',
  tag,
  params: shape.idParams,
  body: z.strictObject({ planDigest: shape.planDigest, reason: z.string().trim().min(20).max(500) }),
  output: answerOutput,
  handle: ({ deps, params, body, principal }) => answer(deps, { kind: 'approve', id: params.id, principal, planDigest: body.planDigest, comment: body.reason, breakGlass: true }),
})

const useView = z.strictObject({
  answerId: z.uuid(),
  remediationId: z.uuid(),
  action: shape.action,
  target: shape.target,
  by: z.string(),
  owner: z.string(),
  planDigest: z.string(),
  reason: z.string(),
  at: z.string(),
  /** Null: it waits for one. */
  review: z.strictObject({ verdict: z.enum(reviewVerdicts), comment: z.string(), by: z.string(), at: z.string() }).nullable(),
})

const list = route({
  method: 'get',
  path: '/api/v1/break-glass',
  permission: 'break-glass:review',
  scope: 'filtered',
  summary: 'Uses of the emergency door and their reviews, newest first',
  tag,
  query: z.strictObject({ state: z.enum(['open', 'reviewed']).optional(), ...shape.paging }),
  output: { 200: shape.page(useView) },
  handle: async ({ deps, query, areas }) => reply(200, await listBreakGlass(deps.db, { ...shape.given(query), areas })),
})

const review = route({
  method: 'post',
  path: '/api/v1/break-glass/:answerId/review',
  permission: 'break-glass:review',
  scope: { lookUp: ({ params }, { db }) => areaOfBreakGlass(db, params.answerId) },
  stepUp: true,
  summary: 'Say what you think of somebody else’s use of the emergency door',
  tag,
  params: z.strictObject({ answerId: z.uuid({ error: 'must be the answerId (a UUID) that `GET /api/v1/break-glass` shows' }) }),
  body: z.strictObject({ verdict: z.enum(reviewVerdicts), comment: shape.reason }),
  output: { 200: useView },
  handle: async ({ deps, params, body, principal }) => {
    const done = await reviewBreakGlass(deps.db, { ...params, ...body, principal })
    if (!done.reviewed) throw refused(done.because, params.answerId)
    return reply(200, done.use)
  },
})

type Refusal = Extract<Reviewed, { reviewed: false }>['because']

function refused(because: Refusal, answerId: string): HttpProblem {
  const parts: Record<Refusal, { status: number; code: string; detail: string; nextStep: string }> = {
    missing: { status: 404, code: 'no_such_break_glass', detail: `there is no break-glass \`${answerId}\``, nextStep: '`GET /api/v1/break-glass` lists them' },
    own_review: { status: 403, code: because, detail: 'nobody reviews a break-glass of their own, by whatever key', nextStep: 'ask another person with the role approver, admin or auditor there' },
    persons_only: { status: 403, code: because, detail: 'a review is a person’s who has just logged in, and no key’s or service’s', nextStep: 'log in (`aegis login`) and review it yourself' },
    reviewed_already: { status: 409, code: because, detail: 'this break-glass was reviewed already', nextStep: '`GET /api/v1/break-glass?state=reviewed` shows what was said' },
  }
  return new HttpProblem(parts[because])
}

export const breakGlassRoutes: Route[] = [breakGlass, list, review]
