import { Failure } from '../../domain/failure.ts'
import { staleAfterMs } from '../../domain/policy/bounds.ts'
import type { PolicySnapshot } from '../../domain/policy/snapshot.ts'
import { cannotRead, compileFiles, filesDigest, policyFiles, type LoadedPolicies } from './files.ts'

/** Loads every `*.yaml` and `*.yml` of a directory. Errors are lines of `file:line: path: message`. */
export async function loadPolicies(directory: string): Promise<LoadedPolicies> {
  try {
    return compileFiles(await policyFiles(directory))
  } catch (error) {
    return { errors: [cannotRead(directory, error)] }
  }
}

export type CurrentPolicies = {
  snapshot: PolicySnapshot
  /** Since the directory was last seen to hold exactly this snapshot. */
  ageMs: number
  /** Older than `staleAfterMs`: nothing may be allowed on the strength of it (`policy_stale`). */
  stale: boolean
  /** Why the newest content is not in use. */
  error?: string
}

export type PolicySource = {
  current(): CurrentPolicies
  /** Looks at the directory now. The timer does this every `reloadMs`. */
  reload(): Promise<void>
  close(): void
}

export type SourceOptions = {
  reloadMs: number
  /** Called once per new error, and with undefined when it is mended. */
  onChange?: (change: { snapshot: PolicySnapshot; error: string | undefined }) => void
}

/**
 * The policies of a directory, kept current by looking at its content every `reloadMs`. A new set
 * replaces the old one in one assignment; a broken edit leaves the last good one in place and says so.
 * Rejects with `Failure('invalid', 'policy_invalid')` when there is nothing good to begin with.
 */
export async function policySource(directory: string, { reloadMs, onChange }: SourceOptions): Promise<PolicySource> {
  const first = await look(directory, null)
  if (first.error !== undefined) throw new Failure('invalid', 'policy_invalid', first.error)
  let inUse: InUse = first
  let error: string | undefined
  let confirmedAt = performance.now()
  let running: Promise<void> | undefined
  let closed = false

  const update = async (): Promise<void> => {
    const lookedAt = performance.now()
    const seen = await look(directory, inUse)
    if (closed) return
    const before = { hash: inUse.snapshot.hash, error }
    error = seen.error
    if (seen.error === undefined) {
      inUse = seen
      confirmedAt = lookedAt
    }
    if (before.hash !== inUse.snapshot.hash || before.error !== error) onChange?.({ snapshot: inUse.snapshot, error })
  }
  // One look at a time: a slow disk must not let an older answer overtake a newer one.
  const reload = (): Promise<void> => (running ??= update().finally(() => (running = undefined)))
  const timer = setInterval(() => void reload(), reloadMs)
  timer.unref()

  return {
    current: () => {
      const ageMs = performance.now() - confirmedAt
      return { snapshot: inUse.snapshot, ageMs, stale: ageMs > staleAfterMs, ...(error === undefined ? {} : { error }) }
    },
    reload,
    close: () => {
      closed = true
      clearInterval(timer)
    },
  }
}

/** What is in force, and the digest of the files it was made of. */
type InUse = { digest: string; snapshot: PolicySnapshot; error?: undefined }

/** Never rejects. Unchanged content is not parsed again. */
async function look(directory: string, inUse: InUse | null): Promise<InUse | { error: string }> {
  try {
    const files = await policyFiles(directory)
    const digest = filesDigest(files)
    if (digest === inUse?.digest) return inUse
    const { snapshot, errors } = compileFiles(files)
    return snapshot ? { digest, snapshot } : { error: errors.join('\n') }
  } catch (failure) {
    return { error: cannotRead(directory, failure) }
  }
}
