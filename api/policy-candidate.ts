/** Policies that are asked about before they are in force. */
import { z } from 'zod'
import { compileDocuments, compileFiles, isTestFile, type DocumentProblem, type Standing } from '../adapters/policies/files.ts'
import { pathText } from '../domain/policy/check.ts'
import type { PolicySnapshot } from '../domain/policy/snapshot.ts'
import { fieldProblem, type FieldError } from './problems.ts'

/** Policies in full; a thousand of usual size. */
export const candidateBodyLimitBytes = 2 * 1024 * 1024
const mostPolicies = 10_000

export const files = z.strictObject({ files: z.array(z.strictObject({ name: z.string().min(1).max(255), text: z.string() })).max(1_000) })

/** As documents, or as YAML files, which problems are then told of by file and line. */
export const candidateSet = z.union([
  z.strictObject({ policies: z.array(z.record(z.string(), z.unknown())).max(mostPolicies) }),
  files,
], { error: 'must be either `{ "policies": [document, …] }` or `{ "files": [{ "name", "text" }, …] }`' })

/** Throws a problem that names the place in each document that is wrong. Policies that stand besides are beside files alone: a list of policies is the whole set. */
export function compiled(candidate: z.output<typeof candidateSet>, standing: Standing = { policies: [], exceptions: [] }): PolicySnapshot {
  if ('files' in candidate) {
    const { snapshot, errors } = compileFiles(candidate.files.filter(({ name }) => !isTestFile(name)), standing)
    if (snapshot) return snapshot
    throw refused(errors.map((message) => ({ field: 'candidate.files', message })))
  }
  const { snapshot, problems } = compileDocuments(candidate.policies, standing.exceptions)
  if (snapshot) return snapshot
  throw refused(problems.map(fieldOf))
}

export const refused = (errors: FieldError[]) => fieldProblem('policy_invalid', errors.slice(0, 20))

const fieldOf = ({ document, path, message }: DocumentProblem) => ({ field: `candidate.policies[${document}]${path.length > 0 ? `.${pathText(path)}` : ''}`, message })
