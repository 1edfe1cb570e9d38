import { z } from 'zod'
import { recordAnswer, type AnswerDraft, type AnswerRefusal } from '../adapters/postgres/answers.ts'
import { freshId } from '../adapters/signing.ts'
import type { Principal } from '../domain/remediation.ts'
import { HttpProblem } from './problems.ts'
import { noSuchRemediation } from './remediations.ts'
import { reply, route, type ApiDeps, type Route } from './route.ts'
import { ofRemediation } from './scopes.ts'
import * as shape from './shapes.ts'

const tag = 'Answers'

export const answerReply = z.strictObject({
  answerId: z.uuid(),
  /** `delivered`: the run has it. `recorded`: it is committed and a relay will tell the run. */
  state: z.enum(['delivered', 'recorded']),
})

export const answerOutput = { 200: answerReply, 202: answerReply }
const commentOnly = z.strictObject({ comment: shape.comment.default('') })

const approve = route({
  method: 'post',
  path: '/api/v1/remediations/:id/approve',
  permission: 'remediations:answer',
  scope: ofRemediation,
  stepUp: true,
  summary: 'Approve exactly the plan whose digest you name',
  description: 'A requester cannot approve what they, or another key of the same owner, asked for.',
  tag,
  params: shape.idParams,
  body: z.strictObject({ planDigest: shape.planDigest, comment: shape.comment.default('') }),
  output: answerOutput,
  handle: ({ deps, params, body, principal }) => answer(deps, { kind: 'approve', id: params.id, principal, ...body }),
})

const reject = route({
  method: 'post',
  path: '/api/v1/remediations/:id/reject',
  permission: 'remediations:answer',
  scope: ofRemediation,
  summary: 'Reject what waits for an approval',
  tag,
  params: shape.idParams,
  body: commentOnly,
  output: answerOutput,
  handle: ({ deps, params, body, principal }) => answer(deps, { kind: 'reject', id: params.id, principal, planDigest: null, ...body }),
})

const cancel = route({
  method: 'post',
  path: '/api/v1/remediations/:id/cancel',
  permission: 'remediations:answer',
  scope: ofRemediation,
  summary: 'Cancel a remediation',
  description: 'While a change has been sent and its outcome is not known, this answers 409 `in_flight`, stops further attempts and fences the target.',
  tag,
  params: shape.idParams,
  body: commentOnly,
  output: answerOutput,
  handle: ({ deps, params, body, principal }) => answer(deps, { kind: 'cancel', id: params.id, principal, planDigest: null, ...body }),
})

type Given = Pick<AnswerDraft, 'id' | 'kind' | 'planDigest' | 'comment' | 'breakGlass'> & { principal: Principal }

/** The committed row is the answer; telling the run at once is a courtesy that may fail. */
export async function answer(deps: ApiDeps, { id, kind, principal, planDigest, comment, breakGlass = false }: Given) {
  const recorded = await recordAnswer(deps.db, { answerId: freshId(), id, kind, principal, planDigest, comment, breakGlass })
  deps.metrics.answers.inc({ kind, result: recorded.recorded ? 'recorded' : recorded.because })
  if (!recorded.recorded) throw refused(recorded.because, id)
  const { answerId } = recorded
  const delivered = (await deps.deliver({ id, answerId, kind })) === 'delivered'
  if (delivered) return reply(200, { answerId, state: 'delivered' })
  return reply(202, { answerId, state: 'recorded' })
}

const explanations: Record<Exclude<AnswerRefusal, 'missing'>, { detail: string; nextStep: string }> = {
  own_request: { detail: 'whoever asked for a remediation cannot approve it', nextStep: 'let someone else approve: another key of the same owner does not count either' },
  other_digest: { detail: 'the plan has changed since you looked: its digest is another', nextStep: 'read the remediation again and approve the digest it shows now' },
  in_flight: { detail: 'a change has been sent and its outcome is not known yet; further attempts are stopped', nextStep: 'watch the remediation: it settles or fences the change by itself' },
  not_waiting: { detail: 'the remediation is not waiting for this answer', nextStep: 'read the remediation: `phase` says where it stands' },
  already_answered: { detail: 'this answer has been given already', nextStep: 'read the remediation: `answers` lists who said what' },
  closed: { detail: 'the remediation has ended', nextStep: 'read its outcome; ask for a new remediation where one is still needed' },
  persons_only: { detail: 'the emergency door opens to a person who has just logged in, and to no key or service', nextStep: 'log in (`aegis login`) and break the glass yourself' },
  review_due: { detail: 'your earlier break-glasses wait for a review: three of them, or one for more than 24 hours', nextStep: 'let another person review them first: `aegis reviews` lists them; ask others to approve meanwhile' },
  frozen: { detail: 'a freeze covers this target: nothing may be approved now', nextStep: '`GET /api/v1/freeze` says which and why; an admin lifts it' },
}

function refused(because: AnswerRefusal, id: string): HttpProblem {
  if (because === 'missing') return noSuchRemediation(id)
  // Refused answers are ledger entries of the remediation they were meant for.
  return new HttpProblem({ status: because === 'own_request' || because === 'persons_only' ? 403 : 409, code: because, ...explanations[because], recorded: true })
}

export const answerRoutes: Route[] = [approve, reject, cancel]
