import { cannotRead, compileFiles, isTestFile, policyFiles, type LoadedPolicies } from './files.ts'

/** Loads every `*.yaml` and `*.yml` of a directory. Errors are lines of `file:line: path: message`. */
export async function loadPolicies(directory: string): Promise<LoadedPolicies> {
  try {
    return compileFiles((await policyFiles(directory)).filter(({ name }) => !isTestFile(name)))
  } catch (error) {
    return { errors: [cannotRead(directory, error)] }
  }
}
