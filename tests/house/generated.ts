import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Check, Finding } from './finding.ts'
import { runNode } from './tool.ts'

/** Scripts that write files into the checkout. With `--check` each compares instead, and exits 1 with a reason. */
const generators = ['api/gen.ts', 'deploy/gen.ts']

export const generated: Check = {
  name: 'generated',
  run: async (root) => (await Promise.all(generators.map((script) => staleFiles(root, script)))).flat(),
}

export async function staleFiles(root: string, script: string): Promise<Finding[]> {
  if (!existsSync(join(root, script))) return [`${script}: is missing`]
  const { code, stdout, stderr } = await runNode(['--import', 'tsx', script, '--check'], root)
  if (code === 0) return []
  const said = `${stdout}${stderr}`.trim().slice(0, 500)
  return [`${script}: what it writes is not what the checkout holds: run \`npm run gen\`${said === '' ? '' : `: ${said}`}`]
}
