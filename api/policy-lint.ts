import type { Knex } from 'knex'
import { z } from 'zod'
import { compileFiles, isTestFile } from '../adapters/policies/files.ts'
import { historyBegan, recordedDecisions } from '../adapters/postgres/decision-history.ts'
import { dayMs } from '../domain/policy/calendar.ts'
import { codes, findingSeverities } from '../domain/policy/lint/finding.ts'
import { longDays, type History } from '../domain/policy/lint/upkeep.ts'
import { unmetPolicies } from '../domain/policy/unmet-policies.ts'
import type { PolicySnapshot } from '../domain/policy/snapshot.ts'
import { aside } from './policy-aside.ts'
import { candidateBodyLimitBytes, files, refused } from './policy-candidate.ts'
import { reply, route, type ApiDeps, type Route } from './route.ts'

/** What some seconds are enough for, where the policies are not made to hurt. */
const mostLinted = 2_000

const finding = z.strictObject({
  code: z.enum(codes),
  severity: z.enum(findingSeverities),
  /** Null where what is wrong is that no policy says anything. */
  policy: z.string().nullable(),
  others: z.array(z.string()),
  path: z.string(),
  /** `file:line`; null for the policies in force, and where no policy is meant. */
  where: z.string().nullable(),
  message: z.string(),
  /** A request that shows it, as a decision's input. */
  witness: z.record(z.string(), z.unknown()).nullable(),
})

const lint = route({
  method: 'post',
  path: '/api/v1/policy/lint',
  permission: 'policy:simulate',
  scope: 'global',
  summary: 'What is odd about policies: dead, redundant, impossible, unguarded, misspelt',
  description: 'Takes the files of a policy directory, or lints the policies in force when there are none. Nothing is started, recorded or changed. Each finding that can be shown on a request carries one, confirmed by the engine.',
  tag: 'Policy',
  body: z.strictObject({ files: files.shape.files.optional() }),
  bodyLimitBytes: candidateBodyLimitBytes,
  output: {
    200: z.strictObject({
      snapshot: z.string(),
      policies: z.int(),
      findings: z.array(finding),
      leftOut: z.array(z.strictObject({ code: z.enum(codes), reason: z.string() })),
    }),
  },
  handle: async ({ deps, body }) => {
    const snapshot = asked(deps, body.files)
    if (snapshot.size > mostLinted) throw refused([{ field: 'files', message: `more than ${mostLinted} policies: lint them in parts` }])
    const nowMs = Date.now()
    const history = await historyOf(deps.db, snapshot, nowMs)
    const { documents = [], members = [], exceptions = [] } = deps.policies().published ?? {}
    const what = body.files ? { files: body.files } : { documents, exceptions: exceptions.map(({ document }) => document), hashes: members.map(({ id, hash }): [string, string] => [id, hash]) }
    const { findings, leftOut } = await aside({ kind: 'lint', nowMs, history, ...what })
    return reply(200, { snapshot: snapshot.hash, policies: snapshot.size, findings: findings.map(({ witness, ...one }) => ({ ...one, witness: witness && { ...witness } })), leftOut })
  },
})

function asked({ policies }: ApiDeps, given: z.output<typeof files>['files'] | undefined): PolicySnapshot {
  if (!given) return policies().snapshot
  const loaded = compileFiles(given.filter(({ name }) => !isTestFile(name)))
  if (loaded.snapshot) return loaded.snapshot
  throw refused(loaded.errors.map((message) => ({ field: 'files', message })))
}

/** A look at a longer record is what simulations are for. */
const mostDecisions = 20_000

/** What these policies met of the last 30 days; claimed only where the record goes back that far and was seen whole. */
async function historyOf(db: Knex, snapshot: PolicySnapshot, nowMs: number): Promise<History> {
  const since = new Date(nowMs - longDays * dayMs)
  const began = await historyBegan(db)
  if (!began || began > since) return { unknown: `the record does not go back ${longDays} days yet` }
  const unmet = unmetPolicies(snapshot)
  let seen = 0
  for await (const page of recordedDecisions(db, { since, until: new Date(nowMs) })) {
    for (const { input } of page) unmet.add(input)
    if (unmet.left().size === 0) break
    seen += page.length
    if (seen >= mostDecisions) return { unknown: `more than ${mostDecisions} decisions are on record in ${longDays} days: \`aegis policy simulate\` tells which policies none of them met` }
  }
  return { unmatched: unmet.left() }
}

export const policyLintRoutes: Route[] = [lint]
