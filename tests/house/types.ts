import type { Check, Finding } from './finding.ts'
import { runTool } from './tool.ts'

/** TypeScript over the whole checkout, or over another directory that has a `tsconfig.json`. */
export const types: Check = { name: 'types', run: (root) => typeErrors(root, root) }

export async function typeErrors(root: string, project: string): Promise<Finding[]> {
  const { code, stdout, stderr } = await runTool(root, 'typescript/bin/tsc', ['--noEmit', '--pretty', 'false', '-p', project])
  const errors = stdout.split('\n').filter((line) => /error TS\d+/.test(line))
  if (code !== 0 && errors.length === 0) return [`the type checker itself failed: ${(stdout + stderr).trim().slice(0, 500)}`]
  return errors
}
