/** Policies of record: create, read, change, take back, roll back, publish from files. */
import { z } from 'zod'
import type { Published } from '../adapters/policies/published.ts'
import { listVersions, loadVersion, type Cause, type PolicyMember } from '../adapters/postgres/policies.ts'
import type { WantedChange, WantedEdit } from '../adapters/postgres/policy-changes.ts'
import type { Principal } from '../domain/remediation.ts'
import { candidateBodyLimitBytes, files } from './policy-candidate.ts'
import { conflict, documentOf, kept, noSuchPolicy, putForward, type Kept } from './policy-wanted.ts'
import { fieldProblem } from './problems.ts'
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

const versionView = z.strictObject({ version: z.int(), hash: z.string().nullable(), managedBy: z.enum(['api', 'git']), author: z.string(), comment: z.string(), at: z.string(), agreedBy: z.string().nullable() })

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
  output: { 201: published, 202: kept },
  handle: async ({ deps, principal, body }) => {
    const { id } = documentOf(body.document)
    const answer = await changed(deps, principal, { id, version: null, document: body.document, tests: body.tests }, { cause: 'edit', comment: body.comment })
    return 'changeId' in answer ? reply(202, answer) : reply(201, answer)
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
  output: { 200: published, 202: kept },
  handle: async ({ deps, principal, params, body }) => {
    const policy = documentOf(body.document)
    if (policy.id !== params.id) throw fieldProblem('bad_request', [{ field: 'document.id', message: `is \`${policy.id}\` and the path says \`${params.id}\`: an id never changes` }])
    const answer = await changed(deps, principal, { id: policy.id, version: body.version, document: body.document, ...(body.tests ? { tests: body.tests } : {}) }, { cause: 'edit', comment: body.comment })
    return 'changeId' in answer ? reply(202, answer) : reply(200, answer)
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
  output: { 200: published, 202: kept },
  handle: async ({ deps, principal, params, query }) => {
    const answer = await changed(deps, principal, { id: params.id, version: query.version, document: null }, { cause: 'edit', comment: query.comment })
    return 'changeId' in answer ? reply(202, answer) : reply(200, answer)
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
  output: { 200: published, 202: kept },
  handle: async ({ deps, principal, params, body }) => {
    const earlier = await loadVersion(deps.db, params.id, body.to)
    if (!earlier) throw noSuchPolicy(`policy \`${params.id}\` has no version ${body.to} with a document`)
    const document = JSON.parse(earlier.document) as Record<string, unknown>
    const answer = await changed(deps, principal, { id: params.id, version: body.version, document, tests: earlier.tests }, { cause: 'rollback', comment: body.comment })
    return 'changeId' in answer ? reply(202, answer) : reply(200, answer)
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
  output: { 200: z.strictObject({ snapshot: z.string(), commit: z.string().nullable() }), 202: kept },
  handle: async ({ deps, principal, body }) => {
    // Where the directory is not taken as it stands, nothing undoes what is published here.
    if (deps.sync && deps.sync.state().error === null && body.over === undefined) throw conflict('directory_synced', 'this API syncs the directory in AEGIS_POLICY_DIRECTORY and would undo it', 'change the files there, or set AEGIS_POLICY_DIRECTORY to nothing')
    const { commit, comment: said = '', over = null } = body
    const wanted: WantedChange = { cause: 'sync', comment: said, edits: [], files: body.files, replaces: [], commit, over }
    const result = await putForward(deps, wanted, principal)
    if ('kept' in result) return reply(202, result.kept)
    await deps.refreshPolicies()
    return reply(200, { snapshot: deps.policies().snapshot.hash, commit })
  },
})

export function memberOf(base: Published | null, wanted: string): PolicyMember {
  const member = base?.members.find((each) => each.id === wanted)
  if (!member) throw noSuchPolicy(`there is no policy \`${wanted}\` in force`)
  return member
}

/** The caller's next question is answered by what was just published. */
async function changed(deps: ApiDeps, principal: Principal, edit: WantedEdit, { cause, comment: said }: { cause: Cause; comment: string }): Promise<z.input<typeof published> | Kept> {
  const result = await putForward(deps, { cause, comment: said, edits: [edit], files: null, replaces: [], commit: null, over: null }, principal)
  if ('kept' in result) return result.kept
  const { done } = result
  await deps.refreshPolicies()
  if (done.published) return { id: edit.id, version: edit.document && (done.versions[edit.id] ?? null), snapshot: done.snapshot, seq: done.seq, changed: true }
  const standing = deps.policies().published
  return { id: edit.id, version: memberOf(standing, edit.id).version, snapshot: done.snapshot, seq: standing?.seq ?? null, changed: false }
}

export const policyEditRoutes: Route[] = [apply, create, show, replace, remove, rollback]
