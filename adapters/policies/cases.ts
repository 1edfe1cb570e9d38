import { parseCase, type PolicyCase } from '../../domain/policy/cases.ts'
import type { PolicyFile } from './files.ts'
import { problemText, readYaml, type SourceError } from './yaml.ts'
import { tzdataVersion } from './zones.ts'

export type LoadedCases = { cases: PolicyCase[]; errors?: undefined } | { cases?: undefined; errors: SourceError[] }

/** All tests in these files, or every error in them. */
export function readCases(files: readonly PolicyFile[]): LoadedCases {
  const errors: SourceError[] = []
  const cases: PolicyCase[] = []
  for (const { name, text } of files) {
    const { documents, errors: syntax } = readYaml(name, text)
    errors.push(...syntax)
    for (const source of documents) {
      const { test, problems } = parseCase(source.value, tzdataVersion)
      if (test) cases.push(test)
      else errors.push(...problems.map(({ path, message }) => problemText(source, path, message)))
    }
  }
  return errors.length > 0 ? { errors } : { cases }
}
