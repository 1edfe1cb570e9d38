import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Explained } from '../api/policy.ts'
import { flag, text, type Command, type Context } from './command.ts'
import { linesOf, Usage } from './connection.ts'
import { table } from './output.ts'

export const policyExplain: Command = {
  usage: 'policy explain <action> <resource> [--type self_healing] [--context json] [--request json] [--target json] [--history json]',
  summary: 'what policy says to a request of yours, and why; nothing is started',
  arguments: [2, 2],
  options: {
    type: { type: 'string', value: 'word', describe: 'self_healing or api_access' },
    context: { type: 'string', value: 'json', describe: 'facts such as {"severity": "high"}' },
    request: { type: 'string', value: 'json', describe: 'what is asked for, such as {"replicas": 6}' },
    target: { type: 'string', value: 'json', describe: 'the target as it would be found, such as {"ready": 3}' },
    history: { type: 'string', value: 'json', describe: 'what happened lately, such as {"sinceLastActionMs": null}' },
  },
  run: async (context) => {
    const [action, resource] = context.positionals
    const type = text(context, 'type')
    const asked = { action, resource, ...(type === undefined ? {} : { type }), ...facts(context, 'context'), ...facts(context, 'request'), ...facts(context, 'target'), ...facts(context, 'history') }
    const { body } = await context.client<Explained>({ method: 'POST', path: '/api/v1/policy/evaluate', body: asked })
    context.output.result(body, explanation(body))
    return mayHappen(body) ? 0 : 1
  },
}

function facts(context: Context, name: string): Record<string, unknown> {
  const given = text(context, name)
  if (given === undefined) return {}
  try {
    return { [name]: JSON.parse(given) as unknown }
  } catch {
    throw new Usage(`--${name} is not JSON: write something like '{"severity": "high"}'`)
  }
}

/** What the modes of policies leave of an allow. */
const byMode: Readonly<Record<string, string>> = { mode_observe: 'observe', mode_suggest: 'suggest', mode_approve: 'require_approval' }

/** An allow whose bounds the request breaks is none. */
const verdictOf = ({ effect, code }: Explained): string => (effect === 'deny' || code === 'obligation_unmet' ? 'deny' : (byMode[code] ?? effect))

/** Nothing is done where it is denied, or only looked at or suggested. */
const mayHappen = (answer: Explained): boolean => ['allow', 'require_approval'].includes(verdictOf(answer))

function explanation(answer: Explained): string[] {
  const { code, message, decision } = answer
  const { determining = [], nearMisses = [], breaches = [], excepted = [], shadow = [] } = decision ?? {}
  return [
    `${verdictOf(answer)} (${code}): ${message}`,
    ...determining.map(({ id, effect: its, truth }) => `  because of  ${id} (${its}${truth === 'unknown' ? ', which could not be evaluated' : ''})`),
    ...nearMisses.flatMap(({ id, failed }) => failed.map(({ path, actual, expected }) => `  near miss   ${id}: ${path}: ${actual}, wanted ${expected}`)),
    ...breaches.map((breach) => `  bound       ${breach.message}`),
    ...excepted.map(({ policy, id, until, author, approvedBy }) => `  excepted    ${policy} by ${id} until ${until} (${author}, agreed by ${approvedBy})`),
    ...shadow.map(({ id, effect: its }) => `  shadow      ${id} (${its}) would have applied`),
  ]
}

type Example = { decisionId: string; remediationId: string | null; action: string; resource: string; severity: string | null; before: string; after: string }
type Transition = { from: string; to: string; count: number; first: Example; worst: Example }
type Remediations = { count: number; ids: string[] }
type Report = {
  decisions: number
  span: { from: number; to: number } | null
  unchanged: number
  unreadable: number
  transitions: Transition[]
  newlyAllowed: number
  newlyStopped: number
  letThrough: Remediations
  stopped: Remediations
  missing: { attr: string; count: number; firstDecisionId: string }[]
  neverMatched: string[]
  untried: string[]
}

export const policySimulate: Command = {
  usage: 'policy simulate <directory or file> [--since 7d] [--max-newly-allowed n]',
  summary: 'what these policies would have answered to every decision on record; nothing is changed',
  arguments: [1, 1],
  options: {
    since: { type: 'string', value: 'time', describe: 'from here on: 7d, 12h or an instant; everything when left out' },
    'max-newly-allowed': { type: 'string', value: 'n', describe: 'exit 1 when more decisions than this would newly act, or the record cannot show what a policy would let happen' },
  },
  run: async (context) => {
    const most = mostOf(text(context, 'max-newly-allowed'))
    const [path = ''] = context.positionals
    const since = text(context, 'since')
    const body = { candidate: { files: filesAt(path) }, ...(since === undefined ? {} : { since }) }
    const report = await replayed(context, body)
    const gate = most === undefined ? [] : failuresOf(report, most)
    context.output.result(report, [...reportLines(report), ...gate])
    return gate.length > 0 ? 1 : 0
  },
}

/** A gate that nothing went through has shown nothing. */
function failuresOf({ span, newlyAllowed, untried }: Report, most: number): string[] {
  if (!span) return ['FAIL there was nothing to ask again: choose an earlier --since, or ask where decisions are on record']
  return [
    ...(newlyAllowed > most ? [`FAIL ${newlyAllowed} would newly act, at most ${most} wanted`] : []),
    ...(untried.length > 0 ? [`FAIL nothing on record is matched by what is new in ${untried.join(', ')}, so the record cannot show what it would let happen: have a person look at it`] : []),
  ]
}

async function replayed({ connection, output }: Context, body: object): Promise<Report> {
  const lines = linesOf<{ progress: { done: number; total: number } } | { report: Report }>(connection, { method: 'POST', path: '/api/v1/policy/simulate', body })
  for await (const line of lines) {
    if ('report' in line) return line.report
    output.progress(`${line.progress.done} of ${line.progress.total} decisions asked again`, line.progress.done, line.progress.total)
  }
  throw new Error('the answer ended before its report: try again')
}

function mostOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  if (/^\d{1,9}$/.test(given)) return Number(given)
  throw new Usage(`--max-newly-allowed is \`${given}\`: give a whole number, such as 0`)
}

const isYaml = (name: string): boolean => /^[^.].*\.ya?ml$/.test(name)

export function filesAt(path: string): { name: string; text: string }[] {
  try {
    const paths = statSync(path).isDirectory() ? readdirSync(path).filter(isYaml).sort().map((name) => join(path, name)) : [path]
    if (paths.length > 0) return paths.map((each) => ({ name: basename(each), text: readFileSync(each, 'utf8') }))
  } catch (failure) {
    throw new Usage(`${path} cannot be read (${(failure as NodeJS.ErrnoException).code ?? 'no reason known'}): name a directory of policies, or one file`)
  }
  throw new Usage(`${path} holds no .yaml file: name a directory of policies, or one file`)
}

function reportLines(report: Report): string[] {
  const { decisions, span, unchanged, unreadable, transitions, letThrough, stopped, missing, neverMatched } = report
  if (!span) return [`no decision on record that could be asked again (${unreadable} unreadable)`]
  const days = `${day(span.from)} to ${day(span.to)}`
  return [
    `${decisions} decisions (${days}) asked again: ${unchanged} unchanged, ${decisions - unchanged} changed`,
    ...(unreadable > 0 ? [`  ${unreadable} could not be read and stay denied`] : []),
    ...transitions.flatMap(transitionLines),
    ...remediationLine('let through', letThrough),
    ...remediationLine('stopped', stopped),
    ...(missing.length > 0 ? ['facts that the record does not have:', ...table(['  fact', 'decisions', 'first'], missing.map((one) => [`  ${one.attr}`, `${one.count}`, one.firstDecisionId]))] : []),
    ...(neverMatched.length > 0 ? [`policies that matched nothing on record: ${neverMatched.join(', ')}`] : []),
  ]
}

const day = (epochMs: number): string => new Date(epochMs).toISOString().slice(0, 10)

const transitionLines = ({ from, to, count, first, worst }: Transition): string[] => [
  `  ${from} -> ${to}  ${count}`,
  ...exampleLines('first', first),
  ...(worst.decisionId === first.decisionId ? [] : exampleLines('worst', worst)),
]

const exampleLines = (which: string, { decisionId, remediationId, action, resource, severity, before, after }: Example): string[] => [
  `    ${which}  ${action} ${resource}${severity === null ? '' : `, severity ${severity}`} (${remediationId === null ? `question ${decisionId}` : `remediation ${remediationId}`})`,
  `      now       ${before}`,
  `      would be  ${after}`,
]

const remediationLine = (what: string, { count, ids }: Remediations): string[] =>
  count === 0 ? [] : [`remediations ${what}: ${count} (${ids.slice(0, 5).join(', ')}${count > 5 ? ', …' : ''})`]

type TestResult = { name: string; ok: boolean; message: string; failures: string[] }
type Leaf = { policy: string; path: string; wanted: string; unseen: (boolean | 'unknown')[] }
type Tested = { passed: number; failed: number; results: TestResult[]; coverage: { policies: number; neverMatched: string[]; leaves: number; uncovered: Leaf[] } }

export const policyTest: Command = {
  usage: 'policy test <directory> [--covered]',
  summary: 'runs the tests (*.test.yaml) that stand beside policies, and says what they leave untested',
  arguments: [1, 1],
  options: { covered: { type: 'boolean', describe: 'exit 1 unless every policy and every answer of every condition is tested' } },
  run: async (context) => {
    const [path = ''] = context.positionals
    const { body } = await context.client<Tested>({ method: 'POST', path: '/api/v1/policy/test', body: { files: filesAt(path) } })
    const { passed, failed, results, coverage } = body
    const gaps = coverage.neverMatched.length + coverage.uncovered.length
    context.output.result(body, [...results.flatMap(testLines), `${passed} passed, ${failed} failed`, ...coverageLines(coverage)])
    return failed > 0 || results.length === 0 || (flag(context, 'covered') && gaps > 0) ? 1 : 0
  },
}

const testLines = ({ name, ok, message, failures }: TestResult): string[] =>
  ok ? [`ok    ${name}`] : [`FAIL  ${name}`, ...failures.map((failure) => `        ${failure}`), `        ${message}`]

function coverageLines({ policies, neverMatched, leaves, uncovered }: Tested['coverage']): string[] {
  return [
    `${policies - neverMatched.length} of ${policies} policies matched in a test, ${leaves - uncovered.length} of ${leaves} conditions gave every answer`,
    ...(neverMatched.length > 0 ? [`  never matched: ${neverMatched.join(', ')}`] : []),
    ...uncovered.map(({ policy, path, wanted, unseen }) => `  never ${unseen.join(' or ')}: ${policy} ${path} (${wanted})`),
  ]
}
