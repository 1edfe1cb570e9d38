import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { projectPaths } from './files.ts'
import type { Check, Finding } from './finding.ts'

/** Shell scripts are read only where they are deployed: here at least they have to parse. */
export const scripts: Check = {
  name: 'scripts',
  run: async (root) => (await Promise.all(projectPaths(root).filter((path) => path.endsWith('.sh')).map((path) => parseFaults(root, path)))).flat(),
}

export async function parseFaults(root: string, path: string): Promise<Finding[]> {
  try {
    await promisify(execFile)('sh', ['-n', join(root, path)], { timeout: 10_000 })
    return []
  } catch (failure) {
    return [`${path}: does not parse: ${String((failure as { stderr?: string }).stderr ?? failure).trim().slice(0, 300)}`]
  }
}
