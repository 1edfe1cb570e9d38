import { z } from 'zod'
import type { StoredException } from '../adapters/postgres/policies.ts'
import { tzdataVersion, wallClock } from '../adapters/policies/zones.ts'
import { asCel } from '../domain/policy/cel.ts'
import type { Decision } from '../domain/policy/decision.ts'
import { effects, enforcements } from '../domain/policy/document.ts'
import { requestTypes, type Facts, type PolicyInput } from '../domain/policy/input.ts'
import { modes } from '../domain/remediation.ts'
import { allows } from './permissions.ts'
import { areaOf, asked, type Asked } from './policy-question.ts'
import { reply, route, type Route } from './route.ts'

const tag = 'Policy'

/** Facts nest: labels, and the seeds' `metadata`. The body scan bounds their depth and the size of the whole. */
const facts = z.record(z.string().max(256), z.unknown())

const evaluateBody = z.strictObject({
  action: z.string().min(1).max(128),
  resource: z.string().min(1).max(1024),
  type: z.enum(requestTypes).default('self_healing'),
  context: facts.default({}),
  request: facts.default({}),
  target: facts.default({}),
  history: facts.default({}),
})

const answer = z.strictObject({
  /** Its row in `GET /api/v1/policy/audit/logs`. */
  logId: z.string(),
  allowed: z.boolean(),
  effect: z.enum(effects),
  code: z.string(),
  reason: z.string(),
  message: z.string(),
  snapshot: z.string(),
  /** The whole explanation; null without the permission to read the audit. */
  decision: z.record(z.string(), z.unknown()).nullable(),
})

/** An answer as a client may rely on it. */
export type Explained = Omit<z.infer<typeof answer>, 'decision'> & { decision: Pick<Decision, 'determining' | 'nearMisses' | 'breaches' | 'excepted' | 'shadow'> | null }

const evaluate = route({
  method: 'post',
  path: '/api/v1/policy/evaluate',
  permission: 'policy:evaluate',
  scope: 'anywhere',
  summary: 'What policy says to a request of yours; nothing is started',
  description: 'Who asks is taken from the credential alone, and the time is the server\'s. Facts that Aegis measures itself in a remediation (`request`, `target`, `history`) are yours to suppose here. Question and answer are on record before you hear it: `GET /api/v1/policy/audit/logs`.',
  tag,
  body: evaluateBody,
  output: { 200: answer },
  handle: async ({ deps, body, principal }) => {
    const { context, request, target, history, ...question } = body
    const supposed = { context, request, target, history } as Record<'context' | 'request' | 'target' | 'history', Facts>
    const input: PolicyInput = { ...question, ...supposed, principal, approvals: [], now: Date.now(), tzdata: tzdataVersion }
    return reply(200, toAnswer(await asked(deps, principal, input), allows(principal, 'audit:read', areaOf(input))))
  },
})

const toAnswer = ({ logId, decision, allowed, code, message }: Asked, mayReadAudit: boolean): z.infer<typeof answer> => {
  const { effect, snapshot } = decision
  const reason = code === decision.code ? decision.reason : message
  return { logId, allowed, effect, code, reason, message, snapshot, decision: mayReadAudit ? { ...decision } : null }
}

const policyItem = z.strictObject({
  id: z.string(),
  name: z.string(),
  hash: z.string(),
  version: z.int(),
  managedBy: z.enum(['api', 'git']),
  author: z.string(),
  at: z.string(),
  effect: z.enum(effects),
  enforcement: z.enum(enforcements),
  mode: z.enum(modes),
  priority: z.int(),
  actions: z.array(z.string()),
  resources: z.array(z.string()),
  owner: z.string().nullable(),
  message: z.string().nullable(),
  /** `when` and not `unless` in the words of CEL, for reading. */
  cel: z.string(),
})

const exceptionItem = z.strictObject({
  id: z.string(),
  policy: z.string(),
  managedBy: z.enum(['api', 'git']),
  actions: z.array(z.string()),
  resources: z.array(z.string()),
  reason: z.string(),
  author: z.string(),
  approvedBy: z.string(),
  notBefore: z.string(),
  expiresAt: z.string(),
})

const toException = ({ managedBy, document }: StoredException): z.infer<typeof exceptionItem> => {
  const { id, policy, actions, resources, reason, author, approvedBy, notBefore, expiresAt } = document
  return { id, policy, managedBy, actions, resources, reason, author, approvedBy, notBefore, expiresAt }
}

const list = route({
  method: 'get',
  path: '/api/v1/policy',
  permission: 'policy:read',
  scope: 'anywhere',
  summary: 'The policies in force, by content hash, and why a newer edit is not in use',
  tag,
  output: {
    200: z.strictObject({
      snapshot: z.string(),
      /** Number of the snapshot; null while none is in use. */
      seq: z.int().nullable(),
      ageMs: z.number().nullable(),
      stale: z.boolean(),
      error: z.string().nullable(),
      items: z.array(policyItem),
      /** Those that stand with the policies, from files and from the API. */
      exceptions: z.array(exceptionItem),
    }),
  },
  handle: async ({ deps }) => {
    const { snapshot, published, ageMs, stale, error = null } = deps.policies()
    const items = (published?.documents ?? []).map((document, at) => {
      const { id, name, effect, enforcement, mode, priority, actions, resources, owner, message } = document
      const { hash, version, managedBy, author, at: changedAt } = published!.members[at]!
      return { id, name, hash, version, managedBy, author, at: changedAt, effect, enforcement, mode, priority, actions, resources, owner, message, cel: asCel(document, wallClock) }
    })
    return reply(200, { snapshot: snapshot.hash, seq: published?.seq ?? null, ageMs: Number.isFinite(ageMs) ? Math.round(ageMs) : null, stale, error, items, exceptions: (published?.exceptions ?? []).map(toException) })
  },
})

export const policyRoutes: Route[] = [evaluate, list]
