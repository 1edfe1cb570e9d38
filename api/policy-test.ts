import { z } from 'zod'
import { readCases } from '../adapters/policies/cases.ts'
import { isTestFile } from '../adapters/policies/files.ts'
import { proceeds } from '../domain/policy/mode.ts'
import { aside } from './policy-aside.ts'
import { candidateBodyLimitBytes, compiled, files, refused } from './policy-candidate.ts'
import { reply, route, type Route } from './route.ts'

const mostTests = 5_000

const result = z.strictObject({
  name: z.string(),
  ok: z.boolean(),
  proceed: z.enum(proceeds),
  code: z.string(),
  determining: z.array(z.string()),
  message: z.string(),
  failures: z.array(z.string()),
})

const coverage = z.strictObject({
  policies: z.int(),
  /** Policies that no test made match. */
  neverMatched: z.array(z.string()),
  leaves: z.int(),
  /** Leaves of conditions, and which of true, false and unknown no test has got out of them. */
  uncovered: z.array(z.strictObject({ policy: z.string(), path: z.string(), wanted: z.string(), unseen: z.array(z.union([z.boolean(), z.literal('unknown')])) })),
})

const test = route({
  method: 'post',
  path: '/api/v1/policy/test',
  permission: 'policy:simulate',
  scope: 'global',
  summary: 'Runs the tests that stand beside policies, and says what they leave untested',
  description: 'Takes the files of a policy directory; `*.test.yaml` holds tests. Nothing is started, recorded or changed.',
  tag: 'Policy',
  body: files,
  bodyLimitBytes: candidateBodyLimitBytes,
  output: { 200: z.strictObject({ snapshot: z.string(), passed: z.int(), failed: z.int(), results: z.array(result), coverage }) },
  handle: async ({ body }) => {
    compiled(body)
    refuseOdd(body)
    const { snapshot, results, coverage: shown } = await aside({ kind: 'test', files: body.files })
    const passed = results.filter(({ ok }) => ok).length
    return reply(200, { snapshot, passed, failed: results.length - passed, results, coverage: shown })
  },
})

function refuseOdd(body: z.output<typeof files>): void {
  const { cases, errors } = readCases(body.files.filter(({ name }) => isTestFile(name)))
  if (errors) throw refused(errors.map((message) => ({ field: 'files', message })))
  if (cases.length > mostTests) throw refused([{ field: 'files', message: `more than ${mostTests} tests: send them in parts` }])
}

export const policyTestRoutes: Route[] = [test]
