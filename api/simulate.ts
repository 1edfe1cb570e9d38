import { z } from 'zod'
import { countDecisions, recordedDecisions, type HistorySpan } from '../adapters/postgres/decision-history.ts'
import type { Standing } from '../adapters/policies/files.ts'
import type { Published } from '../adapters/policies/published.ts'
import { Failure } from '../domain/failure.ts'
import { parseDuration } from '../domain/policy/calendar.ts'
import { proceeds } from '../domain/policy/mode.ts'
import { simulation } from '../domain/policy/simulate.ts'
import type { PolicySnapshot } from '../domain/policy/snapshot.ts'
import { candidateBodyLimitBytes, candidateSet, compiled } from './policy-candidate.ts'
import { streamRoute, type ApiDeps, type Route } from './route.ts'
import * as shape from './shapes.ts'

/** Past this the span is too long to be answered in one call. */
const limitMs = 10 * 60_000
const progressEveryMs = 200

const simulateBody = z.strictObject({
  candidate: candidateSet,
  /** From here on: an instant, or a time back from now such as `7d`. Everything on record when left out. */
  since: z.union([shape.instant, z.string().regex(/^\d{1,4}[smhd]$/)], { error: 'must be an instant such as 2026-12-24T18:00:00Z, or a time back from now such as 7d' }).optional(),
})

const example = z.strictObject({
  decisionId: z.string(),
  /** Null: a question that was put to the policies directly. */
  remediationId: z.string().nullable(),
  at: z.number(),
  action: z.string(),
  resource: z.string(),
  severity: z.string().nullable(),
  before: z.string(),
  after: z.string(),
})

const remediations = z.strictObject({ count: z.int(), ids: z.array(z.string()) })

const report = z.strictObject({
  current: z.string(),
  candidate: z.string(),
  decisions: z.int(),
  span: z.strictObject({ from: z.number(), to: z.number() }).nullable(),
  unchanged: z.int(),
  unreadable: z.int(),
  transitions: z.array(z.strictObject({ from: z.enum(proceeds), to: z.enum(proceeds), count: z.int(), first: example, worst: example })),
  newlyAllowed: z.int(),
  newlyStopped: z.int(),
  letThrough: remediations,
  stopped: remediations,
  missing: z.array(z.strictObject({ attr: z.string(), count: z.int(), firstDecisionId: z.string() })),
  neverMatched: z.array(z.string()),
  untried: z.array(z.string()),
})

/** Any number of `progress` lines, then one `report`; or a `problem`, if something goes wrong on the way. */
const line = z.union([
  z.strictObject({ progress: z.strictObject({ done: z.int(), total: z.int() }) }),
  z.strictObject({ report }),
])

const simulate = streamRoute({
  method: 'post',
  path: '/api/v1/policy/simulate',
  permission: 'policy:simulate',
  scope: 'global',
  summary: 'What other policies would have answered to every decision on record',
  description: 'Each recorded decision is made again with the facts and the clock it had, under the policies in force and under the candidate. Nothing is started, recorded or changed. Answers with one JSON value a line: `progress` while it works, then the `report`.',
  tag: 'Policy',
  body: simulateBody,
  bodyLimitBytes: candidateBodyLimitBytes,
  line,
  handle: async ({ deps, body: { candidate, since } }) => {
    const snapshot = compiled(candidate, standingBeside(candidate, deps.policies().published))
    const now = new Date()
    const span: HistorySpan = { until: now, ...(since === undefined ? {} : { since: startOf(since, now) }) }
    return replay(deps, snapshot, span, await countDecisions(deps.db, span))
  },
})

/** Files are the whole of what Git manages: what was made through the API stays in force beside them. */
function standingBeside(candidate: z.output<typeof candidateSet>, published: Published | null): Standing {
  const { documents = [], members = [], exceptions = [] } = published ?? {}
  return {
    policies: documents.filter((_, at) => members[at]!.managedBy === 'api'),
    exceptions: exceptions.filter(({ managedBy }) => managedBy === 'api' || !('files' in candidate)).map(({ document }) => document),
  }
}

const startOf = (since: string, now: Date): Date => {
  const back = /^\d+[smhd]$/.test(since) ? (parseDuration(since, Infinity) ?? 0) : undefined
  return back === undefined ? new Date(since) : new Date(now.getTime() - back)
}

async function* replay({ db, policies }: ApiDeps, candidate: PolicySnapshot, span: HistorySpan, total: number): AsyncGenerator<z.input<typeof line>> {
  const run = simulation(policies().snapshot, candidate)
  const deadline = performance.now() + limitMs
  let [done, toldAt] = [0, -Infinity]
  for await (const page of recordedDecisions(db, span)) {
    for (const recorded of page) run.add(recorded)
    done += page.length
    if (performance.now() > deadline) throw tooLong(done)
    if (performance.now() - toldAt < progressEveryMs) continue
    toldAt = performance.now()
    yield { progress: { done, total: Math.max(done, total) } }
  }
  yield { progress: { done, total: done } }
  yield { report: run.report() }
}

const tooLong = (done: number) => new Failure('invalid', 'simulation_too_long', `after ${limitMs / 60_000} min ${done} decisions were replayed and more are left: choose a later \`since\``)

export const simulateRoutes: Route[] = [simulate]
