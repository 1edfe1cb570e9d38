import { setTimeout as sleep } from 'node:timers/promises'
import type { LedgerActor } from '../../domain/ledger.ts'
import type { PolicyDocument } from '../../domain/policy/document.ts'
import { contentHash } from '../../domain/policy/snapshot.ts'
import { filesReplaced } from '../postgres/policies.ts'
import { sha256Hex } from '../signing.ts'
import { readCases } from './cases.ts'
import { commitOf } from './commit.ts'
import { cannotRead, compileFiles, filesDigest, isTestFile, policyFiles, type PolicyFile } from './files.ts'
import { publish, type ChangeSet, type Edit, type Publisher, type Refusal } from './publish.ts'
import type { Published } from './published.ts'
import { readYaml, type SourceError } from './yaml.ts'

export type SyncState = {
  directory: string
  /** Of the checkout that these files are as Git has them in; null outside one, and while they are not. */
  commit: string | null
  /** When the directory was last found to be what is in force; null: not yet. */
  syncedAt: string | null
  /** Why what the directory holds now is not in force. */
  error: string | null
}

export type DirectorySync = {
  /** Publishes the directory's policies where they changed since they last were; rejects only where the database does not answer. */
  round(): Promise<void>
  state(): SyncState
}

/** Half a file is rarely on disk for longer. */
const settleMs = 250

const syncer: LedgerActor = { id: 'policy-sync', kind: 'system', owner: 'aegis' }

/**
 * A directory of YAML as the source of truth for the policies in it. It is published when its content changes, not
 * whenever it differs from what is in force: two processes with an old and a new copy would take turns otherwise.
 */
export function directorySync(directory: string, publisher: Publisher): DirectorySync {
  let done: string | undefined
  let state: SyncState = { directory, commit: null, syncedAt: null, error: null }

  return {
    state: () => state,
    async round() {
      const read = await filesOf(directory)
      if ('error' in read) return void (state = { ...state, error: read.error })
      const commit = await commitOf(directory, read.files)
      if (read.digest === done) return void (state = { ...state, commit, error: null })
      const error = (await unsettled(directory, read.digest)) ?? (done === undefined && (await filesReplaced(publisher.db, read.digest)) ? replaced(directory) : undefined)
      if (error) return void (state = { ...state, error })
      const refused = await publishFiles(publisher, read.files, commit)
      if (refused) return void (state = { ...state, error: refused.errors.map(({ field, message }) => `${field}: ${message}`).join('\n') })
      done = read.digest
      state = { directory, commit, syncedAt: new Date().toISOString(), error: null }
    },
  }
}

/** A process that starts with an old copy, as in the middle of a rolling update, does not bring it back. */
const replaced = (directory: string): string =>
  `what is in \`${directory}\` was in force before and has been replaced since: if it is meant, publish it with \`aegis policy apply ${directory}\``

/** Files are written one after the other, and a checkout takes its time: what still changes is looked at again later. */
async function unsettled(directory: string, digest: string): Promise<string | undefined> {
  await sleep(settleMs)
  const again = await filesOf(directory)
  if ('error' in again) return again.error
  return again.digest === digest ? undefined : 'the files are being written: they are taken once they hold still'
}

async function filesOf(directory: string): Promise<{ files: PolicyFile[]; digest: string } | { error: string }> {
  try {
    const files = await policyFiles(directory)
    return { files, digest: filesDigest(files) }
  } catch (failure) {
    return { error: cannotRead(directory, failure) }
  }
}

/** Files as the whole of what Git manages: what is not among them any more is taken back. Null: they are in force. */
export async function publishFiles(publisher: Publisher, files: readonly PolicyFile[], commit: string | null): Promise<Refusal | null> {
  const change = changeOfFiles(files, commit)
  if ('errors' in change) return change
  const result = await publish(publisher, change.on)
  return result.published ? null : result.refused
}

/** What a change of files is on what is in force; the files themselves are read and checked once. */
export function changeOfFiles(
  files: readonly PolicyFile[],
  commit: string | null,
  { author = syncer, comment }: { author?: LedgerActor; comment?: string } = {},
): { on: (base: Published | undefined) => ChangeSet | Refusal } | Refusal {
  const tests = files.filter(({ name }) => isTestFile(name))
  const { documents, exceptions, errors } = compileFiles(files.filter(({ name }) => !isTestFile(name)))
  const problems = [...(errors ?? []), ...(readCases(tests).errors ?? [])]
  if (!documents || problems.length > 0) return { code: 'policy_invalid', errors: problems.map(placed) }
  const fileTests = tests.flatMap(({ name, text }) => readYaml(name, text).documents.map(({ value, where }) => ({ value, place: where([]) })))
  const told = comment ?? (commit === null ? 'synced from its directory' : `synced at commit ${commit.slice(0, 12)}`)
  return {
    on: (base) => {
      const edits = editsOf(documents, base)
      if (documents.length === 0 && edits.length > 0) return emptied
      return { edits, fileTests, exceptions, managedBy: 'git', cause: 'sync', author, comment: told, commit, filesDigest: filesDigest(files) }
    },
  }
}

/** `file:line: what is wrong`; an error about all files has no place. */
function placed(error: SourceError): Refusal['errors'][number] {
  const [, field, message] = /^([^ ]+:\d+): (.*)$/s.exec(error) ?? [null, 'files', error]
  return { field: field!, message: message! }
}

/** A lost mount looks like this, and so does half a checkout. */
const emptied: Refusal = { code: 'policies_emptied', errors: [{ field: 'files', message: 'there is no policy here, and some from files are in force: leave one that is `enforcement: disabled` if none is meant' }] }

function editsOf(documents: readonly PolicyDocument[], base: Published | undefined): Edit[] {
  const present = new Set(documents.map(({ id }) => id))
  const gone = (base?.members ?? []).filter(({ id, managedBy }) => managedBy === 'git' && !present.has(id))
  return [...documents.map((document) => ({ id: document.id, document })), ...gone.map(({ id }) => ({ id, document: null }))]
}

/** How the files differ from what is in force, by policy. */
export type Drift = { id: string; difference: 'not_in_force' | 'other_content' | 'not_in_files' }

export function driftOf(documents: readonly PolicyDocument[], base: Published | null): Drift[] {
  const inForce = new Map((base?.members ?? []).filter(({ managedBy }) => managedBy === 'git').map((member) => [member.id, member.hash]))
  const wanted = new Map(documents.map((document) => [document.id, contentHash(document, sha256Hex)]))
  const ids = [...new Set([...inForce.keys(), ...wanted.keys()])].sort()
  return ids.flatMap((id): Drift[] => {
    if (!inForce.has(id)) return [{ id, difference: 'not_in_force' }]
    if (!wanted.has(id)) return [{ id, difference: 'not_in_files' }]
    return inForce.get(id) === wanted.get(id) ? [] : [{ id, difference: 'other_content' }]
  })
}
