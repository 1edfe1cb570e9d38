import { z } from 'zod'
import { trialLimit, wouldHaveDone } from '../adapters/postgres/trials.ts'
import { reply, route, type Route } from './route.ts'
import * as shape from './shapes.ts'

const item = z.strictObject({
  remediationId: z.string(),
  action: shape.action,
  target: shape.target,
  /** What the trial held back: it would have acted, or asked people. */
  otherwise: z.enum(['act', 'ask']),
  decidedAt: z.string(),
  /** Whether a person then asked for the same within a day. */
  askedByPerson: z.boolean(),
})

const report = route({
  method: 'get',
  path: '/api/v1/policy/:id/trial',
  permission: 'remediations:read',
  scope: 'filtered',
  summary: 'What a policy would have done in its trial',
  description: `A new allow policy is held at \`suggest\` for AEGIS_POLICY_TRIAL_MS. Newest first, of the last 90 days, at most ${trialLimit}.`,
  tag: 'Policy',
  params: z.strictObject({ id: shape.policyId }),
  output: { 200: z.strictObject({ items: z.array(item) }) },
  handle: async ({ deps, params, areas }) => reply(200, { items: await wouldHaveDone(deps.db, params.id, areas) }),
})

export const policyTrialRoutes: Route[] = [report]
