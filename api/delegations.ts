/** Voices handed over: who speaks for somebody's groups while they are away. */
import { z } from 'zod'
import { giveDelegation, listDelegations, loadDelegation, revokeDelegation, type DelegationRefusal } from '../adapters/postgres/delegations.ts'
import { freshId } from '../adapters/signing.ts'
import { canonicalUsername, everywhere } from '../domain/identity.ts'
import { allows } from './permissions.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import { reply, route, type Caller, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Answers'

const dayMs = 86_400_000
/** As the table has it. */
const longestMs = 30 * dayMs
const furthestMs = 90 * dayMs

const view = z.strictObject({
  delegationId: z.uuid(),
  delegator: z.string(),
  delegate: z.string(),
  from: z.string(),
  until: z.string(),
  reason: z.string(),
  givenBy: z.string(),
  givenAt: z.string(),
  revokedBy: z.string().nullable(),
  revokedAt: z.string().nullable(),
})

const list = route({
  method: 'get',
  path: '/api/v1/delegations',
  permission: 'delegations:read',
  scope: 'anywhere',
  summary: 'Voices handed over: those that hold or are to come, newest first',
  tag,
  query: z.strictObject({ state: z.enum(['open', 'all']).default('open'), ...shape.paging }),
  output: { 200: shape.page(view) },
  handle: async ({ deps, query: { state, ...page } }) => reply(200, await listDelegations(deps.db, { ...shape.given(page), all: state === 'all' })),
})

const give = route({
  method: 'post',
  path: '/api/v1/delegations',
  permission: 'delegations:give',
  scope: 'anywhere',
  stepUp: true,
  summary: 'Hand the voice for your groups to one other person for a while',
  description: 'For at most 30 days. Your own groups count, as they are when the delegate approves, where you might approve yourself; what was handed to you does not. An admin may hand over somebody else’s (`delegator`).',
  tag,
  body: z.strictObject({
    delegate: shape.owner,
    /** Left out: the caller. */
    delegator: shape.owner.optional(),
    /** Left out: now. */
    from: shape.instant.optional(),
    until: shape.instant,
    reason: shape.reason,
  }),
  output: { 201: view },
  handle: async ({ deps, principal, body }) => {
    const { delegate, reason } = body
    const delegator = delegatorFor(principal, body.delegator)
    const now = Date.now()
    const from = Math.max(now, body.from === undefined ? now : Date.parse(body.from))
    const until = Date.parse(body.until)
    if (delegate === delegator) throw fieldProblem('own_delegation', [{ field: 'delegate', message: 'must be another person than whose voice it is' }])
    if (from > now + furthestMs) throw fieldProblem('bad_request', [{ field: 'from', message: 'must be at most 90 days ahead' }])
    if (until <= from) throw fieldProblem('bad_request', [{ field: 'until', message: 'must be later than `from` and than now' }])
    if (until > from + longestMs) throw fieldProblem('bad_request', [{ field: 'until', message: 'must be at most 30 days after `from`' }])
    const done = await giveDelegation(deps.db, { delegationId: freshId(), delegator, delegate, from: new Date(from), until: new Date(until), reason, principal })
    if (!done.given) throw refused(done.because, { delegator, delegate })
    return reply(201, done.delegation)
  },
})

/** A key has no groups, so it hands over none: it would lend what it does not have. */
function delegatorFor(principal: Caller, wanted: string | undefined): string {
  const own = canonicalUsername(principal.owner)
  const delegator = wanted ?? own
  if (delegator === own && principal.kind === 'person') return own
  if (allows(principal, 'delegations:give-others', everywhere)) return delegator
  if (delegator !== own) throw notYours('another person’s voice is handed over by themself, or by an admin')
  throw new HttpProblem({ status: 403, code: 'persons_only', detail: 'a voice is a person’s to hand over, and no key’s', nextStep: 'log in (`aegis login`) and hand it over yourself' })
}

const notYours = (detail: string): HttpProblem => new HttpProblem({ status: 403, code: 'not_your_delegation', detail, nextStep: 'ask them, or an admin' })

function refused(because: DelegationRefusal, { delegator, delegate }: { delegator: string; delegate: string }): HttpProblem {
  switch (because) {
    case 'no_such_delegator':
      return fieldProblem('unknown_account', [{ field: 'delegator', message: `\`${delegator}\` has no account, and so no groups` }])
    case 'no_such_delegate':
      return fieldProblem('unknown_account', [{ field: 'delegate', message: `\`${delegate}\` has no account, or it is disabled` }])
    case 'overlaps':
      return new HttpProblem({ status: 409, code: 'delegation_overlaps', detail: `the voice of \`${delegator}\` is with somebody else in that time`, nextStep: 'end that delegation first: `aegis delegate` lists them' })
    case 'too_many':
      return new HttpProblem({ status: 409, code: 'delegations_full', detail: `\`${delegator}\` has 20 delegations that are not over`, nextStep: 'end some first: `aegis delegate` lists them' })
  }
}

const revoke = route({
  method: 'delete',
  path: '/api/v1/delegations/:id',
  permission: 'delegations:give',
  scope: 'anywhere',
  summary: 'Take a voice back at once; what was approved by it before stays approved',
  tag,
  params: z.strictObject({ id: z.uuid({ error: 'must be the delegationId (a UUID) that `GET /api/v1/delegations` shows' }) }),
  output: { 200: z.strictObject({ revoked: z.literal(true) }) },
  handle: async ({ deps, principal, params }) => {
    const found = await loadDelegation(deps.db, params.id)
    if (found && found.delegator !== canonicalUsername(principal.owner) && !allows(principal, 'delegations:give-others', everywhere)) throw notYours('a delegation is ended by whose voice it is, or by an admin')
    if (found && (await revokeDelegation(deps.db, params.id, principal))) return reply(200, { revoked: true })
    throw new HttpProblem({ status: 404, code: 'no_such_delegation', detail: `there is no delegation \`${params.id}\` that holds or is to come`, nextStep: '`GET /api/v1/delegations` lists them' })
  },
})

export const delegationRoutes: Route[] = [list, give, revoke]
