/** Changes of policies that wait for a second person, because they let more happen than what is in force. */
import { z } from 'zod'
import { actorOf } from '../adapters/postgres/ledger.ts'
import { decideChange, listChanges, loadChange, policyChangeStates, type PolicyChange } from '../adapters/postgres/policy-changes.ts'
import { lookedAt, nowOf, nowView } from './policy-looked.ts'
import { conflict, putInForce, tried } from './policy-wanted.ts'
import { HttpProblem } from './problems.ts'
import { reply, route, type ApiDeps, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Policy'

const changeView = z.strictObject({
  id: z.uuid(),
  state: z.enum(policyChangeStates),
  cause: z.enum(['edit', 'rollback', 'sync']),
  /** The policies it is about. Null for `version`: there was none; for `effect`: it is taken back. */
  policies: z.array(z.strictObject({ id: z.string(), version: z.int().nullable(), effect: z.string().nullable() })),
  /** Why it takes a second person, and a request that shows it. */
  why: z.string(),
  witness: z.record(z.string(), z.unknown()).nullable(),
  author: z.string(),
  comment: z.string(),
  commit: z.string().nullable(),
  over: z.int().nullable(),
  proposedAt: z.string(),
  decidedBy: z.string().nullable(),
  decidedAt: z.string().nullable(),
})

function toView({ wanted, author, witness, ...change }: PolicyChange): z.input<typeof changeView> {
  const { cause, comment, commit, over, edits } = wanted
  const policies = edits.map(({ id, version, document }) => ({ id, version, effect: document && String(document['effect']) }))
  return { ...change, cause, comment, commit, over, policies, author: author.id, witness: witness && { ...witness } }
}

const changeId = z.strictObject({ changeId: z.uuid({ error: 'must be the id (a UUID) that `GET /api/v1/policy-changes` shows' }) })
const commented = z.strictObject({ comment: shape.reason })

const list = route({
  method: 'get',
  path: '/api/v1/policy-changes',
  permission: 'policy:read',
  scope: 'anywhere',
  summary: 'Changes of policies that were kept for a second person, newest first',
  tag,
  query: z.strictObject({ state: z.enum(policyChangeStates).optional(), ...shape.paging }),
  output: { 200: shape.page(changeView) },
  handle: async ({ deps, query }) => {
    const { items, next } = await listChanges(deps.db, shape.given(query))
    return reply(200, { items: items.map(toView), next })
  },
})

const show = route({
  method: 'get',
  path: '/api/v1/policy-changes/:changeId',
  permission: 'policy:read',
  scope: 'anywhere',
  summary: 'One such change with its documents, and those that it would replace',
  tag,
  params: changeId,
  output: {
    200: z.strictObject({
      ...changeView.shape,
      now: nowView,
      documents: z.array(z.strictObject({ id: z.string(), wanted: z.record(z.string(), z.unknown()).nullable(), inForce: z.record(z.string(), z.unknown()).nullable() })),
    }),
  },
  handle: async ({ deps, params }) => {
    const change = await found(deps, params.changeId)
    const standing = new Map((deps.policies().published?.members ?? []).map(({ id, document }) => [id, document]))
    const inForce = (id: string) => (standing.has(id) ? (JSON.parse(standing.get(id)!) as Record<string, unknown>) : null)
    const now = nowOf(change.state === 'proposed' ? await tried(deps, change.wanted, change.author) : null)
    return reply(200, { ...toView(change), now, documents: change.wanted.edits.map(({ id, document }) => ({ id, wanted: document, inForce: inForce(id) })) })
  },
})

const decided = z.strictObject({ ...changeView.shape, snapshot: z.string() })

const agree = route({
  method: 'post',
  path: '/api/v1/policy-changes/:changeId/agree',
  permission: 'policy:agree',
  scope: 'global',
  stepUp: true,
  summary: 'Agree to a change that somebody else asked for; it is in force with the answer',
  description: 'It is prepared anew on what is in force now, with every test run again. When a policy it names was changed since, or other policies are in force than those that were looked at (`snapshot`, as reading the change shows it), this is refused with 409.',
  tag,
  params: changeId,
  body: z.strictObject({ comment: shape.reason, snapshot: lookedAt }),
  output: { 200: decided },
  handle: async ({ deps, principal, params, body }) => {
    const change = await found(deps, params.changeId)
    if (change.state !== 'proposed') throw settled(change)
    if (change.author.owner === principal.owner) throw conflict('own_change', 'you asked for this change yourself', 'another person with the role approver or admin has to agree')
    const decide = (db: ApiDeps['db']): Promise<void> => decideChange(db, { id: change.id, to: 'agreed', comment: body.comment }, principal)
    const done = await putInForce(deps, change.wanted, { author: change.author, agreedBy: actorOf(principal), lookedAt: body.snapshot, also: decide })
    // It is in force already, by whatever way.
    if (!done.published) await decide(deps.db)
    await deps.refreshPolicies()
    return reply(200, { ...toView(await found(deps, change.id)), snapshot: done.snapshot })
  },
})

const withdraw = route({
  method: 'post',
  path: '/api/v1/policy-changes/:changeId/withdraw',
  permission: 'policy:write',
  scope: 'global',
  stepUp: true,
  summary: 'Take back a change that waits; any one person may',
  tag,
  params: changeId,
  body: commented,
  output: { 200: changeView },
  handle: async ({ deps, principal, params, body }) => {
    const change = await found(deps, params.changeId)
    if (change.state !== 'proposed') throw settled(change)
    await decideChange(deps.db, { id: change.id, to: 'withdrawn', comment: body.comment }, principal)
    return reply(200, toView(await found(deps, change.id)))
  },
})

async function found({ db }: ApiDeps, id: string): Promise<PolicyChange> {
  const change = await loadChange(db, id)
  if (change) return change
  throw new HttpProblem({ status: 404, code: 'no_such_change', detail: `nobody asked for a change of policies \`${id}\``, nextStep: '`GET /api/v1/policy-changes` lists them' })
}

const settled = ({ id, state }: PolicyChange): HttpProblem => conflict('policy_change_settled', `change \`${id}\` was ${state} already`, 'look at it again')

export const policyChangeRoutes: Route[] = [list, show, agree, withdraw]
