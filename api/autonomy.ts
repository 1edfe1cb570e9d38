import { z } from 'zod'
import { demoteRung, evidenceLimit, ladderLimit, listLadder, promoteRung, type LadderView, type StepRefused } from '../adapters/postgres/autonomy.ts'
import { enough } from '../domain/autonomy/proposal.ts'
import { wilsonLowerBound } from '../domain/autonomy/wilson.ts'
import { defaultCluster } from './accept.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import { reply, route, type ApiDeps, type Route } from './route.ts'
import { placeOf } from './scopes.ts'
import * as shape from './shapes.ts'

const tag = 'Autonomy'

const { mode, policyId } = shape
const count = z.int()
/** The Wilson lower bound at 95 % of the counts beside it, from 0 to 1. */
const bound = z.number()

export const rungView = z.strictObject({
  policy: z.string(),
  cluster: z.string(),
  namespace: z.string(),
  mode,
  kind: z.enum(['demoted', 'promoted']),
  reason: z.string(),
  /** Whose bad outcome it was; null: a person's step. */
  remediationId: z.string().nullable(),
  by: z.string(),
  at: z.string(),
})

const place = z.strictObject({
  policy: z.string(),
  cluster: z.string(),
  namespace: z.string(),
  /** What holds: the strictest of the rung and the ceiling. */
  mode,
  /** The standing rung; null: the ladder caps nothing here. */
  rung: rungView.nullable(),
  /** What the settings and the policy's own mode allowed at its newest decision; null: none on record. */
  ceiling: mode.nullable(),
  evidence: z.strictObject({
    suggestions: z.strictObject({ agreed: count, ignored: count, bound }),
    approvals: z.strictObject({ approved: count, declined: count, bound }),
    acts: z.strictObject({ healed: count, bad: count, bound }),
    lastBadAt: z.string().nullable(),
  }),
  proposal: z.enum(['suggest', 'approve', 'auto']).nullable(),
  /** Whether the ladder is what caps it, so that a promotion would change something. */
  held: z.boolean(),
  why: z.string(),
})

const list = route({
  method: 'get',
  path: '/api/v1/autonomy',
  permission: 'autonomy:read',
  scope: 'filtered',
  summary: 'How far each policy may go in each namespace, and what speaks for more',
  description: `Evidence of the last 90 days, counted over the newest ${evidenceLimit} decisions and acts of what is asked about. Nothing is ever promoted by itself. At most ${ladderLimit} places.`,
  tag,
  query: z.strictObject({ policy: policyId.optional(), cluster: shape.labelName.optional(), namespace: shape.labelName.optional() }),
  output: { 200: z.strictObject({ items: z.array(place), enough: bound }) },
  handle: async ({ deps, query, areas }) => reply(200, { items: (await listLadder(deps.db, { ...shape.given(query), areas })).map(toPlace), enough }),
})

function toPlace({ evidence, ...of }: LadderView): z.input<typeof place> {
  const { suggestions, approvals, acts, lastBadAtMs } = evidence
  const boundOf = (yes: number, no: number) => wilsonLowerBound(yes, yes + no)
  return {
    ...of,
    evidence: {
      suggestions: { ...suggestions, bound: boundOf(suggestions.agreed, suggestions.ignored) },
      approvals: { ...approvals, bound: boundOf(approvals.approved, approvals.declined) },
      acts: { ...acts, bound: boundOf(acts.healed, acts.bad) },
      lastBadAt: lastBadAtMs === null ? null : new Date(lastBadAtMs).toISOString(),
    },
  }
}

const step = z.strictObject({ policy: policyId, cluster: shape.labelName.optional(), namespace: shape.labelName, mode, reason: shape.reason })

const promoted = route({
  method: 'post',
  path: '/api/v1/autonomy/promote',
  permission: 'autonomy:promote',
  scope: ({ body }, settings) => placeOf(body, settings),
  stepUp: true,
  summary: 'One rung up, where the evidence proposes exactly that now',
  description: 'For admins: it lets Aegis do unasked what people were asked about.',
  tag,
  body: step,
  output: { 200: rungView },
  handle: async ({ deps, body, principal }) => {
    const done = await promoteRung(deps.db, { ...body, cluster: clusterOf(deps, body.cluster), principal })
    if (done.stepped) return reply(200, done.rung)
    throw refused(done)
  },
})

const demoted = route({
  method: 'post',
  path: '/api/v1/autonomy/demote',
  permission: 'autonomy:demote',
  scope: ({ body }, settings) => placeOf(body, settings),
  summary: 'Any number of rungs down, at any time',
  description: 'It holds for every decision from now on. What was decided before may still be carried out: a freeze stops that.',
  tag,
  body: step,
  output: { 200: rungView },
  handle: async ({ deps, body, principal }) => {
    const cluster = clusterOf(deps, body.cluster)
    if (!isKnown(deps, body.policy)) {
      throw fieldProblem('unknown_policy', [{ field: 'policy', message: `\`${body.policy}\` is not a policy in force: \`GET /api/v1/policy\` lists them` }])
    }
    const done = await demoteRung(deps.db, { ...body, cluster, principal })
    if (done.stepped) return reply(200, done.rung)
    throw new HttpProblem({ status: 409, code: done.because, detail: `the policy's rung there is at \`${done.stands}\` already`, nextStep: 'name a lower mode; a step up is `POST /api/v1/autonomy/promote`' })
  },
})

/** A rung of a policy or a cluster that nobody has would hold nothing, and look as if it did. */
function clusterOf({ settings }: ApiDeps, cluster: string = defaultCluster(settings)): string {
  if (settings.clusters.includes(cluster)) return cluster
  throw fieldProblem('unknown_cluster', [{ field: 'cluster', message: `\`${cluster}\` is not a cluster of this Aegis: use ${settings.clusters.join(', ')}` }])
}

const isKnown = ({ policies }: ApiDeps, id: string): boolean => policies().snapshot.policies.some(({ document }) => document.id === id)

const nextSteps: Record<StepRefused['because'], string> = {
  no_history: '`GET /api/v1/autonomy` lists what there is evidence for',
  not_proposed: '`GET /api/v1/autonomy` shows the evidence; let people answer until it suffices',
  other_mode: 'ask for the mode that is proposed',
  not_held: 'raise `mode` in the policy\'s file, AEGIS_MODE or AEGIS_NAMESPACE_MODES, whichever is the strictest',
}

const refused = ({ because, why }: StepRefused): HttpProblem => new HttpProblem({ status: 409, code: because, detail: why, nextStep: nextSteps[because] })

export const autonomyRoutes: Route[] = [list, promoted, demoted]
