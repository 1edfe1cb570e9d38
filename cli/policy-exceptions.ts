import { text, type Command, type Context } from './command.ts'
import { Refused, Usage } from './connection.ts'
import { nowLines, settledText, type Change, type Now } from './policy-changes.ts'
import { table } from './output.ts'

type Exception = { id: string; policy: string; state: string; author: string; decidedBy: string | null; expiresAt: string; resources: string[]; reason: string }

const path = (policy: string): string => `/api/v1/policy/${encodeURIComponent(policy)}/exceptions`

export const policyExcept: Command = {
  usage: 'policy except <policy> [--resources list --until instant --reason text [--actions list] [--when json]]',
  summary: 'ask for an exception from a deny or an approval policy; without --resources the ones that were ever asked for',
  arguments: [1, 1],
  options: {
    resources: { type: 'string', value: 'list', describe: "what it opens: 'k8s:main/shop/**'" },
    actions: { type: 'string', value: 'list', describe: 'for these alone: pod:restart,deployment:scale' },
    when: { type: 'string', value: 'json', describe: 'only under this condition' },
    until: { type: 'string', value: 'instant', describe: 'such as 2026-12-24T18:00:00Z, at most 30 days ahead' },
    reason: { type: 'string', value: 'text', describe: 'why; it is recorded, and named in every decision that it opens' },
  },
  run: async (context) => {
    const [policy = ''] = context.positionals
    if (text(context, 'resources') === undefined) return listed(context, policy)
    const { body } = await context.client<Exception>({ method: 'POST', path: path(policy), body: wish(context) })
    context.output.result(body, [`${body.id} is asked for; another person puts it in force: aegis policy agree ${body.id} --comment "…"`])
    return 0
  },
}

async function listed({ client, output }: Context, policy: string): Promise<number> {
  const { body } = await client<{ items: Exception[] }>({ method: 'GET', path: path(policy) })
  const rows = body.items.map((one) => [one.id, one.state, one.expiresAt, one.author, one.decidedBy ?? '', one.resources.join(' '), one.reason])
  output.result(body, table(['ID', 'STATE', 'UNTIL', 'BY', 'DECIDED BY', 'ON', 'REASON'], rows))
  return 0
}

function wish(context: Context): object {
  const [resources, actions, when, expiresAt, reason] = ['resources', 'actions', 'when', 'until', 'reason'].map((option) => text(context, option))
  if (!expiresAt || !reason) throw new Usage('an exception needs --until and --reason')
  return { resources: words(resources), expiresAt, reason, ...(actions === undefined ? {} : { actions: words(actions) }), ...(when === undefined ? {} : { when: json(when) }) }
}

const words = (list = ''): string[] => list.split(',').map((word) => word.trim())

function json(given: string): unknown {
  try {
    return JSON.parse(given) as unknown
  } catch {
    throw new Usage(`--when is not JSON: write something like '{"attr": "context.severity", "op": "gte", "value": "high"}'`)
  }
}

export const policyAgree: Command = {
  usage: 'policy agree <exception or change id> --comment text [--snapshot sha256:…]',
  summary: 'agree to an exception, or to a change of policies, that somebody else asked for; it is in force with the answer',
  arguments: [1, 1],
  options: {
    comment: { type: 'string', value: 'text', describe: 'why; it is recorded' },
    snapshot: { type: 'string', value: 'sha256:…', describe: 'the policies in force that you looked at it over: over others it is refused; without it, those of now' },
  },
  run: async (context) => {
    const [id, body] = wordOn(context)
    const exception = await lookedAt(context, `/api/v1/policy-exceptions/${encodeURIComponent(id)}`, 'no_such_exception')
    if (exception !== undefined) await exceptionIs(context, id, 'approve', { ...body, snapshot: exception })
    else {
      const path = `/api/v1/policy-changes/${encodeURIComponent(id)}`
      const snapshot = await lookedAt(context, path)
      const { body: change } = await context.client<Change>({ method: 'POST', path: `${path}/agree`, body: { ...body, snapshot } })
      context.output.result(change, [settledText(change)])
    }
    return 0
  },
}

/** Says what it would let happen now, so that the agreement is to something that was seen. Undefined: it is not there, by that code. */
async function lookedAt(context: Context, path: string, missing?: string): Promise<string | null | undefined> {
  try {
    const { body } = await context.client<{ now: Now | null }>({ method: 'GET', path })
    for (const line of nowLines(body.now)) context.output.note(line)
    return text(context, 'snapshot') ?? body.now?.snapshot ?? null
  } catch (failure) {
    if (failure instanceof Refused && failure.problem?.code === missing) return undefined
    throw failure
  }
}

export const policyRevoke: Command = {
  usage: 'policy revoke <exception id> --comment text',
  summary: 'end an exception, or take back the wish for one; any one person may',
  arguments: [1, 1],
  options: { comment: { type: 'string', value: 'text', describe: 'why; it is recorded' } },
  run: async (context) => {
    const [id, body] = wordOn(context)
    await exceptionIs(context, id, 'revoke', body)
    return 0
  },
}

function wordOn(context: Context): [id: string, body: { comment: string }] {
  const [id = ''] = context.positionals
  const comment = text(context, 'comment')
  if (comment === undefined) throw new Usage('say why: --comment "…"')
  return [id, { comment }]
}

async function exceptionIs({ client, output }: Context, id: string, verb: 'approve' | 'revoke', given: { comment: string; snapshot?: string | null }): Promise<void> {
  const { body } = await client<Exception>({ method: 'POST', path: `/api/v1/policy/exceptions/${encodeURIComponent(id)}/${verb}`, body: given })
  output.result(body, [`exception ${body.id} from \`${body.policy}\` is ${body.state}`])
}
