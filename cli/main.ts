/** `aegis <command> …`: the same words as the API, for a terminal and for scripts. */
import { parseArgs } from 'node:util'
import { approve, cancel, reject } from './answers.ts'
import { autonomy, autonomyDemote, autonomyPromote } from './autonomy.ts'
import { callerActivate, callerCreate, callerList, callerRetire, callerRevoke } from './callers.ts'
import { breakGlass, review, reviews } from './break-glass.ts'
import { breaker, breakerClose } from './breakers.ts'
import type { Command } from './command.ts'
import { clientOf, connectionOf, offline, Refused, Usage } from './connection.ts'
import { delegate, undelegate } from './delegations.ts'
import { escalation, escalationRemove, escalationSet } from './escalations.ts'
import { freezeCancel, freezeSchedule, freezeWindows } from './freeze-windows.ts'
import { keyCreate, keyList, keyRevoke } from './keys.ts'
import { login, logout, whoami } from './login.ts'
import { doctor, status } from './looking.ts'
import { outputTo, printable, type Streams } from './output.ts'
import { policyChanges, policyWithdraw } from './policy-changes.ts'
import { policyAgree, policyExcept, policyRevoke } from './policy-exceptions.ts'
import { policyLint } from './policy-lint.ts'
import { policyExplain, policySimulate, policyTest } from './policy.ts'
import { policyTrial } from './policy-trial.ts'
import { policyApply, policyList, policyRollback } from './policy-record.ts'
import { list, remediate, show } from './remediations.ts'
import { sign } from './sign.ts'
import { freeze, release, unfreeze } from './stopping.ts'
import { userCreate, userDisable, userEnable, userList, userPassword, userReset, userRoles } from './users.ts'

export const commands: Record<string, Command> = {
  status,
  remediate,
  list,
  show,
  approve,
  reject,
  cancel,
  'break-glass': breakGlass,
  reviews,
  review,
  delegate,
  undelegate,
  escalation,
  'escalation set': escalationSet,
  'escalation remove': escalationRemove,
  freeze,
  unfreeze,
  'freeze windows': freezeWindows,
  'freeze schedule': freezeSchedule,
  'freeze cancel': freezeCancel,
  release,
  breaker,
  'breaker close': breakerClose,
  autonomy,
  'autonomy promote': autonomyPromote,
  'autonomy demote': autonomyDemote,
  'policy explain': policyExplain,
  'policy simulate': policySimulate,
  'policy test': policyTest,
  'policy list': policyList,
  'policy trial': policyTrial,
  'policy apply': policyApply,
  'policy rollback': policyRollback,
  'policy lint': policyLint,
  'policy except': policyExcept,
  'policy changes': policyChanges,
  'policy agree': policyAgree,
  'policy withdraw': policyWithdraw,
  'policy revoke': policyRevoke,
  login,
  logout,
  whoami,
  'user create': userCreate,
  'user list': userList,
  'user roles': userRoles,
  'user disable': userDisable,
  'user enable': userEnable,
  'user reset': userReset,
  'user password': userPassword,
  'key create': keyCreate,
  'key list': keyList,
  'key revoke': keyRevoke,
  'caller create': callerCreate,
  'caller list': callerList,
  'caller activate': callerActivate,
  'caller retire': callerRetire,
  'caller revoke': callerRevoke,
  sign,
  doctor,
}

const everywhere = {
  json: { type: 'boolean', describe: 'one JSON value on standard output' },
  help: { type: 'boolean', short: 'h', describe: 'this text' },
} as const

type Surroundings = Streams & { env: NodeJS.ProcessEnv; directory: string }

const here = (): Surroundings => ({
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  terminal: process.stderr.isTTY === true,
  env: process.env,
  directory: process.cwd(),
})

/** Exit code: 0 ok, 1 refused or failed, 2 bad usage. */
export async function main(args: readonly string[], around: Surroundings = here()): Promise<number> {
  const json = args.includes('--json')
  try {
    return await dispatch(args, around)
  } catch (failure) {
    if (failure instanceof Usage) return say(around, json, { error: failure.message }, [failure.message, '`aegis --help` lists the commands'], 2)
    if (failure instanceof Refused) return say(around, json, { error: failure.message, problem: failure.problem ?? null, nextStep: failure.nextStep }, refusalLines(failure), 1)
    const message = failure instanceof Error ? failure.message : String(failure)
    return say(around, json, { error: message }, [`aegis failed: ${message}`], 1)
  }
}

async function dispatch(args: readonly string[], around: Surroundings): Promise<number> {
  const [first = '', second = ''] = args
  if (first === '' || first === '--help' || first === '-h' || first === 'help') {
    around.out(helpText())
    return first === '' ? 2 : 0
  }
  const both = `${first} ${second}`.trim()
  const name = Object.hasOwn(commands, first) && !Object.hasOwn(commands, both) ? first : both
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (!command) throw new Usage(`\`${name}\` is not a command`)
  const { values, positionals } = parse(command, args.slice(name.split(' ').length))
  if (values['help'] === true) {
    around.out(commandHelp(command))
    return 0
  }
  const [min, max] = command.arguments
  if (positionals.length < min || positionals.length > max) throw new Usage(`usage: aegis ${command.usage}`)
  const connection = command.offline ? offline(around.env) : connectionOf(around.env, around.directory)
  const output = outputTo(around, values['json'] === true)
  return command.run({ positionals, options: values, client: clientOf(connection), connection, output })
}

function parse(command: Command, args: string[]): { values: Record<string, string | boolean | undefined>; positionals: string[] } {
  const all: Command['options'] = { ...command.options, ...everywhere }
  const options = Object.fromEntries(Object.entries(all).map(([name, { type, short }]) => [name, short === undefined ? { type } : { type, short }]))
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true })
  } catch (failure) {
    throw new Usage(`${(failure as Error).message.split('. ')[0]}; usage: aegis ${command.usage}`)
  }
}

function refusalLines({ message, problem, nextStep }: Refused): string[] {
  const fields = (problem?.errors ?? []).map(({ field, message: what }) => `  ${field || 'body'}: ${what}`)
  const where = problem ? ` (${problem.code}, request ${problem.requestId})` : ''
  return [`${message}${where}`, ...(fields.length > 1 ? fields : []), `next: ${nextStep}`]
}

function say({ err }: Streams, json: boolean, value: object, lines: readonly string[], code: number): number {
  err(json ? `${JSON.stringify(value)}\n` : lines.map((line) => `${printable(line)}\n`).join(''))
  return code
}

const helpText = (): string => {
  const width = Math.max(...Object.keys(commands).map((name) => name.length))
  const rows = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
  return `aegis: self-healing for Kubernetes\n\n${rows.join('\n')}\n\n\`aegis <command> --help\` says more. AEGIS_URL and AEGIS_API_KEY (or \`aegis login\`) say where and who;\nwithout them .aegis/stack.json in this directory does. Exit codes: 0 ok, 1 refused or failed, 2 bad usage.\n`
}

const commandHelp = ({ usage, summary, options }: Command): string => {
  const all: Command['options'] = { ...options, ...everywhere }
  const rows = Object.entries(all).map(([name, option]) => {
    const value = option.value === undefined ? '' : ` ${option.value}`
    return `  ${`--${name}${value}`.padEnd(26)}  ${option.describe}`
  })
  return `aegis ${usage}\n\n${summary}\n\n${rows.join('\n')}\n`
}
