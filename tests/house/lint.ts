import type { Check, Finding } from './finding.ts'
import { runTool } from './tool.ts'

type Report = {
  diagnostics: { message: string; help?: string; code?: string; filename: string; labels: { span: { line: number } }[] }[]
  number_of_files: number
}

/** oxlint with types: floating promises, `any`, and what `domain` must not touch. `.oxlintrc.json` says which rules. */
export const lint: Check = { name: 'lint', run: (root) => lintErrors(root, root, '.oxlintrc.json') }

export async function lintErrors(root: string, directory: string, config: string): Promise<Finding[]> {
  const args = ['--type-aware', '--disable-nested-config', '--config', config, '--format', 'json']
  const { stdout, stderr } = await runTool(root, 'oxlint/bin/oxlint', args, directory)
  const report = parseReport(stdout)
  if (report === undefined) return [`the linter itself failed: ${(stderr + stdout).trim().slice(0, 500)}`]
  if (report.number_of_files === 0) return ['the linter looked at no file: check the ignore patterns of .oxlintrc.json']
  return report.diagnostics.map(({ filename, labels, message, help, code = 'syntax' }) =>
    `${filename}:${labels[0]?.span.line ?? 1}: ${message} ${help ?? ''} (${/\((.+)\)/.exec(code)?.[1] ?? code})`,
  )
}

function parseReport(stdout: string): Report | undefined {
  try {
    return JSON.parse(stdout) as Report
  } catch {
    return undefined
  }
}
