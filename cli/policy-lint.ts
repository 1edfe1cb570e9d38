import { flag, type Command } from './command.ts'
import { filesAt } from './policy.ts'

type Severity = 'error' | 'warning' | 'notice'
type Witness = { action: string; resource: string; context: Record<string, unknown>; now: number }
type Finding = { code: string; severity: Severity; policy: string | null; path: string; where: string | null; message: string; witness: Witness | null }
type Linted = { policies: number; findings: Finding[]; leftOut: { code: string; reason: string }[] }

export const policyLint: Command = {
  usage: 'policy lint [directory or file] [--strict]',
  summary: 'what is odd about policies, with a request that shows it; the policies in force when none are named',
  arguments: [0, 1],
  options: { strict: { type: 'boolean', describe: 'exit 1 on warnings, too' } },
  run: async (context) => {
    const [path] = context.positionals
    const { body } = await context.client<Linted>({ method: 'POST', path: '/api/v1/policy/lint', body: path === undefined ? {} : { files: filesAt(path) } })
    const count = (severity: Severity) => body.findings.filter((one) => one.severity === severity).length
    const [errors, warnings, notices] = [count('error'), count('warning'), count('notice')]
    context.output.result(body, [
      ...body.findings.flatMap(findingLines),
      ...body.leftOut.map(({ code, reason }) => `left out: ${code}, ${reason}`),
      `${body.policies} policies: ${errors} errors, ${warnings} warnings, ${notices} notices`,
    ])
    return errors > 0 || (flag(context, 'strict') && warnings > 0) ? 1 : 0
  },
}

function findingLines({ code, severity, policy, path, where, message, witness }: Finding): string[] {
  const place = policy === null ? '' : `${where ?? policy}: `
  const subject = policy === null ? '' : `${policy} ${path}: `
  return [`${place}${severity} ${code}: ${subject}${message}`, ...(witness ? [`  shown by  ${witnessText(witness)}`] : [])]
}

const witnessText = ({ action, resource, context, now }: Witness): string =>
  `${action} ${resource}, severity ${JSON.stringify(context['severity'] ?? null)}, at ${new Date(now).toISOString()} (--json has it whole)`
