import { setTimeout as sleep } from 'node:timers/promises'
import type { AcceptedReply } from '../api/accept.ts'
import type { RemediationDetail, RemediationItem } from '../api/remediation-views.ts'
import { flag, text, type Command, type Context, type Given } from './command.ts'
import { Usage } from './connection.ts'
import { duration, table } from './output.ts'

const base = '/api/v1/remediations'
export const pathOf = (id: string, verb?: string): string => `${base}/${encodeURIComponent(id)}${verb ? `/${verb}` : ''}`

export const detailOf = async ({ client }: Pick<Context, 'client'>, id: string): Promise<RemediationDetail> =>
  (await client<RemediationDetail>({ method: 'GET', path: pathOf(id) })).body

const targetText = ({ target }: Pick<RemediationItem, 'target'>): string => `${target.cluster}/${target.namespace}/${target.kind}/${target.name}`

/** Where it stands, in one word: the outcome once there is one. */
const standing = ({ phase, outcome }: Pick<RemediationItem, 'phase' | 'outcome'>): string => outcome ?? phase

type ActionName = RemediationItem['action']

const kinds: Record<ActionName, string> = { restart_pod: 'Pod', scale_deployment: 'Deployment', rollback_deployment: 'Deployment' }

export const remediate: Command = {
  usage: 'remediate <action> <[cluster/]namespace/name> [--replicas n] [--revision n] --reason text',
  summary: 'ask for a remediation; policy, limits and people decide what becomes of it',
  arguments: [2, 2],
  options: {
    replicas: { type: 'string', value: 'n', describe: 'the absolute number wanted (scale_deployment)' },
    revision: { type: 'string', value: 'n', describe: 'the revision wanted (rollback_deployment); left out, the plan chooses' },
    reason: { type: 'string', value: 'text', describe: 'why; it goes into the ledger' },
    severity: { type: 'string', value: 'word', describe: 'info, low, medium, high or critical' },
    'idempotency-key': { type: 'string', value: 'key', describe: 'the same key and request again is not a second remediation' },
    watch: { type: 'boolean', describe: 'stay and show the steps as they happen' },
  },
  run: async (context) => {
    const { client, output } = context
    const key = text(context, 'idempotency-key')
    const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key }
    const { body } = await client<AcceptedReply>({ method: 'POST', path: base, body: requestOf(context), headers })
    if (flag(context, 'watch')) {
      output.note(`${body.accepted === 'new' ? 'accepted' : 'known already'}: ${body.id}`)
      return watch(context, body.id)
    }
    output.result(body, [`${body.accepted === 'new' ? 'accepted' : 'known already'}: ${body.id}`, `follow it: aegis show ${body.id} --watch`])
    return 0
  },
}

export function requestOf(given: Given): object {
  const [action = '', where = ''] = given.positionals
  const parts = where.split('/')
  if (parts.length < 2 || parts.length > 3 || parts.includes('')) throw new Usage(`\`${where}\` is not a target: write namespace/name or cluster/namespace/name`)
  const [name = '', namespace = '', cluster] = [...parts].reverse()
  const kind = Object.hasOwn(kinds, action) ? kinds[action as ActionName] : undefined
  if (!kind) throw new Usage(`\`${action}\` is not an action: use ${Object.keys(kinds).join(', ')}`)
  const parameters = { ...numberOption(given, 'replicas'), ...numberOption(given, 'revision') }
  const optional = { ...present('reason', text(given, 'reason')), ...present('severity', text(given, 'severity')) }
  return { action, target: { ...present('cluster', cluster), namespace, kind, name }, parameters, ...optional }
}

function numberOption(given: Given, name: string): Record<string, number> {
  const value = text(given, name)
  if (value === undefined) return {}
  if (!/^\d{1,9}$/.test(value)) throw new Usage(`--${name} must be a whole number, not \`${value}\``)
  return { [name]: Number(value) }
}

const present = <T>(name: string, value: T | undefined): Record<string, T> => (value === undefined ? {} : { [name]: value })

export const list: Command = {
  usage: 'list [--status open|closed] [--outcome word] [--namespace name] [--action name] [--limit n]',
  summary: 'remediations, newest first',
  arguments: [0, 0],
  options: {
    status: { type: 'string', value: 'word', describe: 'open, closed, or a phase such as awaiting_approval' },
    outcome: { type: 'string', value: 'word', describe: 'such as healed or needs_human' },
    cluster: { type: 'string', value: 'name', describe: 'of one cluster' },
    namespace: { type: 'string', value: 'name', describe: 'of one namespace' },
    action: { type: 'string', value: 'name', describe: 'of one action' },
    limit: { type: 'string', value: 'n', describe: 'at most so many, up to 200 (50)' },
    cursor: { type: 'string', value: 'text', describe: 'the `next` of the page before' },
  },
  run: async (context) => {
    const names = ['status', 'outcome', 'cluster', 'namespace', 'action', 'limit', 'cursor']
    const query = Object.fromEntries(names.map((name) => [name, text(context, name)]))
    const { body } = await context.client<{ items: RemediationItem[]; next: string | null }>({ method: 'GET', path: base, query })
    const rows = body.items.map((item) => [item.id, standing(item), item.action, targetText(item), item.reason ?? '', item.acceptedAt])
    context.output.result(body, body.items.length === 0 ? ['no remediations'] : table(['ID', 'STANDING', 'ACTION', 'TARGET', 'REASON', 'ACCEPTED'], rows))
    if (body.next) context.output.note(`there are more: --cursor ${body.next}`)
    return 0
  },
}

export const show: Command = {
  usage: 'show <id> [--watch] [--timeout seconds]',
  summary: 'one remediation; with --watch its steps as they happen',
  arguments: [1, 1],
  options: {
    watch: { type: 'boolean', short: 'w', describe: 'stay until it ends' },
    timeout: { type: 'string', value: 'seconds', describe: 'how long to stay (1800)' },
  },
  run: async (context) => {
    const [id = ''] = context.positionals
    if (flag(context, 'watch')) return watch(context, id)
    const detail = await detailOf(context, id)
    context.output.result(detail, [...summaryLines(detail), ...detail.steps.map(stepLine)])
    return 0
  },
}

const pollMs = 500

/** Prints each step once. Exit code 0 when it ended other than in `needs_human`, 1 otherwise. */
async function watch(context: Context, id: string): Promise<number> {
  const { timeout: seconds = 1800 } = numberOption(context, 'timeout')
  const deadline = Date.now() + seconds * 1000
  const shown = new Set<string>()
  let phase = ''
  for (;;) {
    const detail = await detailOf(context, id)
    if (detail.phase !== phase) context.output.note(`— ${detail.phase.replaceAll('_', ' ')}${detail.phase === 'awaiting_approval' ? `: aegis approve ${id}` : ''}`)
    phase = detail.phase
    for (const step of detail.steps) {
      const key = `${step.step}/${step.ordinal}/${step.attempt}`
      if (!shown.has(key)) context.output.note(stepLine(step))
      shown.add(key)
    }
    if (detail.outcome) {
      context.output.result(detail, [endLine(detail)])
      return detail.outcome === 'needs_human' ? 1 : 0
    }
    if (Date.now() > deadline) {
      context.output.result(detail, [`still ${detail.phase} after ${seconds} s; it goes on without you`])
      return 1
    }
    await sleep(pollMs)
  }
}

type Step = RemediationDetail['steps'][number]

const stepLine = ({ step, attempt, result, summary, durationMs, code }: Step): string => {
  const again = attempt > 1 ? ` (attempt ${attempt})` : ''
  const trouble = result === 'ok' ? '' : ` [${result}${code ? ` ${code}` : ''}]`
  return `  ${step}${again}${trouble}: ${summary} (${duration(durationMs)})`
}

const endLine = ({ outcome, reason, verdict, message }: RemediationDetail): string =>
  `${outcome}${reason ? ` (${reason})` : ''}${verdict ? `, verdict ${verdict}` : ''}${message ? `: ${message}` : ''}`

type Decision = NonNullable<RemediationDetail['decision']>

/** What is still missing, who may give it by now or later, and what holds whatever policy says. */
function waitLines({ approvals, autonomy, answerBy }: Decision): string[] {
  if (!approvals) return []
  const { needed, given, missingGroups, missingRoles, escalations, breakGlass } = approvals
  const missing = [...missingGroups.map((group) => `the group ${group}`), ...missingRoles.map((role) => `the role ${role}`)]
  const floor = autonomy?.floor
  return [
    `  wanted    ${given} of ${needed} approvals${missing.length > 0 ? `; missing: ${missing.join(', ')}` : ''}${answerBy ? `; until ${answerBy}` : ''}`,
    ...escalations.map(({ group, to, at, saidAt }) => `  or        ${to} for ${group}, ${Date.parse(at) <= Date.now() ? 'since' : 'from'} ${at}${saidAt ? ' (escalated)' : ''}`),
    ...(breakGlass.length > 0 ? [`  emergency break-glass by ${breakGlass.join(', ')}`] : []),
    ...(floor ? [`  floor     ${floor.given} of ${floor.needed}: ${floor.reasons.join(' and ')}`] : []),
  ]
}

function answerLine({ kind, owner, comment, breakGlass, standsFor }: RemediationDetail['answers'][number]): string {
  const voices = standsFor.map(({ group, because, from }) => `${group} (${because} from ${from})`)
  return `  answer    ${breakGlass ? 'break-glass' : kind} by ${owner}${voices.length > 0 ? `, for ${voices.join(', ')}` : ''}${comment ? `: ${comment}` : ''}`
}

export function summaryLines(detail: RemediationDetail): string[] {
  const { id, action, requestedBy, door, requestReason, phase, plan, preflight, decision, answers, demotions, temporalUrl } = detail
  return [
    `${action} ${targetText(detail)}`,
    `  id        ${id}`,
    `  asked by  ${requestedBy} (${door}): ${requestReason}`,
    `  standing  ${detail.outcome ? endLine(detail) : phase}`,
    ...(plan ? [`  plan      ${plan.digest}`] : []),
    ...(preflight ? preflight.checks.map(({ name, status, message }) => `  check     ${status} ${name}: ${message}`) : []),
    ...(preflight ? preflight.diff.map(({ path, before, after }) => `  change    ${path}: ${before ?? '(none)'} → ${after ?? '(none)'}`) : []),
    ...(decision ? [`  decision  ${decision.effect} (${decision.code}): ${decision.reason}`] : []),
    ...(decision?.autonomy?.code.startsWith('mode_') ? [`  autonomy  ${decision.autonomy.message}`] : []),
    ...(decision && phase === 'awaiting_approval' ? waitLines(decision) : []),
    ...answers.map(answerLine),
    ...demotions.map(({ policy, mode, cluster, namespace }) => `  demoted   ${policy} to ${mode} in ${cluster}/${namespace}`),
    `  temporal  ${temporalUrl}`,
  ]
}
