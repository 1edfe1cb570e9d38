/** Exceptions: for a while a deny or an approval policy does not hold, because one person asked and another agreed. */
import type { Knex } from 'knex'
import { z } from 'zod'
import { reading } from '../adapters/policies/means.ts'
import { publish, type ChangeSet } from '../adapters/policies/publish.ts'
import type { Published } from '../adapters/policies/published.ts'
import { actorOf } from '../adapters/postgres/ledger.ts'
import { decideException, listExceptions, loadException, proposeException, type ExceptionProposal } from '../adapters/postgres/policy-exceptions.ts'
import { freshId } from '../adapters/signing.ts'
import { pathText } from '../domain/policy/check.ts'
import { exceptionApiVersion, isMisplaced, type ExceptionDocument } from '../domain/policy/exception.ts'
import { parseException } from '../domain/policy/parse-exception.ts'
import type { Principal } from '../domain/remediation.ts'
import { memberOf } from './policy-edit.ts'
import { lookedAt, nowOf, nowView } from './policy-looked.ts'
import { conflict, lookedAtBy, refusedProblem, unmovedSince, type Looked } from './policy-wanted.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import { reply, route, type ApiDeps, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Policy'

const exceptionView = z.strictObject({
  id: z.string(),
  policy: z.string(),
  actions: z.array(z.string()),
  resources: z.array(z.string()),
  when: z.record(z.string(), z.unknown()),
  reason: z.string(),
  expiresAt: z.string(),
  author: z.string(),
  proposedAt: z.string(),
  state: z.enum(['proposed', 'approved', 'revoked']),
  decidedBy: z.string().nullable(),
  decidedAt: z.string().nullable(),
})

const toView = ({ owner: _owner, ...proposal }: ExceptionProposal): z.input<typeof exceptionView> => ({ ...proposal, when: { ...proposal.when } })

const exceptionId = z.strictObject({ exceptionId: z.uuid({ error: 'must be the id (a UUID) that `GET /api/v1/policy/:id/exceptions` shows' }) })

const list = route({
  method: 'get',
  path: '/api/v1/policy/:id/exceptions',
  permission: 'policy:read',
  scope: 'anywhere',
  summary: 'Exceptions from one policy that were ever asked for, newest first',
  tag,
  params: z.strictObject({ id: shape.policyId }),
  output: { 200: z.strictObject({ items: z.array(exceptionView) }) },
  handle: async ({ deps, params }) => reply(200, { items: (await listExceptions(deps.db, params.id)).map(toView) }),
})

const show = route({
  method: 'get',
  path: '/api/v1/policy-exceptions/:exceptionId',
  permission: 'policy:read',
  scope: 'anywhere',
  summary: 'One exception, and while it waits for another person what it would let happen now',
  tag,
  params: exceptionId,
  output: { 200: z.strictObject({ ...exceptionView.shape, now: nowView }) },
  handle: async ({ deps, params }) => {
    const proposal = await found(deps, params.exceptionId)
    return reply(200, { ...toView(proposal), now: nowOf(proposal.state === 'proposed' ? await triedNow(deps, proposal) : null) })
  },
})

const triedNow = (deps: ApiDeps, proposal: ExceptionProposal): Promise<Looked> => {
  const document = documentOf(proposal, { author: proposal.owner, approvedBy: 'another person' })
  const author = { id: 'aegis', kind: 'system', owner: 'aegis' } as const
  return lookedAtBy(deps, (review) => publish(deps.publisher, (base) => ({ ...withExceptions(base, proposal.id, [document]), author, comment: '', review })))
}

const withExceptions = (base: Published | undefined, id: string, instead: ExceptionDocument[]) =>
  ({ edits: [], exceptions: [...othersThan(id, base), ...instead], managedBy: 'api', cause: 'edit', commit: null }) as const satisfies Partial<ChangeSet>

const propose = route({
  method: 'post',
  path: '/api/v1/policy/:id/exceptions',
  permission: 'policy:except',
  scope: 'global',
  stepUp: true,
  summary: 'Ask for an exception from a deny or an approval policy',
  description: 'It holds once another person approves it, until `expiresAt`, at most 30 days later; every decision that it opens names it and both people.',
  tag,
  params: z.strictObject({ id: shape.policyId }),
  body: z.strictObject({
    actions: z.array(z.string()).min(1).default(['*']),
    resources: z.array(z.string()).min(1),
    when: z.record(z.string(), z.unknown()).optional(),
    expiresAt: shape.instant,
    reason: shape.reason,
  }),
  output: { 201: exceptionView },
  handle: async ({ deps, principal, params, body }) => {
    const base = deps.policies().published
    memberOf(base, params.id)
    const proposal = { id: freshId(), policy: params.id, ...body, expiresAt: new Date(body.expiresAt).toISOString() }
    const { actions, resources, when } = checked(proposal, base!, principal)
    const made = await proposeException(deps.db, { ...proposal, actions, resources, when }, principal)
    return reply(201, toView(made))
  },
})

/** As it would be in force now. Whoever is going to approve is not known yet. */
function checked({ when = { all: [] }, ...proposal }: Omit<Parameters<typeof documentOf>[0], 'when'> & { when?: unknown }, base: Published, principal: Principal): ExceptionDocument {
  const document = documentOf({ ...proposal, when }, { author: principal.owner, approvedBy: 'another person' })
  if (isMisplaced(document, base.documents)) throw fieldProblem('exception_misplaced', [{ field: 'id', message: `\`${document.policy}\` is an allow: narrow it instead of excepting from it` }])
  return document
}

function documentOf(
  { id, policy, actions, resources, when, reason, expiresAt }: { id: string; policy: string; actions: string[]; resources: string[]; when: unknown; reason: string; expiresAt: string },
  people: { author: string; approvedBy: string },
): ExceptionDocument {
  const notBefore = new Date().toISOString()
  const { exception, problems } = parseException({ apiVersion: exceptionApiVersion, id, policy, actions, resources, when, notBefore, expiresAt, reason, ...people }, reading)
  if (exception) return exception
  throw fieldProblem('exception_invalid', problems.slice(0, 20).map(({ path, message }) => ({ field: pathText(path), message })))
}

const decided = z.strictObject({ ...exceptionView.shape, snapshot: z.string() })
const commented = z.strictObject({ comment: shape.reason })

const approve = route({
  method: 'post',
  path: '/api/v1/policy/exceptions/:exceptionId/approve',
  permission: 'policy:agree',
  scope: 'global',
  stepUp: true,
  summary: 'Agree to an exception that somebody else asked for; it is in force with the answer',
  description: 'When other policies are in force than those that were looked at (`snapshot`, as reading the exception shows it), this is refused with 409.',
  tag,
  params: exceptionId,
  body: z.strictObject({ comment: shape.reason, snapshot: lookedAt }),
  output: { 200: decided },
  handle: async ({ deps, principal, params, body }) => {
    const proposal = await found(deps, params.exceptionId)
    if (proposal.owner === principal.owner) throw conflict('own_exception', 'you asked for this exception yourself', 'another person with the role approver or admin has to agree')
    if (proposal.state !== 'proposed') throw settled(proposal)
    const document = documentOf(proposal, { author: proposal.owner, approvedBy: principal.owner })
    return reply(200, await settle(deps, proposal, { to: 'approved', instead: [document], lookedAt: body.snapshot, comment: body.comment, principal }))
  },
})

const revoke = route({
  method: 'post',
  path: '/api/v1/policy/exceptions/:exceptionId/revoke',
  permission: 'policy:except',
  scope: 'global',
  summary: 'End an exception, or take back the wish for one; any one person may',
  tag,
  params: exceptionId,
  body: commented,
  output: { 200: decided },
  handle: async ({ deps, principal, params, body }) => {
    const proposal = await found(deps, params.exceptionId)
    if (proposal.state === 'revoked') throw settled(proposal)
    return reply(200, await settle(deps, proposal, { to: 'revoked', instead: [], comment: body.comment, principal }))
  },
})

type Settling = { to: 'approved' | 'revoked'; instead: ExceptionDocument[]; lookedAt?: string | null; comment: string; principal: Principal }

/** What its row says and what is in force change together, or neither does. */
async function settle(deps: ApiDeps, proposal: ExceptionProposal, { to, instead, lookedAt: seen, comment, principal }: Settling): Promise<z.input<typeof decided>> {
  const { id, state: from } = proposal
  const decide = (db: Knex): Promise<void> => decideException(db, { id, from, to, comment }, principal)
  const result = await publish(deps.publisher, (base) => {
    if (seen !== undefined) unmovedSince(seen, base)
    return { ...withExceptions(base, id, instead), author: actorOf(principal), comment, also: decide }
  })
  if (!result.published && result.refused) throw refusedProblem(result.refused)
  // A wish that is taken back, or what is over anyway, was not in force.
  if (!result.published) await decide(deps.db)
  await deps.refreshPolicies()
  return { ...toView(await found(deps, id)), snapshot: result.snapshot }
}

const othersThan = (id: string, base: Published | undefined): ExceptionDocument[] =>
  (base?.exceptions ?? []).filter(({ managedBy, document }) => managedBy === 'api' && document.id !== id).map(({ document }) => document)

async function found({ db }: ApiDeps, id: string): Promise<ExceptionProposal> {
  const proposal = await loadException(db, id)
  if (proposal) return proposal
  throw new HttpProblem({ status: 404, code: 'no_such_exception', detail: `nobody asked for an exception \`${id}\``, nextStep: '`GET /api/v1/policy/:id/exceptions` lists those of a policy' })
}

const settled = ({ id, state }: ExceptionProposal): HttpProblem => conflict('exception_settled', `exception \`${id}\` was ${state} already`, 'look at it again')

export const policyExceptionRoutes: Route[] = [list, show, propose, approve, revoke]
