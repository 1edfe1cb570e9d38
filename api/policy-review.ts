/** Whether a change of policies takes a second person: one that lets more happen does. */
import type { Knex } from 'knex'
import type { Reviewed } from '../adapters/policies/publish.ts'
import { compiling } from '../adapters/policies/means.ts'
import { tzdataVersion, wallClock } from '../adapters/policies/zones.ts'
import { standingCaps } from '../adapters/postgres/rungs.ts'
import { Failure } from '../domain/failure.ts'
import { grantsMore, tooLarge, type Grant } from '../domain/policy/grants.ts'
import { compileSnapshot } from '../domain/policy/snapshot.ts'
import { strictestMode, type Mode } from '../domain/remediation.ts'
import { aside } from './policy-aside.ts'
import type { PolicySet } from './policy-jobs.ts'

/** So little is compared within some tens of milliseconds, which is less than a thread takes to begin. */
const fewCharacters = 64 * 1024
const littleEffort = 20_000

/**
 * By the policies' own words, and once more with what experience took from them: a policy that was taken down a rung,
 * or is stopped by a breaker, must not come back to life under another name.
 */
export async function grantOf(db: Knex, reviewed: Reviewed): Promise<Grant | null> {
  const [was, is] = [standing(reviewed.before), becoming(reviewed)]
  const grant = await comparedAt(Date.now(), was, is)
  if (grant) return grant
  const caps = await standingCaps(db)
  const capped = was.documents.map(({ id }) => id).filter((id) => caps.has(id))
  if (capped.length === 0) return null
  const held = await comparedAt(Date.now(), cappedBy(caps, was), cappedBy(caps, is))
  return held && { ...held, why: `${held.why}; ${capped.slice(0, 5).map((id) => `\`${id}\` may go as far as \`${caps.get(id)}\``).join(', ')} after what it did, and what replaces it would not be held to that` }
}

async function comparedAt(nowMs: number, before: PolicySet, after: PolicySet): Promise<Grant | null> {
  if (JSON.stringify([before.documents, after.documents]).length <= fewCharacters) {
    const grant = grantsMore(compiled(before), compiled(after), { nowMs, wallClock, tzdata: tzdataVersion, effort: littleEffort })
    if (grant === null || grant.witness) return grant
  }
  try {
    return await aside({ kind: 'grants', nowMs, before, after })
  } catch (failure) {
    // Nobody gets past this by sending what takes too long.
    if (failure instanceof Failure && failure.code === 'policy_job_too_large') return tooLarge('comparing it with what is in force took too long')
    throw failure
  }
}

const compiled = ({ documents, hashes, exceptions }: PolicySet) => compileSnapshot(documents, { ...compiling, hashes: new Map(hashes), exceptions })

/** Where nothing can be built upon, nothing is allowed. */
const standing = (before: Reviewed['before']): PolicySet => ({
  documents: before?.documents ?? [],
  hashes: (before?.members ?? []).map(({ id, hash }) => [id, hash]),
  exceptions: (before?.exceptions ?? []).map(({ document }) => document),
})

/** Hashes as they would be signed, since a policy that is the same must be seen to be. */
const becoming = ({ documents, after: { policies } }: Reviewed): PolicySet => ({
  documents,
  hashes: policies.map(({ document, hash }) => [document.id, hash]),
  exceptions: policies.flatMap(({ exceptions }) => exceptions.map(({ document }) => document)),
})

/** The hashes stay: what did not change is still the same. */
const cappedBy = (caps: ReadonlyMap<string, Mode>, set: PolicySet): PolicySet => ({
  ...set,
  documents: set.documents.map((document) => ({ ...document, mode: strictestMode(document.mode, caps.get(document.id) ?? 'auto') })),
})
