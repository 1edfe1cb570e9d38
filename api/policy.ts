import { z } from 'zod'
import { tzdataVersion, wallClock } from '../adapters/policies/zones.ts'
import { asCel } from '../domain/policy/cel.ts'
import { decide, refusal } from '../domain/policy/decide.ts'
import type { Decision } from '../domain/policy/decision.ts'
import { effects, enforcements } from '../domain/policy/document.ts'
import { requestTypes, type Facts, type PolicyInput } from '../domain/policy/input.ts'
import { modes } from '../domain/remediation.ts'
import { allows } from './permissions.ts'
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
  allowed: z.boolean(),
  effect: z.enum(effects),
  code: z.string(),
  reason: z.string(),
  message: z.string(),
  snapshot: z.string(),
  /** The whole explanation; null without the permission to read the audit. */
  decision: z.record(z.string(), z.unknown()).nullable(),
})

const evaluate = route({
  method: 'post',
  path: '/api/v1/policy/evaluate',
  permission: 'policy:evaluate',
  summary: 'What policy says to a request of yours; nothing is started or recorded',
  description: 'Who asks is taken from the credential alone, and the time is the server\'s. Facts that Aegis measures itself in a remediation (`request`, `target`, `history`) are yours to suppose here.',
  tag,
  body: evaluateBody,
  output: { 200: answer },
  handle: async ({ deps, body, principal }) => {
    const { context, request, target, history, ...asked } = body
    const supposed = { context, request, target, history } as Record<'context' | 'request' | 'target' | 'history', Facts>
    const input: PolicyInput = { ...asked, ...supposed, principal, approvals: [], now: Date.now(), tzdata: tzdataVersion }
    const { snapshot, stale, error } = deps.policies()
    const decision = stale ? refusal(snapshot, input, 'policy_stale', `the policies could not be read again: ${error ?? 'no reason known'}`) : decide(snapshot, input)
    return reply(200, toAnswer(decision, allows(principal.roles, 'audit:read')))
  },
})

const toAnswer = (decision: Decision, mayReadAudit: boolean): z.infer<typeof answer> => {
  const { effect, code, reason, message, snapshot, breaches } = decision
  const allowed = effect === 'allow' && breaches.length === 0
  return { allowed, effect, code, reason, message, snapshot, decision: mayReadAudit ? { ...decision } : null }
}

const policyItem = z.strictObject({
  id: z.string(),
  name: z.string(),
  hash: z.string(),
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

const list = route({
  method: 'get',
  path: '/api/v1/policy',
  permission: 'policy:read',
  summary: 'The policies in force, by content hash, and why a newer edit is not in use',
  tag,
  output: {
    200: z.strictObject({
      snapshot: z.string(),
      ageMs: z.number(),
      stale: z.boolean(),
      error: z.string().nullable(),
      items: z.array(policyItem),
    }),
  },
  handle: async ({ deps }) => {
    const { snapshot, ageMs, stale, error = null } = deps.policies()
    const items = snapshot.policies.map(({ hash, document }) => {
      const { id, name, effect, enforcement, mode, priority, actions, resources, owner, message } = document
      return { id, name, hash, effect, enforcement, mode, priority, actions, resources, owner, message, cel: asCel(document, wallClock) }
    })
    return reply(200, { snapshot: snapshot.hash, ageMs: Math.round(ageMs), stale, error, items })
  },
})

export const policyRoutes: Route[] = [evaluate, list]
