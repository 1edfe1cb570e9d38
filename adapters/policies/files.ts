import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { bounds } from '../../domain/policy/bounds.ts'
import type { Path } from '../../domain/policy/check.ts'
import type { PolicyDocument } from '../../domain/policy/document.ts'
import { isMisplaced, type ExceptionDocument } from '../../domain/policy/exception.ts'
import { distinctIds, importFlat, isFlat } from '../../domain/policy/flat.ts'
import { isException, parseException } from '../../domain/policy/parse-exception.ts'
import { parsePolicy, type Parsed } from '../../domain/policy/parse.ts'
import { compileSnapshot, setProblems, type PolicySnapshot } from '../../domain/policy/snapshot.ts'
import { sha256Hex } from '../signing.ts'
import { compiling, reading } from './means.ts'
import { problemText, readYaml, type SourceDocument, type SourceError } from './yaml.ts'

/** `file:line` of a place in a policy, by the policy's id; undefined for a policy that is not from these files. */
export type WhereOf = (policy: string, path: Path) => string | undefined

/** `documents` are all policies, disabled ones too. */
export type LoadedPolicies =
  | { snapshot: PolicySnapshot; documents: PolicyDocument[]; exceptions: ExceptionDocument[]; where: WhereOf; errors?: undefined }
  | { snapshot?: undefined; documents?: undefined; exceptions?: undefined; errors: SourceError[] }

/** A file's name and text. */
export type PolicyFile = { name: string; text: string }

const mostFiles = 1000
const mostPolicies = 10_000

/** Tests of policies stand beside them and are no policies. */
export const isTestFile = (name: string): boolean => /\.test\.ya?ml$/.test(name)

/** The files of a directory by name, policies and their tests, not those of directories below it. Rejects when it cannot be read. */
export async function policyFiles(directory: string): Promise<PolicyFile[]> {
  const found = (await readdir(directory)).filter((name) => /^[^.].*\.ya?ml$/.test(name)).sort()
  // A pipe would be waited for.
  const regular = await Promise.all(found.map(async (name) => (await stat(join(directory, name))).isFile()))
  const names = found.filter((_, at) => regular[at])
  if (names.length > mostFiles) throw new Error(`more than ${mostFiles} files in \`${directory}\``)
  const texts = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')))
  return names.map((name, at) => ({ name, text: texts[at]! }))
}

/** Digest of names and texts, to tell whether anything changed without parsing. */
export const filesDigest = (files: readonly PolicyFile[]): string => sha256Hex(JSON.stringify(files.map(({ name, text }) => [name, text])))

/** What is in force whatever the files say. */
export type Standing = { policies: readonly PolicyDocument[]; exceptions: readonly ExceptionDocument[] }

/** All of the files' policies as one snapshot, with what stands besides, or every error in them: there is no half a set. */
export function compileFiles(files: readonly PolicyFile[], standing: Standing = { policies: [], exceptions: [] }): LoadedPolicies {
  const errors: SourceError[] = []
  const read: { source: SourceDocument; policy: PolicyDocument }[] = []
  const excepted: { source: SourceDocument; exception: ExceptionDocument }[] = []
  for (const { name, text } of files) {
    const { documents, errors: syntax } = readYaml(name, text)
    errors.push(...syntax)
    for (const source of documents) {
      const { policy, exception, problems } = parseSource(source)
      if (policy) read.push({ source, policy })
      else if (exception) excepted.push({ source, exception })
      else errors.push(...problems)
    }
  }
  if (read.length > mostPolicies) errors.push(`more than ${mostPolicies} policies in one directory`)
  const policies = distinctIds(read.map(({ source, policy }) => ({ policy, flat: isFlat(source.value) })))
  for (const { document, path, message } of setProblems([...policies, ...standing.policies])) errors.push(document < read.length ? problemText(read[document]!.source, path, message) : `${standing.policies[document - read.length]!.id} (in force from the API): ${message}`)
  for (const { source, exception } of excepted) if (isMisplaced(exception, policies)) errors.push(problemText(source, ['policy'], 'is no deny or approval policy of these files'))
  if (errors.length > 0) return { errors }
  const sources = new Map(read.map(({ source }, at) => [policies[at]!.id, source]))
  const exceptions = excepted.map(({ exception }) => exception)
  const snapshot = compileSnapshot([...policies, ...standing.policies], { ...compiling, exceptions: [...exceptions, ...standing.exceptions] })
  return { snapshot, documents: policies, exceptions, where: (policy, path) => sources.get(policy)?.where(path) }
}

/** A problem of one document of a list, by its place in it. */
export type DocumentProblem = { document: number; path: Path; message: string }

/** Documents that came as plain data, as one snapshot, or every problem in them. */
export function compileDocuments(values: readonly unknown[], exceptions: readonly ExceptionDocument[] = []): { snapshot: PolicySnapshot; problems?: undefined } | { snapshot?: undefined; problems: DocumentProblem[] } {
  const parsed = values.map(readDocument)
  const problems = parsed.flatMap((one, document) => (one.problems ?? []).map((problem) => ({ document, ...problem })))
  const policies = distinctIds(parsed.flatMap(({ policy }, at) => (policy ? [{ policy, flat: isFlat(values[at]) }] : [])))
  if (problems.length === 0) problems.push(...setProblems(policies))
  return problems.length > 0 ? { problems } : { snapshot: compileSnapshot(policies, { ...compiling, exceptions }) }
}

/** A document in the standard shape or the flat one. */
export const readDocument = (value: unknown): Parsed => (isFlat(value) ? importFlat(value, reading) : parsePolicy(value, reading))

type ParsedSource =
  | { policy: PolicyDocument; exception?: undefined; problems?: undefined }
  | { policy?: undefined; exception: ExceptionDocument; problems?: undefined }
  | { policy?: undefined; exception?: undefined; problems: SourceError[] }

function parseSource(source: SourceDocument): ParsedSource {
  if (source.bytes > bounds.documentBytes) return { problems: [problemText(source, [], `larger than ${bounds.documentBytes} bytes; split it`)] }
  const parsed = isException(source.value) ? parseException(source.value, reading) : readDocument(source.value)
  return parsed.problems ? { problems: parsed.problems.map(({ path, message }) => problemText(source, path, message)) } : parsed
}

export const cannotRead = (directory: string, error: unknown): SourceError => {
  const code = (error as NodeJS.ErrnoException).code
  return code === undefined ? String((error as Error).message) : `cannot read the policies in \`${directory}\` (${code}); check the path and its permissions`
}
