/** Whether a change of policies takes a second person: one that lets more happen does. */
import type { Reviewed } from '../adapters/policies/publish.ts'
import { compiling } from '../adapters/policies/means.ts'
import { tzdataVersion, wallClock } from '../adapters/policies/zones.ts'
import { Failure } from '../domain/failure.ts'
import { grantsMore, tooLarge, type Grant } from '../domain/policy/grants.ts'
import { compileSnapshot } from '../domain/policy/snapshot.ts'
import { aside } from './policy-aside.ts'
import type { PolicySet } from './policy-jobs.ts'

/** So little is compared within some tens of milliseconds, which is less than a thread takes to begin. */
const fewCharacters = 64 * 1024
const littleEffort = 20_000

/** Where nothing can be built upon, nothing is allowed. */
const nothing = compileSnapshot([], compiling)

export async function grantOf({ before, after, documents }: Reviewed): Promise<Grant | null> {
  const [nowMs, was] = [Date.now(), before?.snapshot ?? nothing]
  if (JSON.stringify([before?.documents, documents]).length <= fewCharacters) {
    const grant = grantsMore(was, after, { nowMs, wallClock, tzdata: tzdataVersion, effort: littleEffort })
    if (grant === null || grant.witness) return grant
  }
  try {
    return await aside({ kind: 'grants', nowMs, before: standing(before), after: becoming(documents, after) })
  } catch (failure) {
    // Nobody gets past this by sending what takes too long.
    if (failure instanceof Failure && failure.code === 'policy_job_too_large') return tooLarge('comparing it with what is in force took too long')
    throw failure
  }
}

const standing = (before: Reviewed['before']): PolicySet => ({
  documents: before?.documents ?? [],
  hashes: (before?.members ?? []).map(({ id, hash }) => [id, hash]),
  exceptions: (before?.exceptions ?? []).map(({ document }) => document),
})

/** Hashes as they would be signed, since a policy that is the same must be seen to be. */
const becoming = (documents: Reviewed['documents'], { policies }: Reviewed['after']): PolicySet => ({
  documents,
  hashes: policies.map(({ document, hash }) => [document.id, hash]),
  exceptions: policies.flatMap(({ exceptions }) => exceptions.map(({ document }) => document)),
})
