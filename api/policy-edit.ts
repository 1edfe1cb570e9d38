/** Policies of record: create, read, change, take back, roll back, publish from files. */
import { z } from 'zod'
import { readDocument } from '../adapters/policies/files.ts'
import { publish, type ChangeSet, type PublishResult, type Refusal } from '../adapters/policies/publish.ts'
import type { Published } from '../adapters/policies/published.ts'
import { publishFiles } from '../adapters/policies/sync.ts'
import { actorOf } from '../adapters/postgres/ledger.ts'
import { listVersions, loadVersion, type Cause, type PolicyMember } from '../adapters/postgres/policies.ts'
import { pathText } from '../domain/policy/check.ts'
import type { PolicyDocument } from '../domain/policy/document.ts'
import type { Principal } from '../domain/remediation.ts'
import { candidateBodyLimitBytes, files } from './policy-candidate.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import { reply, route, type ApiDeps, type Route } from './route.ts'
import * as shape from './shapes.ts'

const tag = 'Policy'

const { policyId } = shape
const version = z.int().min(1)
const comment = shape.reason
const tests = z.array(z.record(z.string(), z.unknown())).max(1_000)
const document = z.record(z.string(), z.unknown())

const published = z.strictObject({
  id: z.string(),
  /** Of this policy, by now. Null: it is taken back. */
  version: z.int().nullable(),
  /** The snapshot in force, and its number. */
  snapshot: z.string(),
  seq: z.int().nullable(),
  /** False: it was so already. */
  changed: z.boolean(),
})

const versionView = z.strictObject({ version: z.int(), hash: z.string().nullable(), managedBy: z.enum(['api', 'git']), author: z.string(), comment: z.string(), at: z.string() })

const policyView = z.strictObject({
  ...versionView.shape,
  id: z.string(),
  document,
  /** When this content was first published: what a trial counts from. */
  since: z.string(),
  tests: z.array(z.unknown()),
  versions: shape.page(versionView),
})

const show = route({
  method: 'get',
  path: '/api/v1/policy/:id',
  permission: 'policy:read',
  scope: 'anywhere',
  summary: 'One policy in force: document, tests beside it, versions newest first',
  tag,
  params: z.strictObject({ id: policyId }),
  query: z.strictObject(shape.paging),
  output: { 200: policyView },
  handle: async ({ deps, params, query }) => {
    const member = memberOf(deps.policies().published, params.id)
    const versions = await listVersions(deps.db, params.id, shape.given(query))
    const { document: text, version: at, ...rest } = member
    return reply(200, { ...rest, version: at, document: JSON.parse(text) as Record<string, unknown>, versions })
  },
})

const create = route({
  method: 'post',
  path: '/api/v1/policy',
  permission: 'policy:write',
  scope: 'global',
  stepUp: true,
  summary: 'Put a new policy in force',
  description: 'The whole set is compiled and every test beside it run first; if one fails, nothing changes. What is signed and in force then is the new snapshot.',
  tag,
  body: z.strictObject({ document, tests: tests.default([]), comment }),
  output: { 201: published },
  handle: async ({ deps, principal, body }) => {
    const policy = documentOf(body.document)
    const result = await publish(deps.publisher, (base) => {
      const known = base?.members.find((member) => member.id === policy.id)
      if (known) throw conflict('policy_exists', `there is a policy \`${policy.id}\` already, version ${known.version}`, `change it with PUT /api/v1/policy/${policy.id}`)
      return byApi([{ id: policy.id, document: policy, tests: body.tests }], 'edit', principal, body.comment)
    })
    return reply(201, await told(deps, policy.id, result))
  },
})

const replace = route({
  method: 'put',
  path: '/api/v1/policy/:id',
  permission: 'policy:write',
  scope: 'global',
  stepUp: true,
  summary: 'Put a new version of a policy in force',
  description: 'Names the version that was looked at: when somebody else changed the policy since, theirs stands and this is refused with 409. A policy that comes from Git is refused too. Tests that are left out stay.',
  tag,
  params: z.strictObject({ id: policyId }),
  body: z.strictObject({ document, tests: tests.optional(), version, comment }),
  output: { 200: published },
  handle: async ({ deps, principal, params, body }) => {
    const policy = documentOf(body.document)
    if (policy.id !== params.id) throw fieldProblem('bad_request', [{ field: 'document.id', message: `is \`${policy.id}\` and the path says \`${params.id}\`: an id never changes` }])
    const result = await publish(deps.publisher, (base) => {
      looked(memberOf(base ?? null, params.id), body.version)
      return byApi([{ id: policy.id, document: policy, ...(body.tests ? { tests: body.tests } : {}) }], 'edit', principal, body.comment)
    })
    return reply(200, await told(deps, policy.id, result))
  },
})

const remove = route({
  method: 'delete',
  path: '/api/v1/policy/:id',
  permission: 'policy:write',
  scope: 'global',
  stepUp: true,
  summary: 'Take a policy back; its versions stay on record',
  tag,
  params: z.strictObject({ id: policyId }),
  query: z.strictObject({ version: z.string().regex(/^[1-9]\d{0,8}$/, 'must be the version that was looked at').pipe(z.coerce.number<string>()), comment }),
  output: { 200: published },
  handle: async ({ deps, principal, params, query }) => {
    const result = await publish(deps.publisher, (base) => {
      looked(memberOf(base ?? null, params.id), query.version)
      return byApi([{ id: params.id, document: null }], 'edit', principal, query.comment)
    })
    return reply(200, { ...(await told(deps, params.id, result)), version: null })
  },
})

const rollback = route({
  method: 'post',
  path: '/api/v1/policy/:id/rollback',
  permission: 'policy:write',
  scope: 'global',
  stepUp: true,
  summary: 'Put an earlier version of a policy in force again, as a new version',
  description: '`version` is the one that was looked at: one that was changed since is not rolled back.',
  tag,
  params: z.strictObject({ id: policyId }),
  body: z.strictObject({ to: version, version, comment }),
  output: { 200: published },
  handle: async ({ deps, principal, params, body }) => {
    const earlier = await loadVersion(deps.db, params.id, body.to)
    if (!earlier) throw noSuchPolicy(`policy \`${params.id}\` has no version ${body.to} with a document`)
    const back = { id: params.id, document: documentOf(JSON.parse(earlier.document) as Record<string, unknown>), tests: earlier.tests }
    const result = await publish(deps.publisher, (base) => {
      looked(memberOf(base ?? null, params.id), body.version)
      return byApi([back], 'rollback', principal, body.comment)
    })
    return reply(200, await told(deps, params.id, result))
  },
})

const apply = route({
  method: 'post',
  path: '/api/v1/policy/apply',
  permission: 'policy:write',
  scope: 'global',
  stepUp: true,
  summary: 'Make these files the whole of what Git manages',
  description: 'For pipelines: what is not among the files any more is taken back, policies made through the API stay. Refused while the API syncs a directory of its own and has taken it as it stands. `over` is for recovery alone: it names a snapshot that cannot be proven any more, of which nothing stays.',
  tag,
  body: z.strictObject({ ...files.shape, commit: z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/, 'must be a full commit id').nullable().default(null), comment: comment.optional(), over: z.int().min(1).optional() }),
  bodyLimitBytes: candidateBodyLimitBytes,
  output: { 200: z.strictObject({ snapshot: z.string(), commit: z.string().nullable() }) },
  handle: async ({ deps, principal, body }) => {
    // Where the directory is not taken as it stands, nothing undoes what is published here.
    if (deps.sync && deps.sync.state().error === null && body.over === undefined) throw conflict('directory_synced', 'this API syncs the directory in AEGIS_POLICY_DIRECTORY and would undo it', 'change the files there, or set AEGIS_POLICY_DIRECTORY to nothing')
    const refused = await publishFiles(deps.publisher, body.files, body.commit, { author: actorOf(principal), ...shape.given({ comment: body.comment, over: body.over }) })
    if (refused) throw refusedProblem(refused)
    await deps.refreshPolicies()
    return reply(200, { snapshot: deps.policies().snapshot.hash, commit: body.commit })
  },
})

function documentOf(value: Record<string, unknown>): PolicyDocument {
  const { policy, problems } = readDocument(value)
  if (policy) return policy
  throw fieldProblem('policy_invalid', problems.slice(0, 20).map(({ path, message }) => ({ field: `document${path.length > 0 ? `.${pathText(path)}` : ''}`, message })))
}

const byApi = (edits: ChangeSet['edits'], cause: Cause, principal: Principal, said: string): ChangeSet => ({ edits, managedBy: 'api', cause, author: actorOf(principal), comment: said, commit: null })

export function memberOf(base: Published | null, wanted: string): PolicyMember {
  const member = base?.members.find((each) => each.id === wanted)
  if (!member) throw noSuchPolicy(`there is no policy \`${wanted}\` in force`)
  return member
}

function looked(member: PolicyMember, at: number): void {
  if (member.version !== at) throw conflict('version_conflict', `policy \`${member.id}\` is at version ${member.version} by now, not ${at}`, 'read it again and repeat the change')
}

/** The caller's next question is answered by what was just published. */
async function told(deps: ApiDeps, wanted: string, result: PublishResult): Promise<z.input<typeof published>> {
  if (!result.published && result.refused) throw refusedProblem(result.refused)
  await deps.refreshPolicies()
  if (result.published) return { id: wanted, version: result.versions[wanted] ?? null, snapshot: result.snapshot, seq: result.seq, changed: true }
  const standing = deps.policies().published
  return { id: wanted, version: memberOf(standing, wanted).version, snapshot: result.snapshot, seq: standing?.seq ?? null, changed: false }
}

export const refusedProblem = ({ code, errors }: Refusal): HttpProblem => fieldProblem(code, errors.slice(0, 20), code.startsWith('managed_by') ? 409 : 400)

const conflict = (code: string, detail: string, nextStep: string): HttpProblem => new HttpProblem({ status: 409, code, detail, nextStep })
const noSuchPolicy = (detail: string): HttpProblem => new HttpProblem({ status: 404, code: 'no_such_policy', detail, nextStep: '`GET /api/v1/policy` lists those in force' })

export const policyEditRoutes: Route[] = [apply, create, show, replace, remove, rollback]
