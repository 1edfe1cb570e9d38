/** A change of policies that somebody wants: published at once, or kept until another person agrees. */
import type { Knex } from 'knex'
import { z } from 'zod'
import { readDocument } from '../adapters/policies/files.ts'
import { publish, type ChangeSet, type Edit, type PublishResult, type Refusal, type Reviewed } from '../adapters/policies/publish.ts'
import type { Published } from '../adapters/policies/published.ts'
import { changeOfFiles } from '../adapters/policies/sync.ts'
import { actorOf } from '../adapters/postgres/ledger.ts'
import type { PolicyEdit } from '../adapters/postgres/policies.ts'
import { proposeChange, type WantedChange } from '../adapters/postgres/policy-changes.ts'
import { freshId } from '../adapters/signing.ts'
import type { LedgerActor } from '../domain/ledger.ts'
import type { Grant } from '../domain/policy/grants.ts'
import { pathText } from '../domain/policy/check.ts'
import type { PolicyDocument } from '../domain/policy/document.ts'
import type { Principal } from '../domain/remediation.ts'
import { grantOf } from './policy-review.ts'
import { fieldProblem, HttpProblem } from './problems.ts'
import type { ApiDeps } from './route.ts'

/** Not in force: another person has to agree. */
export const kept = z.strictObject({
  changeId: z.uuid(),
  /** A request to which more would be let happen, as a decision's input; null where the change was too large to compare. */
  witness: z.record(z.string(), z.unknown()).nullable(),
  why: z.string(),
  nextStep: z.string(),
})

export type Kept = z.input<typeof kept>

type Done = Exclude<PublishResult, { refused: Refusal }>

/** Published, or kept because it lets more happen than what is in force. */
export async function putForward(deps: ApiDeps, wanted: WantedChange, principal: Principal): Promise<{ done: Done } | { kept: Kept }> {
  let held: { grant: Grant; reviewed: Reviewed } | undefined
  const review = async (reviewed: Reviewed): Promise<boolean> => {
    const grant = await grantOf(deps.db, reviewed)
    if (grant) held = { grant, reviewed }
    return grant === null
  }
  const result = await attempt(deps, wanted, { author: actorOf(principal), ...(deps.settings.policyFourEyes ? { review } : {}) })
  if (held) return { kept: await keep(deps, shown(wanted, held.reviewed), held.grant, principal) }
  return { done: publishedOr(result) }
}

type Agreed = { author: LedgerActor; agreedBy: LedgerActor; lookedAt: string | null; also: (trx: Knex) => Promise<void> }

/** Prepares the change anew on the set that was looked at, if that is what is in force. `also` is true from the same moment on. */
export async function putInForce(deps: ApiDeps, wanted: WantedChange, agreed: Agreed): Promise<Done> {
  return publishedOr(await attempt(deps, wanted, agreed))
}

/** What it would come to now; nothing changes. `grant` is null where it lets nothing more happen. */
export async function tried(deps: ApiDeps, wanted: WantedChange, author: LedgerActor): Promise<Looked> {
  return lookedAtBy(deps, (review) => attempt(deps, wanted, { author, review }))
}

/** Over the set in force, by its hash; `refused` in words where it cannot be put in force as things are. */
export type Looked = { snapshot: string | null; grant: Grant | null; refused: string | null }

export async function lookedAtBy(deps: ApiDeps, attempted: (review: NonNullable<ChangeSet['review']>) => Promise<PublishResult>): Promise<Looked> {
  let looked: Looked | undefined
  const review = async (reviewed: Reviewed): Promise<boolean> => {
    looked = { snapshot: reviewed.before?.snapshot.hash ?? null, grant: await grantOf(deps.db, reviewed), refused: null }
    return false
  }
  const nothing = { snapshot: deps.policies().published?.snapshot.hash ?? null, grant: null }
  try {
    const result = await attempted(review)
    if (looked) return looked
    return { ...nothing, refused: !result.published && result.refused ? result.refused.errors.map(({ field, message }) => `${field}: ${message}`).join('; ') : null }
  } catch (failure) {
    if (failure instanceof HttpProblem) return { ...nothing, refused: failure.parts.detail }
    throw failure
  }
}

/** An agreement is to what was looked at: over another set the same change may let more happen. */
export function unmovedSince(lookedAt: string | null, base: Published | undefined): void {
  if ((base?.snapshot.hash ?? null) !== lookedAt) throw conflict('policies_moved', 'other policies are in force by now than those you looked at', 'look at it again, and send the `snapshot` that it shows')
}

function publishedOr(result: PublishResult): Done {
  if (!result.published && result.refused) throw refusedProblem(result.refused)
  return result
}

type Besides = { author: LedgerActor; lookedAt?: string | null } & Pick<ChangeSet, 'agreedBy' | 'also' | 'review'>

async function attempt({ publisher }: ApiDeps, wanted: WantedChange, { lookedAt, ...besides }: Besides): Promise<PublishResult> {
  const change = changeOf(wanted, besides.author)
  if ('errors' in change) return { published: false, refused: change }
  const on = (base: Published | undefined): ChangeSet | Refusal => {
    if (lookedAt !== undefined) unmovedSince(lookedAt, base)
    // Files that are sent for the first time are for whatever stands.
    if (wanted.files && besides.agreedBy) unmoved(base, wanted)
    const set = change.on(base)
    return 'errors' in set ? set : { ...set, ...besides }
  }
  return publish(publisher, on, wanted.over ?? undefined)
}

function changeOf(wanted: WantedChange, author: LedgerActor): ReturnType<typeof changeOfFiles> {
  const { cause, comment, commit, edits, files } = wanted
  if (!files) return { on: (base) => ({ edits: edits.map((edit) => editOn(base, edit)), managedBy: 'api', cause, author, comment, commit }) }
  return changeOfFiles(files, commit, { author, ...(comment === '' ? {} : { comment }) })
}

function editOn(base: Published | undefined, { id, version, document, tests }: WantedChange['edits'][number]): Edit {
  looked(base, id, version)
  return { id, document: document && documentOf(document), ...(tests ? { tests } : {}) }
}

/** What was looked at is what stands. */
function looked(base: Published | undefined, id: string, version: number | null): void {
  const known = base?.members.find((member) => member.id === id)
  if (version === null) {
    if (known) throw conflict('policy_exists', `there is a policy \`${id}\` already, version ${known.version}`, `change it with PUT /api/v1/policy/${id}`)
    return
  }
  if (!known) throw noSuchPolicy(`there is no policy \`${id}\` in force`)
  if (known.version !== version) throw conflict('version_conflict', `policy \`${id}\` is at version ${known.version} by now, not ${version}`, 'read it again and repeat the change')
}

/** Files replace all that Git manages: also what they leave as it was must stand as it did. */
function unmoved(base: Published | undefined, { replaces }: WantedChange): void {
  if (JSON.stringify(fromGit(base)) !== JSON.stringify(replaces)) throw conflict('version_conflict', 'what Git manages was changed since these files were sent', 'withdraw the change and send the files again')
}

const fromGit = (base: Published | undefined): WantedChange['replaces'] =>
  (base?.members ?? []).filter(({ managedBy }) => managedBy === 'git').map(({ id, version }) => [id, version])

/** Files say what is to be; who is to agree looks at what they change, and of which versions. */
function shown(wanted: WantedChange, { before, edits }: Reviewed): WantedChange {
  if (!wanted.files) return wanted
  const versionOf = (id: string): number | null => before?.members.find((member) => member.id === id)?.version ?? null
  const parsed = ({ document }: PolicyEdit) => document && (JSON.parse(document.text) as Record<string, unknown>)
  return { ...wanted, replaces: fromGit(before), edits: edits.map((edit) => ({ id: edit.id, version: versionOf(edit.id), document: parsed(edit) })) }
}

async function keep({ db }: ApiDeps, wanted: WantedChange, { witness, why }: Grant, principal: Principal): Promise<Kept> {
  const id = freshId()
  await proposeChange(db, { id, wanted, why, witness }, principal)
  const nextStep = `another person with the role approver or admin puts it in force: \`aegis policy agree ${id} --comment "…"\`. Where there is one person alone, sync policies from files, or set AEGIS_POLICY_FOUR_EYES=off`
  return { changeId: id, witness: witness && { ...witness }, why, nextStep }
}

export function documentOf(value: Record<string, unknown>): PolicyDocument {
  const { policy, problems } = readDocument(value)
  if (policy) return policy
  throw fieldProblem('policy_invalid', problems.slice(0, 20).map(({ path, message }) => ({ field: `document${path.length > 0 ? `.${pathText(path)}` : ''}`, message })))
}

export const refusedProblem = ({ code, errors }: Refusal): HttpProblem => fieldProblem(code, errors.slice(0, 20), code.startsWith('managed_by') ? 409 : 400)

export const conflict = (code: string, detail: string, nextStep: string): HttpProblem => new HttpProblem({ status: 409, code, detail, nextStep })
export const noSuchPolicy = (detail: string): HttpProblem => new HttpProblem({ status: 404, code: 'no_such_policy', detail, nextStep: '`GET /api/v1/policy` lists those in force' })
