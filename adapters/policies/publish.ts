import type { Knex } from 'knex'
import { canonicalJson } from '../../domain/canonical.ts'
import { Failure } from '../../domain/failure.ts'
import type { LedgerActor } from '../../domain/ledger.ts'
import { parseCase, runCase } from '../../domain/policy/cases.ts'
import { pathText } from '../../domain/policy/check.ts'
import type { PolicyDocument } from '../../domain/policy/document.ts'
import { isMisplaced, type ExceptionDocument } from '../../domain/policy/exception.ts'
import { compileSnapshot, contentHash, setProblems, type PolicySnapshot } from '../../domain/policy/snapshot.ts'
import { statementText } from '../../domain/policy/statement.ts'
import type { VerifySignature } from '../../domain/warrant.ts'
import { loadSnapshot, publishPolicies, type Cause, type ManagedBy, type PolicyEdit, type PolicyMember, type Publication, type StoredException } from '../postgres/policies.ts'
import { sha256Hex, type Signer } from '../signing.ts'
import { proven, type Published } from './published.ts'
import { readDocument } from './files.ts'
import { compiling } from './means.ts'
import { tzdataVersion } from './zones.ts'

export type Publisher = { db: Knex; signer: Signer; verify: VerifySignature }

/** `tests` are plain test documents; left out, those beside the policy stay. Without a document the policy is taken back. */
export type Edit = { id: string; document: PolicyDocument | null; tests?: unknown[] }

/** A plain test document, and in words where a person finds it. */
export type PlacedTest = { value: unknown; place: string }

export type ChangeSet = {
  edits: Edit[]
  /** Replace the tests that came from files. */
  fileTests?: PlacedTest[]
  /** Replace the exceptions that are managed in the same way. */
  exceptions?: ExceptionDocument[]
  managedBy: ManagedBy
  cause: Cause
  author: LedgerActor
  comment: string
  commit: string | null
  /** Of the files that it comes from. */
  filesDigest?: string | null
  /** Who agreed to it besides the author. */
  agreedBy?: LedgerActor
  also?: Publication['also']
  /** Told of the two sets before anything is published. False: it is not, and nothing changes. */
  review?: (reviewed: Reviewed) => Promise<boolean>
}

/** What is in force, undefined where nothing can be built upon, and what would be. */
export type Reviewed = { before: Published | undefined; after: PolicySnapshot; documents: PolicyDocument[]; edits: PolicyEdit[] }

/** `field` names the policy or the test; the message what is wrong with it. */
export type Refusal = { code: string; errors: { field: string; message: string }[] }

export type PublishResult =
  | { published: true; seq: number; versions: Record<string, number>; snapshot: string }
  | { published: false; refused: null; snapshot: string } // nothing would change
  | { published: false; refused: Refusal }

/** What is in force and proven; undefined when nothing was ever published. */
async function inForce({ db, verify }: Pick<Publisher, 'db' | 'verify'>): Promise<Published | undefined> {
  const stored = await loadSnapshot(db)
  return stored && proven(stored, verify)
}

/** Whoever publishes over everything must have to: what can be proven would be lost for nothing. */
async function nothingProven(publisher: Publisher): Promise<undefined> {
  const standing = await inForce(publisher).catch((failure: unknown) => {
    if (failure instanceof Failure && failure.kind !== 'unavailable') return undefined
    throw failure
  })
  if (standing) throw new Failure('conflict', 'policies_proven', `snapshot ${standing.seq} is what was signed, and would be lost: publish without naming it`)
}

/**
 * Makes a change set the new snapshot in force: all of it or nothing. The whole set is compiled and every test beside
 * it run first. `changeOf` is told what is in force; it is asked again when somebody else publishes in between. `over` names a
 * snapshot that cannot be proven any more: what is published then is the whole set, and nothing of that one stays.
 */
export async function publish(publisher: Publisher, changeOf: (base: Published | undefined) => ChangeSet | Refusal, over?: number): Promise<PublishResult> {
  for (let tries = 0; tries < triesLimit; tries++) {
    const base = over === undefined ? await inForce(publisher) : await nothingProven(publisher)
    const change = changeOf(base)
    if ('errors' in change) return { published: false, refused: change }
    const prepared = prepare(base, change)
    if ('errors' in prepared) return { published: false, refused: prepared }
    if (base && prepared.edits.length === 0 && sameBesides(base, prepared)) return { published: false, refused: null, snapshot: prepared.snapshot.hash }
    if (change.review && !(await change.review({ before: base, after: prepared.snapshot, documents: prepared.documents, edits: prepared.edits }))) return { published: false, refused: heldBack }
    try {
      return await commit(publisher, { onto: over ?? base?.seq ?? 0, replaces: over !== undefined }, change, prepared)
    } catch (failure) {
      if (over !== undefined || !(failure instanceof Failure && failure.code === 'policies_moved')) throw failure
    }
  }
  throw new Failure('limited', 'policies_busy', `the policies were changed ${triesLimit} times while this change was checked: send it again`)
}

const triesLimit = 10

/** Whoever reviews knows why. */
const heldBack: Refusal = { code: 'held_back', errors: [] }

type Prepared = { edits: PolicyEdit[]; documents: PolicyDocument[]; snapshot: PolicySnapshot; tests: unknown[]; exceptions: StoredException[] }

async function commit({ db, signer }: Publisher, place: Pick<Publication, 'onto' | 'replaces'>, { managedBy, cause, author, comment, commit: sha, filesDigest = null, agreedBy, also }: ChangeSet, { edits, snapshot, tests, exceptions }: Prepared): Promise<PublishResult> {
  const [{ hash }, { keyId }] = [snapshot, signer]
  const statement = statementText({ type: 'aegis-policy-snapshot-v1', seq: place.onto + 1, hash, keyId })
  const done = await publishPolicies(db, { ...place, edits, managedBy, cause, author, comment, commit: sha, filesDigest, hash, statement, keyId, signature: signer.sign(statement), tests, exceptions, ...(agreedBy && { agreedBy }), ...(also && { also }) })
  return { published: true, ...done, snapshot: hash }
}

function prepare(base: Published | undefined, change: ChangeSet): Prepared | Refusal {
  const { edits, fileTests, managedBy } = change
  const members = new Map(base?.members.map((member) => [member.id, member]))
  const foreign = edits.filter(({ id }) => members.has(id) && members.get(id)!.managedBy !== managedBy)
  if (foreign.length > 0) return { code: managedBy === 'git' ? 'managed_by_api' : 'managed_by_git', errors: foreign.map(({ id }) => ({ field: id, message: foreignText(id, managedBy) })) }

  const changed = edits.map((edit) => toEdit(edit, members.get(edit.id))).filter(({ edit, was }) => !same(edit, was))
  const unread = changed.flatMap(({ edit }) => unreadable(edit))
  if (unread.length > 0) return { code: 'policy_invalid', errors: unread }
  const documents = new Map(base?.documents.map((document) => [document.id, document]))
  const hashes = new Map(base?.members.map(({ id, hash }) => [id, hash]))
  for (const { id, document } of edits) {
    if (document) documents.set(id, document)
    else documents.delete(id)
  }
  for (const { edit } of changed) if (edit.document) hashes.set(edit.id, edit.document.hash)
  const all = [...documents.values()]
  const problems = setProblems(all)
  if (problems.length > 0) return { code: 'policy_invalid', errors: problems.map(({ document, path, message }) => ({ field: `${all[document]!.id}.${pathText(path)}`, message })) }

  const excepted = exceptionsAfter(base, change, documents)
  if ('errors' in excepted) return excepted
  const { exceptions } = excepted
  const snapshot = compileSnapshot(all, { ...compiling, hashes, exceptions: exceptions.map(({ document }) => document) })
  // Taking back an exception only tightens, and must not wait for a test that counted on it.
  const tightens = edits.length === 0 && fileTests === undefined && exceptions.every(({ document }) => base?.exceptions.some((one) => one.document.id === document.id))
  const fromFiles = fileTests ?? (base?.tests ?? []).map((value) => ({ value, place: 'from the files' }))
  const given = new Map(edits.map((edit) => [edit.id, edit.tests]))
  const beside = all.flatMap(({ id }) => (given.get(id) ?? members.get(id)?.tests ?? []).map((value) => ({ value, place: `beside \`${id}\`` })))
  const errors = tightens ? [] : failuresOf(snapshot, [...fromFiles, ...beside])
  if (errors.length > 0) return { code: 'policy_tests_failed', errors }
  return { edits: changed.map(({ edit }) => edit), documents: all, snapshot, tests: fromFiles.map(({ value }) => value), exceptions }
}

/** What is over goes, and so does what was an exception from a policy that is gone. */
function exceptionsAfter(base: Published | undefined, { exceptions: given, managedBy }: ChangeSet, documents: ReadonlyMap<string, PolicyDocument>): { exceptions: StoredException[] } | Refusal {
  const misplaced = (given ?? []).filter((one) => isMisplaced(one, documents.values()))
  if (misplaced.length > 0) return { code: 'exception_misplaced', errors: misplaced.map(({ id, policy }) => ({ field: id, message: `excepts from \`${policy}\`, which is no deny or approval policy in this set` })) }
  const kept = (base?.exceptions ?? []).filter((one) => given === undefined || one.managedBy !== managedBy)
  const all = [...kept, ...(given ?? []).map((document) => ({ managedBy, document }))]
  const standing = all.filter(({ document }) => documents.has(document.policy) && Date.parse(document.expiresAt) > Date.now())
  const twice = standing.find(({ document }, at) => standing.findIndex((other) => other.document.id === document.id) !== at)
  if (twice) return { code: 'exception_misplaced', errors: [{ field: twice.document.id, message: 'two exceptions have this id: give one of them another' }] }
  return { exceptions: standing.sort((a, b) => (a.document.id < b.document.id ? -1 : 1)) }
}

/** What is signed must be readable by whoever reads it back: with its defaults filled in a document is larger than it was sent. */
function unreadable({ id, document }: PolicyEdit): Refusal['errors'] {
  const { problems = [] } = document ? readDocument(JSON.parse(document.text)) : {}
  return problems.map(({ path, message }) => ({ field: `${id}${path.length > 0 ? `.${pathText(path)}` : ''}`, message: `with its defaults spelled out: ${message}` }))
}

const foreignText = (id: string, managedBy: ManagedBy): string =>
  managedBy === 'git'
    ? `policy \`${id}\` is in force from the API: take it back there first, or give the file's policy another id`
    : `policy \`${id}\` comes from Git: change its file and let it be synced`

function toEdit({ id, document, tests }: Edit, was: PolicyMember | undefined): { edit: PolicyEdit; was: PolicyMember | undefined } {
  const text = document && { text: canonicalJson(document), hash: contentHash(document, sha256Hex) }
  return { edit: { id, document: text, tests: document ? (tests ?? was?.tests ?? []) : [] }, was }
}

const same = ({ document, tests }: PolicyEdit, was: PolicyMember | undefined): boolean =>
  document?.hash === was?.hash && canonicalJson(tests) === canonicalJson(was?.tests ?? [])

const sameBesides = (base: Published, { tests, exceptions }: Prepared): boolean =>
  canonicalJson([tests, exceptions]) === canonicalJson([base.tests, base.exceptions])

function failuresOf(snapshot: PolicySnapshot, tests: readonly PlacedTest[]): Refusal['errors'] {
  return tests.flatMap(({ value, place }) => {
    const { test, problems } = parseCase(value, tzdataVersion)
    if (!test) return problems.map(({ path, message }) => ({ field: `test (${place}).${pathText(path)}`, message }))
    const { ok, failures, message } = runCase(snapshot, test)
    return ok ? [] : [{ field: `test \`${test.name}\` (${place})`, message: `${failures.join('; ')} (${message})` }]
  })
}
