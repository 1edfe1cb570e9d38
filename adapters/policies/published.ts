import type { Knex } from 'knex'
import { Failure } from '../../domain/failure.ts'
import { staleAfterMs } from '../../domain/policy/bounds.ts'
import type { PolicyDocument } from '../../domain/policy/document.ts'
import type { ExceptionDocument } from '../../domain/policy/exception.ts'
import { parseException } from '../../domain/policy/parse-exception.ts'
import { parsePolicy } from '../../domain/policy/parse.ts'
import { compileSnapshot, type PolicySnapshot } from '../../domain/policy/snapshot.ts'
import { parseStatement } from '../../domain/policy/statement.ts'
import type { VerifySignature } from '../../domain/warrant.ts'
import { isNewest, loadSnapshot, type PolicyMember, type StoredException, type StoredSnapshot } from '../postgres/policies.ts'
import { sha256Hex } from '../signing.ts'
import { compiling, reading } from './means.ts'

export type CurrentPolicies = {
  snapshot: PolicySnapshot
  /** What it was made of; null while nothing has been taken yet. */
  published: Published | null
  /** Since the database was last seen to hold exactly this snapshot. */
  ageMs: number
  /** Older than `staleAfterMs`, or nothing taken yet: nothing may be allowed on the strength of it (`policy_stale`). */
  stale: boolean
  /** Why what is in force is not in use. */
  error?: string
}

export type PolicySource = {
  current(): CurrentPolicies
  /** Looks at the database now. The timer does this every `reloadMs`. */
  reload(): Promise<void>
  close(): void
}

export type SourceOptions = {
  verify: VerifySignature
  reloadMs: number
  /** Called once per new error, and with undefined when it is mended. */
  onChange?: (change: { snapshot: PolicySnapshot; error: string | undefined }) => void
}

/** A stored snapshot whose signature and hashes hold. */
export type Published = StoredSnapshot & { documents: PolicyDocument[]; snapshot: PolicySnapshot }

/** How often whoever decides looks whether there is a newer set, besides being told. */
export const policyReloadMs = 5_000

const nothingYet = compileSnapshot([], compiling)

/**
 * The policies of record, kept current by a look every `reloadMs` and whenever told to. A new snapshot replaces the
 * old one in one assignment, after its signature, its hashes and its number were checked; one that fails leaves the
 * last good one in place and says so. It never rejects: while nothing good was seen, it is stale.
 */
export function publishedPolicies(db: Knex, { verify, reloadMs, onChange }: SourceOptions): PolicySource {
  let inUse: Published | null = null
  let error: string | undefined = 'the policies have not been read from the database yet'
  let confirmedAt = -Infinity
  let running: Promise<void> | undefined
  let coming: Promise<void> | undefined
  let closed = false

  const update = async (): Promise<void> => {
    const lookedAt = performance.now()
    const seen = await look(db, inUse, verify)
    // An answer that was overtaken says nothing new.
    if (closed || (!('error' in seen) && inUse && seen.seq < inUse.seq)) return
    const before = { hash: inUse?.hash, error }
    error = 'error' in seen ? seen.error : undefined
    if (!('error' in seen)) {
      inUse = seen
      confirmedAt = lookedAt
    }
    if (before.hash !== inUse?.hash || before.error !== error) onChange?.({ snapshot: inUse?.snapshot ?? nothingYet, error })
  }
  const lookNow = (): Promise<void> => (running = update().finally(() => (running = undefined)))
  // One look at a time, and one more for all who ask meanwhile: the one under way may have read before they asked.
  const reload = (): Promise<void> => (running ? (coming ??= running.then(() => ((coming = undefined), lookNow()))) : lookNow())
  const timer = setInterval(() => void reload(), reloadMs)
  timer.unref()

  return {
    current: () => {
      const ageMs = performance.now() - confirmedAt
      const snapshot = inUse?.snapshot ?? nothingYet
      return { snapshot, published: inUse, ageMs, stale: ageMs > staleAfterMs, ...(error === undefined ? {} : { error }) }
    },
    reload,
    close: () => {
      closed = true
      clearInterval(timer)
    },
  }
}

/** Never rejects. What is known already is not read again. */
async function look(db: Knex, inUse: Published | null, verify: VerifySignature): Promise<Published | { error: string }> {
  try {
    if (inUse && (await isNewest(db, inUse))) return inUse
    const stored = await loadSnapshot(db)
    if (!stored) return { error: 'no policies were published yet: set AEGIS_POLICY_DIRECTORY of the API, or publish some through it' }
    if (inUse && stored.seq <= inUse.seq) return { error: wentBack(inUse.seq, stored.seq) }
    return proven(stored, verify)
  } catch (failure) {
    return { error: failure instanceof Error ? failure.message : 'the policies could not be read' }
  }
}

const wentBack = (from: number, to: number): string =>
  `the policies of record went back from snapshot ${from} to ${to}: if the database was restored, restart this process to take them`

/** Throws `Failure('conflict', 'policies_unproven')` for anything that was not signed as it stands. */
export function proven(stored: StoredSnapshot, verify: VerifySignature): Published {
  const { seq, hash, statement: text, keyId, signature, members, exceptions } = stored
  const statement = parseStatement(text)
  if (!statement || statement.seq !== seq || statement.hash !== hash || statement.keyId !== keyId) throw unproven(seq, 'its statement is about something else')
  const verified = verify(keyId, text, signature)
  if (verified === undefined) throw unproven(seq, `its key \`${keyId}\` is not among AEGIS_POLICY_PUBLIC_KEYS_FILE`)
  if (!verified) throw unproven(seq, 'its signature does not verify')
  const altered = members.find((member) => `sha256:${sha256Hex(member.document)}` !== member.hash)
  if (altered) throw unproven(seq, `policy \`${altered.id}\` is not what was signed`)
  const documents = members.map((member) => readAgain(seq, member))
  const snapshot = compileSnapshot(documents, { ...compiling, hashes: new Map(members.map((member) => [member.id, member.hash])), exceptions: exceptions.map((one) => exceptionAgain(seq, one)) })
  if (snapshot.hash !== hash) throw unproven(seq, 'its policies are not those that were signed')
  return { ...stored, documents, snapshot }
}

const unproven = (seq: number, why: string): Failure =>
  new Failure('conflict', 'policies_unproven', `snapshot ${seq} of the policies cannot be trusted: ${why}. If its key was lost, put the public key back; otherwise compare control.policy_snapshots with a backup, or ${overText(seq)}`)

const overText = (seq: number): string => `publish the whole set over it with \`aegis policy apply <directory> --over ${seq}\``

/** What an older version signed may mean nothing to this one; nothing can be built upon it then. */
const unreadable = (seq: number, what: string, why: string): Failure =>
  new Failure('conflict', 'policies_unreadable', `${what} in snapshot ${seq} cannot be read by this version (${why}): ${overText(seq)}`)

function exceptionAgain(seq: number, { document }: StoredException): ExceptionDocument {
  const { exception, problems } = parseException(document, reading)
  if (exception) return exception
  throw unreadable(seq, `exception \`${document.id}\``, problems[0]?.message ?? 'no reason known')
}

function readAgain(seq: number, { id, document }: PolicyMember): PolicyDocument {
  const { policy, problems } = parsePolicy(JSON.parse(document), reading)
  if (policy?.id === id) return policy
  throw unreadable(seq, `policy \`${id}\``, problems?.[0]?.message ?? 'its id is another')
}
